"""Draws photos, plants a few wrong labels, trains, and photographs the top of the report for the README.

Run by `make screenshot`; needs Chromium.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

from tellapart.cli.app import app
from tellapart.demo.drawing import write_demo_folder

PICTURE = Path(__file__).resolve().parent / "images/report.png"
_WIDTH, _HEIGHT = 1000, 850


def write_photos(photos_dir: Path) -> None:
    """60 drawn photos a class, three of them in the wrong folder, one twice."""
    write_demo_folder(photos_dir, 60, seed=1)
    for path in sorted((photos_dir / "cat").iterdir())[:3]:
        path.rename(photos_dir / "dog" / f"moved-{path.name}")
    twin = sorted((photos_dir / "cat").iterdir())[10]
    shutil.copy(twin, twin.with_name(f"twin-of-{twin.name}"))


def main() -> None:
    """Trains in a temporary folder and replaces the picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed. Install it, e.g. `apt-get install chromium`.")
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder) / "photos")
        with contextlib.chdir(folder):  # so that the report names `photos`, not a temporary folder
            app(["train", "photos", "--out", "run"], standalone_mode=False)
        shot = Path(folder) / "shot.png"
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_WIDTH},{_HEIGHT + 200}"]
        subprocess.run(
            [chromium, *flags, f"--screenshot={shot}", (Path(folder) / "run/report.html").as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        cv2.imwrite(str(PICTURE), cv2.imread(str(shot))[:_HEIGHT])


if __name__ == "__main__":
    main()
