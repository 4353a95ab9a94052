"""Trains on the photos of the demo, and photographs the top of the report for the README.

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
from tellapart.demo.collection import unpack_collection

PICTURE = Path(__file__).resolve().parent / "images/report.png"
_WIDTH, _HEIGHT = 1000, 850


def main() -> None:
    """Trains in a temporary folder and replaces the picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed. Install it, e.g. `apt-get install chromium`.")
    with tempfile.TemporaryDirectory() as folder:
        unpack_collection(Path(folder))
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
