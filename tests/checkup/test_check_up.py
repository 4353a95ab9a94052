"""The check-up on drawn photos with planted defects."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tellapart.checkup import check_up
from tellapart.checkup.check_up import Checkup, checkup_to_json
from tellapart.checkup.check_up import check as check_photos
from tellapart.checkup.photo_quality import share_drawn
from tellapart.checkup.thresholds import THRESHOLDS, CheckConfig
from tellapart.cli.app import main
from tellapart.config import SourceConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import DatasetError, DependencyError
from tellapart.images.facts import facts_of
from tellapart.watcher import Watcher


@pytest.fixture
def photos_dir(tmp_path: Path) -> Path:
    """A folder per class with 12 drawn photos each, to be changed at will."""
    return write_demo_folder(tmp_path / "photos", 12, seed=3)


@pytest.fixture
def check(tiny_backbone: Path, source_config: SourceConfig) -> Callable[[Path], Checkup]:
    """A function from a folder to its check-up with a tiny backbone."""
    return lambda source: check_photos(source, backbone=str(tiny_backbone), cache_dir=source_config.cache_dir)


def kinds(checkup: Checkup) -> list[str]:
    return [finding.kind for finding in checkup.findings]


def finding_of(checkup: Checkup, kind: str) -> list[str]:
    """Paths of the photos that the finding of that kind shows, without folders."""
    (finding,) = [finding for finding in checkup.findings if finding.kind == kind]
    return [Path(checkup.photos.paths[row]).name for rows in finding.examples for row in rows]


def classes_of(photos_dir: Path) -> list[Path]:
    return sorted(path for path in photos_dir.iterdir() if path.is_dir())


def some_photo(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def test_photos_without_defects_have_no_problem(check: Callable[[Path], Checkup], animals_dir: Path) -> None:
    checkup = check(animals_dir)
    assert [finding.title for finding in checkup.findings if finding.is_problem] == []
    assert "shapes" in kinds(checkup)


def test_a_copy_in_the_same_class_is_found_and_shares_its_group(
    check: Callable[[Path], Checkup], photos_dir: Path
) -> None:
    photo = some_photo(classes_of(photos_dir)[0])
    shutil.copy(photo, photo.with_name("again" + photo.suffix))
    checkup = check(photos_dir)
    assert set(finding_of(checkup, "copies")) == {photo.name, "again" + photo.suffix}
    rows = [
        row for row, path in enumerate(checkup.photos.paths) if Path(path).name in ("again" + photo.suffix, photo.name)
    ]
    rows = [row for row in rows if Path(checkup.photos.paths[row]).parent.name == photo.parent.name]
    assert len(set(checkup.group_numbers[rows].tolist())) == 1
    assert "cross_class" not in kinds(checkup)


def test_one_photo_in_two_classes_is_a_problem(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    first, second = classes_of(photos_dir)[:2]
    shutil.copy(some_photo(first), second / "stranger.png")
    checkup = check(photos_dir)
    assert "stranger.png" in finding_of(checkup, "cross_class")
    assert checkup.findings[0].is_problem


def test_a_photo_in_train_and_test_is_a_leak(
    check: Callable[[Path], Checkup], photos_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "given"
    shutil.copytree(photos_dir, source / "train")
    for folder in classes_of(photos_dir):
        (source / "test" / folder.name).mkdir(parents=True)
        shutil.copy(some_photo(folder), source / "test" / folder.name / "seen.png")
    assert "leak" in kinds(check(source))


def test_a_picture_of_one_colour_is_found(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    cv2.imwrite(str(classes_of(photos_dir)[0] / "lens-cap.png"), np.full((120, 160, 3), 7, np.uint8))
    assert finding_of(check(photos_dir), "empty") == ["lens-cap.png"]


def test_a_small_photo_and_a_wrong_suffix_are_found(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    folder = classes_of(photos_dir)[0]
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    (folder / "small.jpg").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    checkup = check(photos_dir)
    assert finding_of(checkup, "too_small") == ["small.jpg"]
    assert finding_of(checkup, "wrong_suffix") == ["small.jpg"]


def test_a_dark_photo_is_found_and_white_strokes_on_black_are_none(
    check: Callable[[Path], Checkup], photos_dir: Path
) -> None:
    folder, generator = classes_of(photos_dir)[0], np.random.default_rng(0)
    strokes = generator.integers(0, 4, (150, 150)).astype(np.uint8)
    night = cv2.GaussianBlur(generator.integers(0, 22, (150, 150)).astype(np.uint8), (5, 5), 0)
    cv2.line(strokes, (75, 20), (80, 130), 230, 10)
    night[10:20, 100:110] = 255  # a lamp
    assert max(strokes.mean(), night.mean()) < 0.06 * 255
    for name, image in (("strokes", strokes), ("night", night)):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    assert finding_of(check(photos_dir), "too_dark") == ["night.png"]


def test_copies_of_a_found_photo_are_one_example(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    first, second = classes_of(photos_dir)[:2]
    night = np.random.default_rng(0).integers(0, 22, (150, 150)).astype(np.uint8)
    night = cv2.GaussianBlur(night, (5, 5), 0)
    night[10:20, 100:110] = 255  # a lamp
    cv2.imwrite(str(first / "night.png"), night)
    for number in range(6):
        shutil.copy(first / "night.png", first / f"night{number}.png")
    shutil.copy(first / "night.png", second / "other.png")
    checkup = check(photos_dir)
    (dark,) = [finding for finding in checkup.findings if finding.kind == "too_dark"]
    assert (dark.title, dark.num_photos, dark.is_folded) == ("8 very dark photos", 8, True)
    assert sorted(map(len, dark.examples)) == [1, 7]


def test_masks_among_photos_are_found(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    mask = np.zeros((150, 150), np.uint8)
    cv2.circle(mask, (70, 80), 40, 255, -1)
    cv2.imwrite(str(classes_of(photos_dir)[0] / "outline.png"), mask)
    checkup = check(photos_dir)
    assert "outline.png" in finding_of(checkup, "masks")
    assert not any(finding.is_problem for finding in checkup.findings if finding.kind == "masks")
    for number in range(2):
        cv2.imwrite(str(classes_of(photos_dir)[1] / f"outline{number}.png"), np.roll(mask, 9 * number))
    assert any(finding.is_problem for finding in check(photos_dir).findings if finding.kind == "masks")


def test_photos_whose_classes_are_in_question_are_checked_without_and_the_question_is_said(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> None:
    for camera in ("cam1", "cam2"):
        shutil.copytree(photos_dir, photos_dir.parent / "cameras" / camera)
    notes: list[str] = []
    checkup = check_photos(
        photos_dir.parent / "cameras",
        backbone=str(tiny_backbone),
        cache_dir=source_config.cache_dir,
        watcher=Watcher(on_note=notes.append),
    )
    assert checkup.photos.labels is None
    assert any("`class_level=2`" in note for note in notes)


def draw_seed(number: int, ground: int, noise: float) -> np.ndarray:
    """A small dark seed under even light on plain ground, as a microscope shows it: uint8 `(240, 240)`."""
    generator = np.random.default_rng(number)
    y, x = np.mgrid[:240, :240]
    middle, radii = generator.integers(90, 150, 2), generator.integers(25, 45, 2)
    distance = ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2
    light = 0.6 + 0.6 * np.sqrt(np.clip(1 - distance, 0, 1))
    image = np.where(distance < 1, generator.integers(15, 40) * light, ground) + generator.normal(0, noise, (240, 240))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("ground", "noise"), [(190, 2.0), (190, 1.0), (255, 2.0), (240, 1.0)])
def test_small_things_on_plain_ground_are_not_drawn(
    check: Callable[[Path], Checkup], photos_dir: Path, ground: int, noise: float
) -> None:
    for number in range(10):
        cv2.imwrite(str(classes_of(photos_dir)[0] / f"seed{number}.jpg"), draw_seed(number, ground, noise))
    assert "masks" not in kinds(check(photos_dir))


def draw_grains(number: int, ground: tuple[int, int, int], noise: float) -> np.ndarray:
    """Grains with light and shade on ground that is lit from one side: uint8 `(240, 320, 3)`."""
    generator = np.random.default_rng(number)
    y, x = np.mgrid[:240, :320]
    image = np.array(ground) * (1 - 0.25 * ((x / 320 - 0.3) ** 2 + (y / 240 - 0.4) ** 2))[..., np.newaxis]
    for _ in range(6):
        middle, radii = generator.integers(40, 200, 2), generator.integers(12, 30, 2)
        distance = ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2
        edge = np.clip(4 - 4 * distance, 0, 1)[..., np.newaxis]
        light = 0.5 + 0.25 * (x - middle[0]) / radii[0]
        image = image * (1 - edge) + np.array(ground)[::-1] * light[..., np.newaxis] * edge
    return np.clip(image + generator.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("noise", [0.5, 1.5])
@pytest.mark.parametrize(
    "ground", [(240, 240, 238), (130, 132, 128), (180, 120, 60), (60, 130, 70)], ids=["white", "grey", "blue", "green"]
)
def test_photos_of_a_microscope_are_not_drawn(ground: tuple[int, int, int], noise: float, quality: int) -> None:
    photos = [draw_grains(number, ground, noise) for number in range(6)]
    facts = [
        facts_of(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()) for photo in photos
    ]
    assert max(map(share_drawn, facts)) < CheckConfig().mask


def test_ground_that_is_lit_from_one_side_is_not_several_flat_colours() -> None:
    photos = [draw_grains(number, (60, 130, 70), 0.0) for number in range(6)]
    assert max(share_drawn(facts_of(cv2.imencode(".png", photo)[1].tobytes())) for photo in photos) < CheckConfig().mask


@pytest.mark.parametrize(
    ("suffix", "levels"), [(".png", (0, 255)), (".jpg", (0, 255)), (".png", (40, 120, 200, 250)), (".bmp", (90, 140))]
)
def test_drawn_masks_of_any_kind_are_found(
    check: Callable[[Path], Checkup], photos_dir: Path, suffix: str, levels: tuple[int, ...]
) -> None:
    for number in range(4):
        mask = np.full((240, 240), levels[0], np.uint8)
        for place, level in enumerate(levels[1:]):
            cv2.ellipse(mask, (70 + 45 * place, 120), (35, 50 + number), 10 * number, 0, 360, level, -1)
        cv2.imwrite(str(classes_of(photos_dir)[0] / f"mask{number}{suffix}"), mask)
    assert finding_of(check(photos_dir), "masks") == [f"mask{number}{suffix}" for number in range(4)]


def test_a_class_that_its_file_format_gives_away_is_shown_beside_the_others(
    check: Callable[[Path], Checkup], photos_dir: Path
) -> None:
    first = classes_of(photos_dir)[0]
    for path in sorted(first.iterdir()):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)))
        path.unlink()
    (finding,) = [finding for finding in check(photos_dir).findings if finding.kind == "shortcuts"]
    assert finding.title == f"All 12 photos of {first.name!r} are PNG files, and none of the 12 others"
    assert finding.action == "Save all photos in one format, from the originals."
    assert first.name in finding.captions
    assert "the others" in finding.captions
    assert {tuple(sorted(rows)) for rows in finding.examples} == {tuple(range(12)), tuple(range(12, 24))}


def test_an_unbalanced_collection_is_told(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    for path in sorted(classes_of(photos_dir)[0].iterdir())[3:]:
        path.unlink()
    found = kinds(check(photos_dir))
    assert "imbalance" in found
    assert "few_photos" in found


def test_photos_without_labels_are_checked_for_what_needs_none(
    check: Callable[[Path], Checkup], photos_dir: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(classes_of(photos_dir)[0].iterdir())):
        shutil.copy(path, flat / f"{number}.png")
    shutil.copy(flat / "3.png", flat / "12.png")
    checkup = check(flat)
    assert checkup.photos.labels is None
    assert set(finding_of(checkup, "copies")) == {"3.png", "12.png"}


def test_a_source_without_a_readable_photo_is_refused(check: Callable[[Path], Checkup], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(
        DatasetError, match="no photo of .* can be read. The first one is cut off|no photo of .* can be read"
    ):
        check(tmp_path / "photos")


def test_where_every_photo_is_the_same_one_the_check_up_says_so(
    check: Callable[[Path], Checkup], photos_dir: Path, tmp_path: Path
) -> None:
    photo = some_photo(classes_of(photos_dir)[0])
    for name in ("a", "b"):
        (tmp_path / "same" / name).mkdir(parents=True)
        for number in range(4):
            shutil.copy(photo, tmp_path / "same" / name / f"{number}.png")
    checkup = check(tmp_path / "same")
    assert "cross_class" in kinds(checkup)
    assert len(set(checkup.group_numbers.tolist())) == 1


def test_where_classes_differ_in_a_speck_near_copies_are_given_up(
    check: Callable[[Path], Checkup], tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    belt = cv2.GaussianBlur(generator.integers(0, 255, (200, 200), np.uint8), (0, 0), 6)
    for name in ("fine", "flawed"):
        (tmp_path / "belt" / name).mkdir(parents=True)
        for number in range(8):
            image = np.clip(belt + generator.normal(0, 2, belt.shape), 0, 255).astype(np.uint8)
            if name == "flawed":
                image[number * 20 + 10, 50:54] = 255
            cv2.imwrite(str(tmp_path / "belt" / name / f"{number}.png"), image)
    checkup = check(tmp_path / "belt")
    assert "alike" in kinds(checkup)
    assert len(set(checkup.group_numbers.tolist())) == 16


def test_without_a_backbone_labels_are_not_checked_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch, animals_dir: Path, source_config: SourceConfig
) -> None:
    def refuse(*arguments: object) -> None:
        raise DependencyError("PyTorch is not installed; pip install 'tellapart[train]'.")

    monkeypatch.setattr(check_up, "start_backbone", refuse)
    notes: list[str] = []
    checkup = check_photos(animals_dir, cache_dir=source_config.cache_dir, watcher=Watcher(on_note=notes.append))
    assert checkup.probabilities is None
    assert "labels were not checked" in notes[0]
    assert "pip install" in notes[0]


def test_the_json_names_photos_by_their_paths(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    first, second = classes_of(photos_dir)[:2]
    shutil.copy(some_photo(first), second / "stranger.png")
    found = json.loads(json.dumps(checkup_to_json(check(photos_dir))))
    (group,) = [group for group in found["groups"] if group["kind"] == "copies"]
    assert any(path.endswith("stranger.png") for path in group["photos"])
    assert found["num_photos"] == sum(found["counts"].values())


def test_the_command_prints_writes_and_ends_with_2_when_strict(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    photos_dir: Path,
    tmp_path: Path,
    cache_dir: str,
) -> None:
    first, second = classes_of(photos_dir)[:2]
    shutil.copy(some_photo(first), second / "stranger.png")
    page, table = tmp_path / "check.html", tmp_path / "check.json"
    words = ["tellapart", "check", str(photos_dir), "--html", str(page), "--json", str(table), "--strict"]
    monkeypatch.setattr(sys, "argv", [*words, "--cache-dir", cache_dir])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert "! 1 photo in more than one class" in printed.out
    assert "stranger.png" in printed.out
    assert "problems in" in printed.err
    assert page.read_bytes().startswith(b"<!doctype html>") or page.read_bytes().startswith(b"<!DOCTYPE html>")
    assert json.loads(table.read_bytes())["findings"]


def test_the_table_has_a_row_a_photo_and_a_score_and_an_answer_for_each_respect(
    check: Callable[[Path], Checkup], photos_dir: Path
) -> None:
    first, second = classes_of(photos_dir)[:2]
    shutil.copy(some_photo(first), second / "stranger.png")
    cv2.imwrite(str(first / "lens-cap.png"), np.full((40, 50, 3), 7, np.uint8))
    checkup = check(photos_dir)
    frame = checkup.to_frame()
    assert list(frame["path"]) == list(checkup.photos.paths)
    assert set(frame["class"]) == set(checkup.photos.class_names)
    names = [name.removeprefix("is_") for name in frame.columns if name.startswith("is_")]
    assert list(frame.columns[2:]) == [column for name in names for column in (f"{name}_score", f"is_{name}")]
    assert {"copy", "cross_class", "label_suspect", "outlier", "empty", "too_dark", "too_small"} <= set(names)
    for name in names:
        assert frame[f"is_{name}"].dtype == bool
        scores = frame[f"{name}_score"].dropna()
        assert scores.between(0, 1).all()
        assert scores.dtype == float


def test_the_table_names_the_photos_that_the_findings_name(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    first, second = classes_of(photos_dir)[:2]
    shutil.copy(some_photo(first), second / "stranger.png")
    cv2.imwrite(str(first / "lens-cap.png"), np.full((40, 50, 3), 7, np.uint8))
    checkup = check(photos_dir)
    frame = checkup.to_frame().set_index(checkup.to_frame()["path"].map(lambda path: Path(path).name))
    assert list(frame.index[frame["is_empty"]]) == finding_of(checkup, "empty") == ["lens-cap.png"]
    assert list(frame.index[frame["is_too_small"]]) == finding_of(checkup, "too_small")
    assert frame.loc["lens-cap.png", "empty_score"] == frame["empty_score"].min() < 0.5
    assert frame.loc["stranger.png", "cross_class_score"] == 0.5
    assert frame["is_copy"].sum() == 2


def test_photos_without_labels_have_no_scores_of_labels(
    check: Callable[[Path], Checkup], photos_dir: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(classes_of(photos_dir)[0].iterdir())):
        shutil.copy(path, flat / f"{number}.png")
    frame = check(flat).to_frame()
    assert set(frame["class"]) == {None}
    assert "is_label_suspect" not in frame.columns
    assert not frame["is_too_dark"].any()


def test_all_photos_of_a_finding_are_in_the_json(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    caps = [f"cap{number:02d}.png" for number in range(30)]
    for number, name in enumerate(caps):
        cv2.imwrite(str(classes_of(photos_dir)[number % 2] / name), np.full((70, 80, 3), 40 + 5 * number, np.uint8))
    found = checkup_to_json(check(photos_dir))
    (empty,) = [finding for finding in found["findings"] if finding["kind"] == "empty"]
    assert sorted(Path(path).name for (path,) in empty["examples"]) == caps
    assert empty["num_photos"] == len(empty["captions"]) == 30


def test_all_groups_of_copies_are_in_the_json(check: Callable[[Path], Checkup], tmp_path: Path) -> None:
    photos_dir = write_demo_folder(tmp_path / "many", 20, seed=1)
    first = classes_of(photos_dir)[0]
    for path in sorted(first.iterdir()):
        shutil.copy(path, first / f"again-{path.name}")
    found = checkup_to_json(check(photos_dir))
    (copies,) = [finding for finding in found["findings"] if finding["kind"] == "copies"]
    assert sorted({path for group in copies["examples"] for path in group}) == sorted(
        path.relative_to(photos_dir.parent).as_posix() for path in first.iterdir()
    )


def test_every_figure_stands_beside_its_threshold(check: Callable[[Path], Checkup], photos_dir: Path) -> None:
    checkup = check(photos_dir)
    figures = {figure.name: figure for figure in checkup.figures}
    assert set(figures) == set(THRESHOLDS)
    sides = [min(facts.height, facts.width) for facts in checkup.seen.facts]
    assert (figures["small"].median, figures["small"].worst) == (np.median(sides), min(sides))
    assert figures["few"].threshold == CheckConfig().few
    assert checkup_to_json(checkup)["figures"][0].keys() == {
        *("name", "meaning", "threshold", "median", "worst", "num_found")
    }


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"dark": 1.0}, "too_dark"),
        ({"blurred": 10.0}, "too_blurred"),
        ({"small": 100_000}, "too_small"),
        ({"empty": 0.5}, "empty"),
        ({"few": 1000}, "few_photos"),
        ({"odd": 0.0}, "outliers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_threshold_that_is_moved_names_more_photos(
    settings: dict[str, float], kind: str, photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> None:
    cache_dir = source_config.cache_dir
    before = check_photos(photos_dir, backbone=str(tiny_backbone), cache_dir=cache_dir)
    after = check_photos(photos_dir, backbone=str(tiny_backbone), cache_dir=cache_dir, **settings)  # type: ignore[arg-type]
    (finding,) = [finding for finding in after.findings if finding.kind == kind]
    assert finding.num_photos > sum(one.num_photos for one in before.findings if one.kind == kind)
    (figure,) = [figure for figure in after.figures if figure.name in settings]
    assert figure.threshold == settings[figure.name]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("drak=0.1", "There is no setting `drak`. Did you mean `dark`?"),
        ("dark=2", "`dark` 2 must be between 0 and 1"),
        ("dark=nan", "`dark` nan must be between 0 and 1"),
        ("dark", "--set 'dark' has no number"),
        ("small=1.5", "`small` 1.5 must be a whole number"),
    ],
    ids=["name", "range", "nan", "no number", "not whole"],
)
def test_a_threshold_that_cannot_be_is_refused_before_a_photo_is_read(
    given: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tellapart", "check", str(tmp_path / "nowhere"), "--set", given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
