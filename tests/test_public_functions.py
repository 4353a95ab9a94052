"""The public functions, each called from Python as a reader of the README would, on a few drawn photos."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tellapart
from tellapart.commands.compare import CompareConfig
from tellapart.photos.photoset import join_photos
from tellapart.predict.bundle import Bundle

Paint = Callable[..., Path]
DRAWN = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EYE = "efficientnet-lite0@64"
BROKEN = b"\xff\xd8\xff\xe0 no photo"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three folders with two photos each of one or two colours, drawn with some noise; not to be changed."""
    root, generator = tmp_path_factory.mktemp("places"), np.random.default_rng(3)
    for place, labels in (("first", ("blue", "red")), ("second", ("red", "green")), ("third", ("green", "blue"))):
        for label in labels:
            (root / place / label).mkdir(parents=True)
            for number in range(2):
                pixels = generator.integers(0, 60, (20, 26, 3)).astype(np.uint8)
                pixels[..., ("red", "green", "blue").index(label)] += 190
                Image.fromarray(pixels).save(root / place / label / f"{number}.png")
    return tuple(sorted(root.iterdir()))


@pytest.fixture(scope="module")
def run(
    places: tuple[Path, ...], tiny_backbone: Path, cache_dir: str, tmp_path_factory: pytest.TempPathFactory
) -> tellapart.Run:
    """A finished run on the first two places; not to be changed."""
    out = tmp_path_factory.mktemp("run") / "run"
    return tellapart.train(list(places[:2]), out, backbone=str(tiny_backbone), cache_dir=cache_dir)


@pytest.mark.parametrize("kind", [str, Path, tellapart.open_photos, lambda place: [place]])
def test_a_folder_is_opened_however_it_is_given(places: tuple[Path, ...], kind: Callable[[Path], object]) -> None:
    photos = tellapart.open_photos(kind(places[0]))  # type: ignore[arg-type]
    assert photos.counts() == {"blue": 2, "red": 2}


def test_a_photo_set_is_given_back_as_it_is(places: tuple[Path, ...]) -> None:
    photos = tellapart.open_photos(places[0])
    assert tellapart.open_photos(photos) is photos


@DRAWN
@given(chosen=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([str, Path])), min_size=1, max_size=4))
def test_a_list_has_the_photos_of_all_in_order(
    places: tuple[Path, ...], chosen: Sequence[tuple[int, Callable[[Path], str | Path]]]
) -> None:
    photos = tellapart.open_photos([kind(places[row]) for row, kind in chosen])
    assert photos.paths == tuple(path for row, _ in chosen for path in tellapart.open_photos(places[row]).paths)


@DRAWN
@given(rows=st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_joined_photos_keep_their_classes(places: tuple[Path, ...], rows: list[int]) -> None:
    photos = join_photos([tellapart.open_photos(places[row]) for row in rows])
    assert photos.labels is not None
    classes = [photos.class_names[label] for label in photos.labels]
    assert classes == [Path(path).parent.name for path in photos.paths]


@DRAWN
@given(rows=st.lists(st.integers(0, 2), min_size=2, max_size=4))
def test_joined_photos_know_each_source(places: tuple[Path, ...], rows: list[int]) -> None:
    photos = join_photos([tellapart.open_photos(places[row]) for row in rows])
    assert photos.sources == tuple(str(places[row]) for row in rows)


def test_a_single_set_is_joined_to_itself(places: tuple[Path, ...]) -> None:
    photos = tellapart.open_photos(places[0])
    assert join_photos([photos]) is photos


@DRAWN
@given(rows=st.lists(st.integers(0, 3), max_size=4))
def test_a_photo_set_is_shown_in_one_line_with_its_counts(places: tuple[Path, ...], rows: list[int]) -> None:
    photos = tellapart.open_photos(places[0]).take(rows)
    blue = sum(row < 2 for row in rows)
    num = f"{len(rows)} photo{'s' * (len(rows) != 1)}"
    assert repr(photos) == f"PhotoSet({num}: blue {blue}, red {len(rows) - blue}; {places[0]})"


def test_photos_without_classes_are_shown_without_them(paint: Paint) -> None:
    path = paint("1.png", "red")
    assert repr(tellapart.open_photos([path])) == f"PhotoSet(1 photo; {path})"


def test_skipped_files_are_counted_where_a_photo_set_is_shown(paint: Paint, tmp_path: Path) -> None:
    paint("mine/red/1.png", "red")
    paint("mine/blue/1.png", "blue")
    (tmp_path / "mine" / "red" / "note.txt").write_text("note")
    assert "; 1 skipped; " in repr(tellapart.open_photos(tmp_path / "mine"))


@DRAWN
@given(rows=st.lists(st.integers(0, 1), max_size=2, unique=True))
def test_an_evaluation_names_the_photos_that_were_learnt_from(
    run: tellapart.Run, places: tuple[Path, ...], rows: list[int]
) -> None:
    learnt = [places[row] for row in rows]
    evaluation = tellapart.evaluate(run.run_dir, [*learnt, places[2]])
    assert evaluation.known_paths == tuple(path for place in learnt for path in tellapart.open_photos(place).paths)


def test_unknown_photos_are_measured_as_if_the_known_were_not_there(
    run: tellapart.Run, places: tuple[Path, ...]
) -> None:
    both, alone = tellapart.evaluate(run.run_dir, list(places)), tellapart.evaluate(run.run_dir, places[2])
    assert (both.num_known, alone.num_known) == (8, 0)
    assert (both.num_photos, both.accuracy, both.confusion_matrix) == (
        alone.num_photos,
        alone.accuracy,
        alone.confusion_matrix,
    )


@DRAWN
@given(kinds=st.lists(st.sampled_from(["array", "pillow", "bytes", "broken"]), max_size=12))
def test_skipped_is_complete_when_all_predictions_are_read(
    make_bundle: Callable[..., Bundle], kinds: list[str]
) -> None:
    pixels = np.full((12, 16, 3), (255, 0, 0), np.uint8)
    image = Image.fromarray(pixels)
    images = {"array": pixels, "pillow": image, "bytes": _png(image), "broken": BROKEN}
    predictions = tellapart.Model(make_bundle()).predict([images[kind] for kind in kinds])
    read = [prediction.path for prediction in predictions]
    broken = [f"image {row}" for row, kind in enumerate(kinds) if kind == "broken"]
    assert [skipped.path for skipped in predictions.skipped] == broken
    assert read == [f"image {row}" for row, kind in enumerate(kinds) if kind != "broken"]


def test_embed_gives_a_vector_for_each_photo(places: tuple[Path, ...], cache_dir: str, tmp_path: Path) -> None:
    seen = tellapart.embed(places[0], tmp_path / "vectors.npz", backbone=EYE, cache_dir=cache_dir)
    with np.load(tmp_path / "vectors.npz") as stored:
        assert len(stored["embeddings"]) == len(seen.photos) == 4


def test_fix_copies_the_photos_without_the_copies(paint: Paint, tmp_path: Path) -> None:
    for name in ("red/1.png", "red/2.png", "blue/1.png"):
        paint(f"mine/{name}", Path(name).parent.name)
    assert tellapart.fix(tmp_path / "mine", tmp_path / "fixed", drop_copies=True).num_photos == 2


def test_show_counts_the_photos(places: tuple[Path, ...]) -> None:
    assert tellapart.show(places[1]).counts == {"green": 2, "red": 2}


def test_compare_measures_each_recipe(
    places: tuple[Path, ...], tiny_backbone: Path, cache_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = {
        "classic": tellapart.ClassicConfig(image_size=(46, 48), batch_size=4, epochs=1, validation_fraction=0.5),
        "transfer": tellapart.TransferConfig(backbone=str(tiny_backbone), folds=2, validation_fraction=0.5),
    }
    monkeypatch.setattr(CompareConfig, "train_config", lambda self, recipe: configs[recipe])
    comparison = tellapart.compare(list(places), tmp_path / "out", cache_dir=cache_dir)
    assert [result.recipe for result in comparison.results] == ["classic", "transfer"]


def test_write_predictions_writes_a_row_for_each_photo(
    run: tellapart.Run, places: tuple[Path, ...], tmp_path: Path
) -> None:
    table = tmp_path / "answers.csv"
    tellapart.write_predictions(run.run_dir, places[2], outputs=tellapart.PredictOutputs(csv=table))
    assert len(table.read_text().splitlines()) == 1 + 4


def test_rebuild_report_writes_the_page_of_a_run_on_several_folders(run: tellapart.Run, cache_dir: str) -> None:
    (run.run_dir / "report.html").unlink()
    assert tellapart.rebuild_report(run, cache_dir=cache_dir).is_file()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
