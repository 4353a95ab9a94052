"""Backbones by name: built in, from an ONNX file, or from the Hugging Face Hub; all as the same kind of ONNX graph.

A backbone takes `image`, uint8 RGB `(batch, height, width, 3)`, and gives `embedding`, float32 `(batch, size)`, and
where that is a mean over places, `features`, float32 `(batch, size, h, w)`. The built-in ones are written as ONNX once
and kept under the hash of their content. After that neither Keras nor PyTorch is loaded; `backbones/embedder.py` runs
them.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tellapart.backbones.backbone_pack import read_pack
from tellapart.backbones.hub import HUB_PREFIX, fetch_backbone
from tellapart.backbones.onnx_preprocessing import read_preprocessing
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, PackagedBackbone, find_packaged, read_weights
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError
from tellapart.installation import install_extra
from tellapart.store import sha256_hex, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_ONNX_BYTES, read_regular
from tellapart.value_checks import did_you_mean

# Raised when the graphs of the built-in backbones change, so that those an earlier version wrote are not used.
_EXPORT_VERSION = 2
_ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Backbone:
    """A frozen network that turns photos into vectors.

    Attributes:
        name: as shown to the user: a built-in name, the name of the file, or `hf:OWNER/NAME`.
        model: ONNX bytes, as the module says.
        image_size: `(height, width)` of its input, in pixels.
        notes: sentences for the user about how it was come by.
    """

    name: str
    model: bytes
    image_size: tuple[int, int]
    notes: tuple[str, ...] = ()


def open_backbone(name: str, cache_dir: Path) -> Backbone:
    """The backbone of that name.

    Args:
        name: a built-in name, where `@SIZE` in pixels and `+mirrored` may follow; the path of an ONNX file with a JSON
            beside it (`onnx_preprocessing.py` says what is in it), or of a packed one (`backbone_pack.py`); or
            `hf:OWNER/NAME`, where `@REVISION` may follow.
        cache_dir: folder for exported and downloaded files; made when missing. One that cannot be written costs time,
            and downloads need it.

    Raises:
        ConfigError: there is no such backbone, or its JSON says something wrong.
        BundleError: it is damaged, cannot be a backbone, or cannot be had.
        DependencyError: a package that it needs is not installed.
        OutputError: a download cannot be kept.
    """
    if (packaged := find_packaged(name)) is not None:
        return _open_built_in(packaged, cache_dir)
    if name.startswith(HUB_PREFIX):
        return _open_from_hub(name, cache_dir)
    path = Path(name).expanduser()
    if path.suffix.lower() == _ONNX_SUFFIX or path.is_file():
        return _open_file(path, name)
    raise ConfigError(
        _(
            "`backbone` {name!r} is not known.{hint} Give one of {known}, the path of a FILE.onnx, or hf:OWNER/NAME."
        ).format(name=name, hint=did_you_mean(name, PACKAGED_BACKBONES), known=", ".join(PACKAGED_BACKBONES)),
        field="backbone",
        value=name,
    )


def _open_built_in(packaged: PackagedBackbone, cache_dir: Path) -> Backbone:
    """The backbone as an earlier run left it, else exported now and left for the next."""
    prefix = f"{packaged.name}-v{_EXPORT_VERSION}-"
    model, notes = _find_exported(prefix, cache_dir)
    if model is None:
        model = _export(packaged)
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            write_file(cache_dir / f"{prefix}{sha256_hex(model)}{_ONNX_SUFFIX}", model)
        except OSError as exc:
            reason = str(exc) if isinstance(exc, OutputError) else f"{exc.strerror or exc}."
            notes.append(
                _(
                    "The backbone cannot be kept in {cache_dir!r}: {reason} The next run makes it again. "
                    "Choose another `cache_dir`."
                ).format(cache_dir=str(cache_dir), reason=reason)
            )
    return Backbone(packaged.name, model, packaged.image_size, tuple(notes))


def _find_exported(prefix: str, cache_dir: Path) -> tuple[bytes | None, list[str]]:
    """The content of the file in the cache whose content is what its name says, and sentences on others."""
    notes: list[str] = []
    for path in sorted(cache_dir.glob(f"{prefix}*{_ONNX_SUFFIX}")):
        with suppress(OSError):  # one that cannot be read is as good as none
            model = read_regular(path, MAX_ONNX_BYTES)
            if sha256_hex(model) == path.stem.removeprefix(prefix):
                return model, notes
            notes.append(_("The backbone file {path!r} was damaged, and was made again.").format(path=str(path)))
            path.unlink(missing_ok=True)
    return None, notes


def _export(packaged: PackagedBackbone) -> bytes:
    weights = read_weights(packaged)
    try:
        from tellapart.backbones.efficientnet_lite import add_mirrored_view, build_efficientnet_lite
    except ImportError as exc:
        raise DependencyError(
            _("`backbone` {name!r} needs {module}, which is not installed. Install it with: {command}").format(
                name=packaged.name, module=exc.name, command=install_extra("train")
            )
        ) from exc
    model = build_efficientnet_lite(weights, packaged.image_size)
    return add_mirrored_view(model) if packaged.is_mirrored else model


def read_network(path: Path, name: str) -> bytes:
    """The content of an ONNX file that the user called `name`.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_regular(path, MAX_ONNX_BYTES)
    except OSError as exc:
        raise ConfigError(
            _(
                "`backbone` {name!r} cannot be read ({reason}). Give the path of an ONNX file, {known}, or "
                "hf:OWNER/NAME."
            ).format(
                name=name,
                reason=exc.strerror or exc,
                known=", ".join(PACKAGED_BACKBONES),
            ),
            field="backbone",
            value=name,
        ) from exc


def _open_file(path: Path, name: str, *folders: Path) -> Backbone:
    """The backbone in an ONNX file: a packed one, or one whose JSON is beside it or in one of the folders."""
    data = read_network(path, name)
    try:
        from tellapart.backbones.user_onnx import wrap_onnx
    except ImportError as exc:
        raise DependencyError(
            _("`backbone` {name!r} needs {module}, which is not installed. Install it with: {command}").format(
                name=name, module=exc.name, command=install_extra("train")
            )
        ) from exc
    json_path = path.with_suffix(".json")
    try:
        if (pack := read_pack(data, f"`backbone` {name!r}", str(path))) is not None:
            model, image_size = wrap_onnx(pack.model, name, pack.preprocessing, str(path))
        else:
            model, image_size = wrap_onnx(data, name, read_preprocessing(path, *folders), str(json_path))
    except ConfigError as exc:
        exc.field, exc.value = "backbone", name
        raise
    except BundleError as exc:
        exc.path = str(path)
        raise
    return Backbone(name if folders else path.name, model, image_size)


def _open_from_hub(name: str, cache_dir: Path) -> Backbone:
    path, folder = fetch_backbone(name.removeprefix(HUB_PREFIX), cache_dir / "hub")
    return _open_file(path, name, folder)
