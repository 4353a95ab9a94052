"""The notebook runs from top to bottom, on a handful of small photos."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/cats_vs_dogs.ipynb"
# In a process of its own, because the kernel's client leaves sockets to the garbage collector, which warns.
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.write(nbclient.NotebookClient(notebook, timeout=120).execute(), sys.argv[1])
"""
PARAMETERS = """
from pathlib import Path
WORK_DIR = Path({work_dir!r})
SOURCE = UNSEEN = None
PER_CLASS, IMAGE_SIZE, EPOCHS, LEARNING_RATE = 12, (48, 48), 2, 1e-3
"""


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook writes."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(work_dir: Path) -> nbformat.NotebookNode:
    """The notebook after a run with this Python."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source = PARAMETERS.format(work_dir=str(work_dir))
    path = work_dir / "executed.ipynb"
    nbformat.write(notebook, path)
    subprocess.run([sys.executable, "-c", EXECUTE, str(path)], check=True)
    return nbformat.read(path, as_version=4)


def pictures_after(executed: nbformat.NotebookNode, words: str) -> int:
    """PNGs that the code cell containing `words` shows."""
    (cell,) = [cell for cell in executed.cells if cell.cell_type == "code" and words in cell.source]
    return sum("image/png" in output.get("data", ()) for output in cell.outputs)


@pytest.mark.parametrize(
    "words", ["first = [decode_image", "draw_class_counts(chosen", "warps = draw_warps", "curves.png", "answers = list"]
)
def test_every_promised_picture_is_inline(executed: nbformat.NotebookNode, words: str) -> None:
    assert pictures_after(executed, words) == 1


def test_the_run_goes_on_to_more_epochs(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    assert len((work_dir / "run" / "history.csv").read_text().splitlines()) == 5
    assert executed.cells[-1].outputs[-1].data["text/plain"] == "4"


def test_the_submission_has_the_order_of_the_sample(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    sample, submission = (
        [line.split(",")[0] for line in (work_dir / name).read_text().splitlines()]
        for name in ("sample_submission.csv", "submission.csv")
    )
    assert submission == sample


def test_the_committed_notebook_carries_no_output() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
