"""`tellapart backbone pack`: a pretrained network as one file, for a machine without a network."""

import re
from dataclasses import dataclass
from pathlib import Path

from tellapart.backbones.backbone import Backbone, open_backbone, read_network
from tellapart.backbones.backbone_pack import BackbonePack, is_pack, read_pack
from tellapart.backbones.hub import HUB_PREFIX, fetch_backbone, fetch_license
from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing, read_preprocessing
from tellapart.backbones.pretrained import PACKAGED_LICENSE, find_packaged, read_notice
from tellapart.cache.cache_folder import backbones_dir, cache_root
from tellapart.networks.onnx_nodes import FEATURES_NAME
from tellapart.runs.outputs import OutputFile, check_output_files
from tellapart.store import sha256_hex, write_file
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

_ODD_CHARACTERS = re.compile(r"[^\w.@+-]+", re.ASCII)


@dataclass(frozen=True)
class PackSummary:
    """A backbone that was packed.

    Attributes:
        path: the file.
        name: what is in it, such as `hf:OWNER/NAME@COMMIT`.
        license: short name of the licence; empty where none is stated.
        size_bytes: of the file.
        sha256: of the file, 64 hexadecimal digits.
    """

    path: Path
    name: str
    license: str
    size_bytes: int
    sha256: str


def pack_backbone(
    backbone: str, out: str | Path | None = None, *, cache_dir: str | None = None, watcher: Watcher | None = None
) -> PackSummary:
    """The backbone, written to one file with its preprocessing, its licence and a SHA-256.

    The file is a backbone wherever one is named: `tellapart.train(photos, out, backbone="net.onnx")`.

    Args:
        backbone: `hf:OWNER/NAME`, a name such as `efficientnet-lite0`, or the path of an ONNX file.
        out: a new file, or an earlier one of this kind; `None` is the name of the network in the working folder.
        cache_dir: folder of the cache; `None` is the user's own.
        watcher: told what the user should know.

    Raises:
        ConfigError, BundleError, DependencyError: the backbone cannot be had, or does not run.
        OutputError: the file cannot be written, or is somebody else's.
    """
    path = Path(_file_name(backbone) if out is None else out)
    check_output_files([OutputFile(path, "out", _("a packed backbone"), is_pack)], [])
    folder = backbones_dir(cache_root(cache_dir))
    opened = open_backbone(backbone, folder)
    for note in opened.notes:
        (watcher or Watcher()).on_note(note)
    pack = _gather(backbone, opened, folder)
    data = pack.to_bytes()
    write_file(path, data)
    return PackSummary(path, pack.name, pack.license, len(data), sha256_hex(data))


def _gather(name: str, opened: Backbone, folder: Path) -> BackbonePack:
    """What goes into the file, of a backbone that was opened and so is there."""
    if (packaged := find_packaged(name)) is not None:
        settings = OnnxPreprocessing(name, packaged.image_size, output_layout="nchw", outputs=(FEATURES_NAME,))
        return BackbonePack(packaged.name, opened.model, settings, PACKAGED_LICENSE, read_notice(packaged))
    if name.startswith(HUB_PREFIX):
        repository = name.removeprefix(HUB_PREFIX)
        path, snapshot_dir = fetch_backbone(repository, folder / "hub")
        licence = fetch_license(repository, snapshot_dir)
        exact = f"{HUB_PREFIX}{repository.partition('@')[0]}@{snapshot_dir.name}"
        settings = read_preprocessing(path, snapshot_dir) or OnnxPreprocessing(name, opened.image_size)
        return BackbonePack(exact, read_network(path, name), settings, *licence)
    path = Path(name).expanduser()
    data = read_network(path, name)
    if (pack := read_pack(data, f"`backbone` {name!r}", name)) is not None:
        return pack
    return BackbonePack(path.name, data, read_preprocessing(path) or OnnxPreprocessing(name, opened.image_size))


def _file_name(backbone: str) -> str:
    """The name of the file for a backbone: that of the network, as far as any disk takes it."""
    last = backbone.partition("@")[0] if backbone.startswith(HUB_PREFIX) else backbone
    return f"{_ODD_CHARACTERS.sub('-', Path(last).name.removesuffix('.onnx')) or 'backbone'}.onnx"
