import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tellapart.commands.evaluate import evaluate, evaluation_to_json
from tellapart.errors import DatasetError, OutputError
from tellapart.measure.intervals import wilson_interval
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.records import Dial
from tellapart.store import to_json_bytes

Paint = Callable[..., Path]


def paint_folder(paint: Paint, label: str, colour: str, num: int) -> None:
    for number in range(num):
        paint(f"unseen/{label}/{number}.png", colour, size=(20 + number, 30))


def test_right_and_wrong_photos_are_counted(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "blue", "blue", 3)
    paint_folder(paint, "red", "red", 2)
    paint("unseen/red/mistake.png", "blue")
    evaluation = evaluate(model_dir, tmp_path / "unseen")
    assert evaluation.accuracy == pytest.approx(5 / 6)
    assert evaluation.interval_95 == wilson_interval(5, 6)
    assert evaluation.confusion_matrix == ((3, 0), (1, 2))
    assert (evaluation.skipped, evaluation.known_paths) == ((), ())


def test_classes_are_matched_by_name_and_not_by_number(
    make_bundle: Callable[..., Bundle], paint: Paint, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "model", make_bundle(("red", "green", "blue")))
    paint_folder(paint, "blue", "blue", 2)  # class 0 of the source, class 2 of the model
    paint_folder(paint, "green", "green", 2)
    evaluation = evaluate(tmp_path / "model", tmp_path / "unseen")
    assert evaluation.confusion_matrix == ((0, 0, 0), (0, 2, 0), (0, 0, 2))


def test_what_the_threshold_of_the_model_misses_is_told(
    make_bundle: Callable[..., Bundle], paint: Paint, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "model", make_bundle(dial=Dial("red", 0.002)))
    paint_folder(paint, "blue", "blue", 3)
    paint_folder(paint, "red", "red", 2)
    evaluation = evaluate(tmp_path / "model", tmp_path / "unseen")
    assert evaluation.accuracy == 1.0
    (said,) = [note for note in evaluation.notes if note.startswith("A photo is 'red' from probability 0.002 on.")]
    assert "it missed 0 (0%" in said
    assert "Of 3 others it called 3 'red' (100%" in said


def test_photos_of_one_class_are_evaluated(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint("unseen/red.1.png", "red")
    paint("unseen/red.2.png", "red")
    evaluation = evaluate(model_dir, tmp_path / "unseen")
    assert (evaluation.accuracy, evaluation.num_photos) == (1.0, 2)


def test_an_unreadable_photo_and_a_stray_file_do_not_shift_the_labels(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    paint_folder(paint, "blue", "blue", 2)
    paint_folder(paint, "red", "red", 2)
    (tmp_path / "unseen" / "blue" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "unseen" / "blue" / "readme.txt").write_text("notes")
    evaluation = evaluate(model_dir, tmp_path / "unseen")
    assert evaluation.confusion_matrix == ((1, 0), (0, 2))
    assert sorted(Path(one.path).name for one in evaluation.skipped) == ["0.png", "readme.txt"]


def test_an_unknown_class_is_named_with_the_nearest_known_one(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "Reds", "red", 2)
    paint_folder(paint, "blue", "blue", 2)
    with pytest.raises(DatasetError, match="the class 'Reds'.*knows 'blue', 'red'. Did you mean 'red' by 'Reds'"):
        evaluate(model_dir, tmp_path / "unseen")


def test_unknown_classes_without_a_likeness_get_no_suggestion(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "zebra", "red", 2)
    paint_folder(paint, "yak", "blue", 2)
    with pytest.raises(DatasetError, match="the classes 'yak', 'zebra'") as caught:
        evaluate(model_dir, tmp_path / "unseen")
    assert "Did you mean" not in str(caught.value)


def test_nothing_readable_is_an_error_with_the_first_reason(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "red", "red", 1)
    paint_folder(paint, "blue", "blue", 1)
    for path in (tmp_path / "unseen").rglob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetError, match="none of the 2 photos of .* can be read. The first: "):
        evaluate(model_dir, tmp_path / "unseen")


def test_the_json_has_what_is_promised(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "blue", "blue", 2)
    paint_folder(paint, "red", "blue", 2)
    evaluation = evaluate(model_dir, tmp_path / "unseen")
    read_back = json.loads(to_json_bytes(evaluation_to_json(evaluation)))

    def bounds(label: int) -> list[float]:
        return list(evaluation.per_class[label].recall_interval_95 or ())

    assert read_back == {
        "accuracy": 0.5,
        "interval_95": list(evaluation.interval_95),
        "num_photos": 4,
        "num_skipped": 0,
        "num_known": 0,
        "num_near_copies": 0,
        "num_other_splits": 0,
        "verdict": "Too few photos to know",
        "reasons": list(evaluation.verdict.reasons),
        "next_steps": [asdict(step) for step in evaluation.steps],
        "promise": evaluation.promise,
        "mistakes": [asdict(mistake) for mistake in evaluation.mistakes],
        "num_groups": evaluation.num_groups,
        "balanced_accuracy": 0.5,
        "balanced_interval_95": list(evaluation.balanced_interval_95),
        "macro_f1": evaluation.macro_f1,
        "constant_class": "blue",
        "constant_accuracy": 0.5,
        "log_loss": evaluation.log_loss,
        "class_names": ["blue", "red"],
        "per_class": [
            {
                "class_name": "blue",
                "num_photos": 2,
                "num_groups": 2,
                "precision": 0.5,
                "recall": 1.0,
                "recall_interval_95": bounds(0),
            },
            {
                "class_name": "red",
                "num_photos": 2,
                "num_groups": 2,
                "precision": None,
                "recall": 0.0,
                "recall_interval_95": bounds(1),
            },
        ],
        "confusion_matrix": [[2, 0], [2, 0]],
    }


def test_copies_count_as_one_photo(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "blue", "blue", 3)
    first = sorted((tmp_path / "unseen" / "blue").iterdir())[0]
    for number in range(5):
        (first.parent / f"again{number}.png").write_bytes(first.read_bytes())
    evaluation = evaluate(model_dir, tmp_path / "unseen")
    assert evaluation.num_photos == 8
    assert evaluation.num_groups <= 3


def test_copies_of_a_mistake_share_a_line(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "red", "red", 3)
    first = paint("unseen/red/mistake.png", "blue")
    for number in range(3):
        (first.parent / f"again{number}.png").write_bytes(first.read_bytes())
    (mistake,) = evaluate(model_dir, tmp_path / "unseen").mistakes
    assert (mistake.class_name, mistake.predicted_class, mistake.num_photos) == ("red", "blue", 4)


def test_the_page_has_the_verdict_of_the_evaluation(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "blue", "blue", 12)
    paint_folder(paint, "red", "red", 12)
    evaluation = evaluate(model_dir, tmp_path / "unseen", html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert f"<b>{evaluation.verdict.word}</b>" in page
    assert re.search(f"A test of the model in (<[^>]*>)+{re.escape(model_dir.name)}<", page)
    assert "Tested on 24 photos that the model was not trained on." in page


def test_a_page_is_never_written_over_a_photo(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint_folder(paint, "red", "red", 2)
    photo = tmp_path / "unseen" / "red" / "0.png"
    before = photo.read_bytes()
    with pytest.raises(OutputError):
        evaluate(model_dir, tmp_path / "unseen", html=photo)
    assert photo.read_bytes() == before
