import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tellapart.cli import app as cli_app
from tellapart.cli.app import main
from tellapart.cli.train import default_run_dir, describe_more, parse_image_size
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import ConfigError, DatasetError
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.runs.job import Run


@pytest.fixture(scope="module")
def animals_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 10 drawn photos each."""
    return write_demo_folder(tmp_path_factory.mktemp("cli") / "animals", 10, seed=3)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["tellapart", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def run_dir(animals_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the command line trained."""
    folder = tmp_path_factory.mktemp("cli-run")
    with pytest.MonkeyPatch.context() as patch:
        flags = ["--epochs", 1, "--image-size", "46x48", "--batch-size", 8, "--cache-dir", folder / "cache"]
        assert run(patch, "train", animals_dir, "--recipe", "classic", "--out", folder / "run", *flags) == 0
    return folder / "run"


@pytest.mark.parametrize(
    "command",
    ["show", "check", "fix", "train", "report", "summary", "predict", "evaluate", "compare", "embed", "cache", "demo"],
)
def test_every_command_has_help(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, command, "--help") == 0


def test_training_says_what_it_did(
    animals_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", 1, "--image-size", "46", "--batch-size", 8, "--seed", 4, "--grayscale", "--no-augment"]
    flags += ["--recipe", "classic"]
    code = run(monkeypatch, "train", animals_dir, "--out", tmp_path / "run", "--cache-dir", tmp_path / "c", *flags)
    output = capsys.readouterr().out
    assert code == 0
    assert "20 photos: cat 10, dog 10" in output
    assert "Training on 16 photos, testing on 4 photos." in output
    assert "epoch   1  loss" in output
    assert "Verdict: Too few photos to know. Do not rely on the model yet." in output
    assert "Always answering 'cat' gets 50%. Tested on 4 photos that were kept out of the training." in output
    assert "Do this first: Add photos of 'cat' and 'dog'." in output
    config = json.loads((tmp_path / "run" / "metrics.json").read_bytes())["config"]
    assert (config["image_size"], config["channels"], config["augment"], config["seed"]) == ([46, 46], 1, None, 4)


def test_resume_goes_on_to_more_epochs(
    animals_dir: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert (
        run(monkeypatch, "train", animals_dir, "--out", run_dir, "--resume", "--epochs", 2, "--cache-dir", cache) == 0
    )
    assert json.loads((run_dir / "metrics.json").read_bytes())["num_epochs"] == 2


def test_summary_adds_up(run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "summary", run_dir) == 0
    output = capsys.readouterr().out
    assert "conv_1" in output
    assert "Total parameters: 307,393" in output


def test_predict_prints_writes_and_draws(
    animals_dir: Path,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    csv_path, grid_path = tmp_path / "answers.csv", tmp_path / "answers.png"
    flags = ["--csv", csv_path, "--grid", grid_path, "--limit", 3]
    assert run(monkeypatch, "predict", run_dir, animals_dir / "cat", animals_dir / "dog", *flags) == 0
    lines = csv_path.read_text("utf-8-sig").splitlines()
    assert lines[0] == "path,predicted_class,probability,p_cat,p_dog,nearest_class,answer"
    assert len(lines) == 21
    assert grid_path.read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_submission_keeps_the_columns_and_order_of_the_sample(
    animals_dir: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample.csv").write_text("id,label\ncat.3,0.5\ncat.1,0.5\n")
    flags = ["--submission", tmp_path / "sample.csv", "--out", tmp_path / "mine.csv"]
    assert run(monkeypatch, "predict", run_dir, animals_dir / "cat", *flags) == 0
    header, first, second = (tmp_path / "mine.csv").read_text().splitlines()
    assert header == "id,label"
    assert (first.split(",")[0], second.split(",")[0]) == ("cat.3", "cat.1")
    assert 0 < float(first.split(",")[1]) < 1


def test_report_says_where_the_page_is_and_opens_it_when_asked(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    assert run(monkeypatch, "report", run_dir) == 0
    assert capsys.readouterr().out.strip() == str(run_dir / "report.html")
    assert opened == []
    assert run(monkeypatch, "report", run_dir, "--open") == 0
    assert opened == [(run_dir / "report.html").resolve().as_uri()]


def test_what_more_time_may_bring_is_said_in_multiples_of_it(run_dir: Path) -> None:
    labels = np.arange(800) % 2
    accuracy = evaluate_probabilities(labels, np.eye(2)[(labels + (np.arange(800) < 80)) % 2], ("cat", "dog"))
    said = describe_more(Run(run_dir, accuracy, (), (), (), False, (), seconds=600.0))
    assert re.match(
        r"The training took 10\.0 minutes\. Expect about 92\.\d% with twice the --minutes and about 94\.\d% with four",
        said,
    )


def test_evaluate_writes_the_promised_numbers(
    animals_dir: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "evaluate", run_dir, animals_dir, "--json", tmp_path / "scores.json") == 0
    scores = json.loads((tmp_path / "scores.json").read_bytes())
    promised = {"accuracy", "interval_95", "num_photos", "log_loss", "per_class", "confusion_matrix"}
    assert promised <= set(scores)
    assert (scores["num_photos"], scores["num_known"]) == (4, 16)


def test_a_training_from_scratch_says_its_plan_and_from_few_photos_foretells_nothing(
    animals_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--recipe", "scratch", "--epochs", "1", "--image-size", "32", "--no-flip", "--out", tmp_path / "run"]
    assert run(monkeypatch, "train", animals_dir, *flags, "--cache-dir", tmp_path / "cache") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "note: the plan: 1 epoch at 32x32 pixels. The model predicts at 32x32 pixels." in said
    assert "Expect about" not in said
    assert run(monkeypatch, "predict", tmp_path / "run", animals_dir, "--grid", tmp_path / "g.png", "--heatmap") == 0
    assert (tmp_path / "g.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere"], "nowhere"),
        (["train", ".", "--recipe", "classic", "--optimizer", "rmsprob"], "Did you mean 'rmsprop'"),
        (["train", ".", "--image-size", "big"], "--image-size 'big' is not a size"),
        (["train", ".", "--validation", "1"], "--validation 1.0 must be above 0 and below 1"),
        (["train", ".", "--epochs", "many"], "--epochs"),
        (["train", ".", "--epochs", "3"], "--epochs has no effect with --recipe transfer"),
        (["train", ".", "--recipe", "classic", "--folds", "3"], "--folds has no effect with --recipe classic"),
        (["train", ".", "--grayscale", "--no-augment"], "--grayscale, --no-augment have no effect"),
        (["train", ".", "--recipe", "transfer", "--minutes", "5"], "--minutes has no effect with --recipe transfer"),
        (["train", ".", "--minutes", "5", "--steps", "3"], "--minutes 5.0 and --steps 3 were both"),
        (
            ["train", ".", "--no-flip", "--recipe", "classic"],
            "--flip has no effect with --recipe classic. Leave it out",
        ),
        (["train", ".", "--rotations"], "or give --recipe scratch."),
        (["train", ".", "--epochs", "3"], "or give --recipe scratch or --recipe classic."),
        (
            ["train", ".", "--recipe", "scratch", "--optimizer", "sgd"],
            "--optimizer has no effect with --recipe scratch",
        ),
        (
            ["train", ".", "--recipe", "scratch", "--minutes", "5", "--epochs", "3"],
            "--minutes 5.0 and --epochs 3 were both",
        ),
        (["train", ".", "--recipe", "scratch", "--minutes", "0"], "--minutes 0.0 must be between"),
        (["train", ".", "--recipe", "transfr"], "Did you mean 'transfer'"),
        (["train", ".", "--folds", "1"], "--folds 1 must be between"),
        (["compare", ".", "--recipes", "transfer"], "--recipes 'transfer' are not two different recipes"),
        (["compare", ".", "--recipes", "transfer,magic"], "--recipes 'magic' is not known"),
        (["predict", "nowhere", "x.jpg"], "nowhere"),
        (["predict", "m", "x.jpg", "--submission", "s.csv"], "give --submission and --out together"),
        (["frobnicate"], "frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_explained_and_ends_with_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_ours_is_one_line_whatever_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "train", tmp_path / "two\nlines") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_defect_ends_with_code_1_and_says_that_it_is_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str], **settings: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(cli_app, "app", fail)
    assert run(monkeypatch, "show", ".") == 1
    assert "a defect of tellapart, not of your photos: ZeroDivisionError: boom" in capsys.readouterr().err


def test_ctrl_c_ends_with_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arguments: list[str], **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_app, "app", interrupt)
    assert run(monkeypatch, "show", ".") == 130


def test_image_size_is_height_by_width() -> None:
    assert parse_image_size("150") == (150, 150)
    assert parse_image_size("100x200") == (100, 200)
    with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
        parse_image_size("1x2x3")


def test_runs_without_out_are_numbered_and_resume_takes_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="`resume` finds no run of 'pets'"):
        default_run_dir(["pets"], "classic", resume=True)
    assert default_run_dir(["pets"], "classic", resume=False) == Path("runs/pets-classic")
    Path("runs/pets-classic").mkdir(parents=True)
    assert default_run_dir(["pets.zip"], "classic", resume=False) == Path("runs/pets-classic-2")
    assert default_run_dir(["pets"], "classic", resume=True) == Path("runs/pets-classic")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tellapart', '--help']\n"
        "from tellapart.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'cv2', 'keras', 'torch', 'onnxruntime', 'matplotlib', 'pandas', 'sklearn'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"


def test_predicting_with_a_csv_loads_neither_keras_nor_pytorch(
    animals_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    photo = animals_dir / "cat" / "cat.0.jpg"
    code = (
        f"import sys; sys.argv = ['tellapart', 'predict', {str(run_dir)!r}, {str(photo)!r}, '--csv',"
        f" {str(tmp_path / 'answer.csv')!r}]\n"
        "from tellapart.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'keras', 'torch', 'tensorflow', 'jax', 'matplotlib', 'pandas', 'sklearn', 'scipy'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"
    assert (tmp_path / "answer.csv").exists()


def test_embed_says_what_it_wrote(
    animals_dir: Path,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--backbone", tiny_backbone, "--cache-dir", tmp_path / "cache"]
    assert run(monkeypatch, "embed", animals_dir, "--out", tmp_path / "out.npz", *flags) == 0
    assert "20 photos as vectors of 24 numbers in" in capsys.readouterr().out


def test_training_with_a_backbone_says_how_it_was_measured(
    animals_dir: Path,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--backbone", tiny_backbone, "--cache-dir", tmp_path / "cache"]
    assert run(monkeypatch, "train", animals_dir, "--out", tmp_path / "run", *flags) == 0
    output = capsys.readouterr().out
    assert "Training on 20 photos, testing by cross-validation." in output
    assert "Verdict: " in output
    assert "Tested by cross-validation. The saved model was trained on all photos." in output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_bytes())
    assert f"Verdict: {metrics['verdict']}. " in output
    assert all(reason in output for reason in metrics["reasons"])


def test_resume_keeps_the_settings_of_a_transfer_run(
    animals_dir: Path, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ["train", animals_dir, "--out", tmp_path / "run", "--cache-dir", tmp_path / "cache"]
    assert run(monkeypatch, *shared, "--backbone", tiny_backbone, "--folds", 3, "--seed", 8) == 0
    assert run(monkeypatch, *shared, "--resume") == 0
    config = json.loads((tmp_path / "run" / "metrics.json").read_bytes())["config"]
    assert (config["folds"], config["seed"], config["backbone"]) == (3, 8, tiny_backbone.name)


@pytest.mark.slow
def test_compare_prints_a_table_and_the_test_in_words(
    animals_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", 1, "--out", tmp_path / "runs", "--cache-dir", tmp_path / "cache"]
    assert run(monkeypatch, "compare", animals_dir, *flags) == 0
    output = capsys.readouterr().out
    assert "On the same 4 validation photos:" in output
    assert "chance" in output or "the same photos" in output
    assert (tmp_path / "runs" / "comparison.png").exists()


def test_the_package_runs_as_the_command_does() -> None:
    command = [sys.executable, "-m", "tellapart", "train"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "SOURCE is missing" in result.stderr


@pytest.mark.parametrize(("set_by_user", "level"), [("", ""), ("INFO", "INFO")])
def test_the_command_leaves_opencv_as_the_user_has_set_it(
    set_by_user: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_LOG_LEVEL", set_by_user)
    monkeypatch.setattr(sys, "argv", ["tellapart", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OPENCV_LOG_LEVEL"] == level


def test_the_command_keeps_opencv_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "restored after the test")
    monkeypatch.delenv("OPENCV_LOG_LEVEL")
    monkeypatch.setattr(sys, "argv", ["tellapart", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OPENCV_LOG_LEVEL"] == "SILENT"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 3.20 TiB for an array"), "one step asked for 3.20 TiB. Close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 512 bytes."), "512 bytes"),
        (MemoryError(), "not enough memory. Close other programs, or use a machine with more memory."),
    ],
    ids=["NumPy", "PyTorch", "no words"],
)
def test_a_lack_of_memory_says_what_to_do(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str], **settings: object) -> None:
        raise error

    monkeypatch.setattr(cli_app, "app", fail)
    assert run(monkeypatch, "show", ".") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_advice_on_memory_names_the_flags_of_the_command_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tellapart.runs.train.train", fail)
    monkeypatch.setattr("tellapart.commands.show.show", fail)
    assert run(monkeypatch, "train", tmp_path, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert all(flag in said for flag in ("--per-class", "--eyes quick", "--image-size", "--batch-size"))
    assert run(monkeypatch, "show", tmp_path) == 2
    assert "--" not in capsys.readouterr().err.replace("--per-class", "")
