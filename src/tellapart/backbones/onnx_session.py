"""How ONNX Runtime is opened, what its errors become, and which processor it runs on; nothing else imports it.

Since 1.29 ONNX Runtime sends usage data to its maker from the moment of its import, on Linux and macOS. It is told not
to before that, in the environment of this process; a value that the user has set stays.
"""

import os
import platform
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime import InferenceSession as InferenceSession
from onnxruntime import NodeArg as NodeArg
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from tellapart.errors import BundleError, is_out_of_memory
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

WHAT_TO_DO = gettext_noop("Copy the model folder again or train again")

_X86 = ("x86_64", "amd64", "i386", "i686")

# Most are direct subclasses of `Exception`: ONNX Runtime has no common base, and pybind11 adds the last two.
ORT_ERRORS = (
    RuntimeError,
    ValueError,
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def open_session(
    model: bytes, num_threads: int, shown_name: str | None = None, what_to_do: str | None = None
) -> InferenceSession:
    """The model, ready to run; several threads may run it at once.

    Args:
        model: ONNX bytes.
        num_threads: threads that one run uses, the calling one included; 0 uses all cores.
        shown_name: how an error begins.
        what_to_do: how an error ends.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # fatal only; what goes wrong is raised
    # Idle threads of ONNX Runtime would otherwise spin on the cores that decode the next photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as exc:
        shown = shown_name or _("the model")
        raise refused(_("{model} does not load").format(model=shown), exc, what_to_do) from exc


def import_quantization() -> Any:
    """ONNX Runtime's package that makes int8 models; it needs `onnx`, and is loaded when it is first asked for."""
    return import_module("onnxruntime.quantization")


def signature(tensors: Sequence[NodeArg]) -> str:
    """Type and shape of inputs or outputs as an error shows them: `uint8 (batch, 224, 224, 3)`."""
    return ", ".join(
        f"{tensor.type.removeprefix('tensor(').removesuffix(')')} ({', '.join(str(side) for side in tensor.shape)})"
        for tensor in tensors
    )


def refused(
    found: str, exc: Exception, what_to_do: str | None = None, path: Path | None = None
) -> BundleError | MemoryError:
    """The error to raise for one of ONNX Runtime's, such as "the model does not load", in one line."""
    if is_out_of_memory(exc):
        return MemoryError(f"{found}: {exc}")
    reason = " ".join(str(exc).split()).rstrip(".")
    reason = reason if len(reason) <= 200 else f"{reason[:197]}..."
    return BundleError(
        _("{found} in ONNX Runtime {version}: {reason}. {what_to_do}.").format(
            found=found, version=onnxruntime.__version__, reason=reason, what_to_do=what_to_do or _(WHAT_TO_DO)
        ),
        path=path,
    )


def has_vnni() -> bool:
    """Whether this processor adds products of 8 bits without overflow; all but x86 do."""
    return not _is_x86() or bool({"avx512_vnni", "avx_vnni"} & _processor_flags())


def describe_instructions() -> str:
    """The instruction set that decides how fast int8 is."""
    if not _is_x86():
        return platform.machine()
    known = ("avx512_vnni", "avx_vnni", "avx512f", "avx2")
    return next((name for name in known if name in _processor_flags()), "sse")


def describe_runtime() -> str:
    """ONNX Runtime and the instructions that it finds here."""
    return f"onnxruntime {onnxruntime.__version__}, {describe_instructions()}"


def describe_processor() -> str:
    """The name of this processor, as far as it has one."""
    names = (line.partition(":")[2].strip() for line in _processor_lines() if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _is_x86() -> bool:
    return platform.machine().lower() in _X86


def _processor_flags() -> set[str]:
    return next((set(line.partition(":")[2].split()) for line in _processor_lines() if line.startswith("flags")), set())


def _processor_lines() -> list[str]:
    """What Linux says of the processor; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
