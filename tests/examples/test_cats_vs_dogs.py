"""The notebook runs from top to bottom, on a handful of small photos."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/cats_vs_dogs.ipynb"
# In a process of its own, because the kernel's client leaves sockets to the garbage collector, which warns. Without
# kernel folders `python3` is the Python that runs this, whatever kernel of that name is installed for the user.
EXECUTE = """
import sys, jupyter_client, nbclient, nbformat
from jupyter_client.kernelspec import KernelSpecManager
kernel = jupyter_client.KernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.write(nbclient.NotebookClient(notebook, km=kernel, timeout=120).execute(), sys.argv[1])
"""
PARAMETERS = """
from pathlib import Path
import tellapart
WORK_DIR = Path({work_dir!r})
SOURCE = UNSEEN = None
PER_CLASS, IMAGE_SIZE, EPOCHS, LEARNING_RATE = 24, (64, 64), 2, 1e-3
AUGMENT = tellapart.AugmentConfig()
"""
# The path of a file on a machine, such as "/home/..." or "C:\\\\...", in JSON.
PLACE = re.compile(r"[\"' (](?:/[\w.+-]+){2,}|[A-Z]:\\\\\w+")
RUN_FILES = (
    "bundle.json", "curves.png", "history.csv", "metrics.json", "model.h5", "model.keras", "model.onnx",
    "model.weights.h5", "skipped.csv", "split.csv",
)  # fmt: skip


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that hold code, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_after(notebook: nbformat.NotebookNode, words: str) -> list[nbformat.NotebookNode]:
    """What the one code cell containing `words` shows."""
    (cell,) = [cell for cell in code_cells(notebook) if words in cell.source]
    return list(cell.outputs)


def text_after(notebook: nbformat.NotebookNode, words: str) -> str:
    """All text that the one code cell containing `words` prints or gives."""
    outputs = outputs_after(notebook, words)
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    """The notebook as a reader gets it."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook writes."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(work_dir: Path) -> nbformat.NotebookNode:
    """The notebook after a run with this Python; an error in a cell fails here, with its traceback on stderr."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source = PARAMETERS.format(work_dir=str(work_dir))
    path = work_dir / "executed.ipynb"
    nbformat.write(notebook, path)
    subprocess.run([sys.executable, "-c", EXECUTE, str(path)], check=True)
    return nbformat.read(path, as_version=4)


def test_no_cell_fails_or_warns(executed: nbformat.NotebookNode) -> None:
    outputs = [output for cell in code_cells(executed) for output in cell.outputs]
    # What native libraries say about a machine's devices on stderr is not the notebook's.
    warnings = [output.text for output in outputs if output.get("name") == "stderr" and "Warning: " in output.text]
    assert ([output for output in outputs if output.output_type == "error"], warnings) == ([], [])


@pytest.mark.parametrize(
    ("words", "num_pictures"),
    [("grid.png", 2), ("tellapart.augment(", 1), ("curves.png", 1), ("answers.png", 1)],
    ids=["first photos and bar chart", "warps", "curves", "predictions"],
)
def test_every_promised_picture_is_inline(executed: nbformat.NotebookNode, words: str, num_pictures: int) -> None:
    assert sum("image/jpeg" in output.get("data", ()) for output in outputs_after(executed, words)) == num_pictures


def test_the_default_comes_first_and_says_its_verdict(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    assert json.loads((work_dir / "run" / "metrics.json").read_bytes())["recipe"] == "transfer"
    assert "report.html" in text_after(executed, 'metrics["verdict"]')


def test_noise_is_none_of_these(executed: nbformat.NotebookNode) -> None:
    assert text_after(executed, "none_of_these=0.05") == "('none of these', None)"


def test_the_network_is_shown_layer_by_layer(executed: nbformat.NotebookNode) -> None:
    assert all(kind in text_after(executed, "restored.summary(") for kind in ("Conv2D", "MaxPooling2D", "Dense"))


def test_nothing_is_imported_from_inside_the_package(committed: nbformat.NotebookNode) -> None:
    lines = [line for cell in code_cells(committed) for line in cell.source.splitlines()]
    assert [line for line in lines if "import" in line and "tellapart" in line] == ["import tellapart"]


def test_training_prints_one_line_an_epoch(executed: nbformat.NotebookNode) -> None:
    lines = text_after(executed, "def report(record)").splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("epoch")] == ["epoch 1", "epoch 2"]


@pytest.mark.parametrize("name", RUN_FILES)
def test_the_run_folder_holds_every_promised_file(executed: nbformat.NotebookNode, work_dir: Path, name: str) -> None:
    assert (work_dir / "classic" / name).stat().st_size > 0


def test_decoded_photos_stay_in_the_notebooks_own_folder(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    assert len(list((work_dir / "cache").rglob("*.npy"))) == 1


def test_the_keras_file_answers_as_the_bundle_does(executed: nbformat.NotebookNode) -> None:
    assert float(text_after(executed, "keras.models.load_model").split("largest difference ")[1]) < 1e-4


def test_the_run_goes_on_to_more_epochs(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    assert len((work_dir / "classic" / "history.csv").read_text().splitlines()) == 5
    assert executed.cells[-1].outputs[-1].data["text/plain"] == "4"


def test_there_is_a_prediction_for_every_unseen_photo(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    lines = (work_dir / "answers.csv").read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("path,predicted_class,probability,p_cat,p_dog")
    assert len(lines) == 11


def test_the_submission_has_the_order_of_the_sample(executed: nbformat.NotebookNode, work_dir: Path) -> None:
    sample, submission = (
        [line.split(",")[0] for line in (work_dir / name).read_text().splitlines()]
        for name in ("sample_submission.csv", "submission.csv")
    )
    assert submission == sample


def test_the_committed_notebook_was_run_from_top_to_bottom(committed: nbformat.NotebookNode) -> None:
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("words", ["grid.png", 'metrics["verdict"]', "answers.png", "def report(record)", "curves.png"])
def test_the_committed_notebook_shows_what_comes_out(committed: nbformat.NotebookNode, words: str) -> None:
    assert outputs_after(committed, words)


def test_the_committed_notebook_is_small() -> None:
    assert NOTEBOOK.stat().st_size < 300_000


def test_the_outputs_of_the_committed_notebook_name_no_place_on_a_machine(committed: nbformat.NotebookNode) -> None:
    texts = [json.dumps(output, ensure_ascii=False) for cell in code_cells(committed) for output in cell.outputs]
    without_pictures = [re.sub('"image/[a-z]+": "[^"]*"', "", text) for text in texts]
    places = [
        found for text in without_pictures for found in re.findall(r"[\"' (](?:/[\w.+-]+){2,}|[A-Z]:\\\\\w+", text)
    ]
    assert places == []


def test_the_committed_notebook_runs_on_whatever_python_is_there(committed: nbformat.NotebookNode) -> None:
    assert committed.metadata.kernelspec.name == "python3"
