"""The example that lies in each export, run on a photo before the export is finished."""

import sys
from pathlib import Path

import numpy as np

from tellapart.errors import ExportError
from tellapart.export.child_process import run_command
from tellapart.export.converter_process import EXPORT_DIR, PHOTOS_DIR
from tellapart.export.target import EXAMPLE_NAME, Target
from tellapart.images.preprocess import encode_png
from tellapart.store import write_file
from tellapart.translation import gettext as _

_PHOTO_NAME = "photo.png"
_EXAMPLE = '''"""Names the class of a photo: `python example.py PHOTO`. Needs NumPy, Pillow and {package}."""

import sys
from pathlib import Path

import numpy as np
{imports}
from PIL import Image, ImageOps

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "preprocessing"))
from preprocess import preprocess

labels = (here / "labels.txt").read_text(encoding="utf-8").splitlines()
photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
image = preprocess(np.asarray(photo))[np.newaxis]
{lines}
best = int(probabilities.argmax())
print(f"{{labels[best]}} {{probabilities[best]:.4f}}")
'''


def write_example(folder: Path, package: str, imports: str, lines: str) -> None:
    """The folder of an export holds `example.py`.

    Args:
        folder: of the export.
        package: what has to be installed, as people call it.
        imports: a line or several.
        lines: from `image`, uint8 `(1, height, width, channels)`, and `here`, the folder, to `probabilities`,
            `(num_classes,)`.

    Raises:
        OutputError: the file cannot be written.
    """
    text = _EXAMPLE.format(package=package, imports=imports, lines=lines)
    write_file(folder / EXAMPLE_NAME, text.encode())


def run_example(target: Target, work_dir: Path, shown: Path, class_name: str) -> None:
    """Nothing, if `example.py` names this class for the first photo of the proof, in the last line that it prints.

    Raises:
        ExportError: it fails, or names another.
    """
    write_file(work_dir / _PHOTO_NAME, encode_png(np.load(work_dir / PHOTOS_DIR / "0.npy")))
    command = [sys.executable, str(Path(EXPORT_DIR) / EXAMPLE_NAME), _PHOTO_NAME]
    printed = run_command(command, target, work_dir, shown).strip().splitlines()
    if not printed or not printed[-1].startswith(class_name):
        raise ExportError(
            _("the example of the export to {target} names another class: {printed!r}. Nothing was written.").format(
                target=target.name, printed=printed[-1] if printed else ""
            ),
            target=target.name,
        )
