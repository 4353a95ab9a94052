import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from tellapart.backbones.onnx_session import ORT_ERRORS, open_session, refused, signature
from tellapart.errors import BundleError
from tellapart.predict.bundle import Bundle

MakeBundle = Callable[..., Bundle]


def test_a_session_of_one_thread_starts_no_thread(make_bundle: MakeBundle) -> None:
    num_before = threading.active_count()
    session = open_session(make_bundle().model, num_threads=1)
    (result,) = session.run(None, {"image": np.zeros((2, 4, 6, 3), np.uint8)})
    assert result.shape == (2, 2)
    assert threading.active_count() == num_before


def test_inputs_and_outputs_are_shown_with_type_and_shape(make_bundle: MakeBundle) -> None:
    session = open_session(make_bundle().model, num_threads=1)
    assert signature(session.get_inputs()) == "uint8 (batch, 4, 6, 3)"
    assert signature(session.get_outputs()) == "float (batch, 2)"


def test_what_is_no_model_is_refused_under_the_name_it_was_given() -> None:
    with pytest.raises(BundleError, match=r"^`backbone` 'x.onnx' does not load in ONNX Runtime .*\. Give another\.$"):
        open_session(b"no model", 1, "`backbone` 'x.onnx'", "Give another")


def test_a_failing_run_raises_an_error_that_can_be_caught(make_bundle: MakeBundle) -> None:
    session = open_session(make_bundle().model, num_threads=1)
    with pytest.raises(ORT_ERRORS):
        session.run(None, {"image": np.zeros((1, 1, 1, 1), np.uint8)})


def test_a_long_reason_is_cut_and_in_one_line() -> None:
    message = str(refused("the model fails", RuntimeError("first\nsecond " + "x" * 1000)))
    assert "first second xxx" in message
    assert "\n" not in message
    assert len(message) < 320


@pytest.mark.parametrize(
    ("given", "found"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")], ids=["by-default", "set-by-the-user"]
)
def test_onnx_runtime_is_told_to_send_nothing_before_it_is_imported(given: dict[str, str], found: str) -> None:
    code = (
        "import os, sys, importlib.abc\n"
        "class Spy(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Spy())\n"
        "import tellapart.predict.model\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found]
