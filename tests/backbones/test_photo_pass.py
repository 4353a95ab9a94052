"""The one pass over a collection: read once, decoded once, kept by content."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.backbones import photo_pass
from tellapart.backbones.embedder import Embedder, start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.cache.cache_folder import store_path
from tellapart.cache.photo_store import PhotoStore
from tellapart.config import ImageLimits
from tellapart.images.facts import facts_of
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.photos.files import DiskFile
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos, open_photos
from tellapart.records import EmbedRecord
from tellapart.watcher import Watcher

Look = Callable[..., object]


@pytest.fixture
def photos_dir(tmp_path: Path) -> Path:
    """Six JPEGs of different sizes, one of them twice under another name, and one that cannot be decoded."""
    folder, generator = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number, side in enumerate((40, 150, 230, 400, 450, 900)):
        image = cv2.resize(generator.integers(0, 256, (9, 11, 3), np.uint8), (side * 4 // 3, side))
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    shutil.copy(folder / "2.jpg", folder / "2b.jpg")
    (folder / "3b.jpg").write_bytes((folder / "3.jpg").read_bytes()[:500])
    return folder


@pytest.fixture
def embedder(tiny_backbone: Path) -> Embedder:
    return start_backbone(str(tiny_backbone), None, Watcher()).embedder


@pytest.fixture
def larger(tmp_path: Path) -> Embedder:
    """Another backbone, which sees photos at 240 x 230 pixels."""
    return Embedder(mean_backbone((240, 230)), (240, 230), "larger")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read, by name."""
    counts: Counter[str] = Counter()
    read = DiskFile.read

    def count(place: DiskFile, max_bytes: int) -> bytes:
        counts[Path(place.path).name] += 1
        return read(place, max_bytes)

    monkeypatch.setattr(DiskFile, "read", count)
    return counts


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes in bytes of what was decoded, in any order."""
    sizes: list[int] = []
    decode = photo_pass.decode_for_each

    def note(data: bytes, *arguments: object) -> object:
        sizes.append(len(data))
        return decode(data, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(photo_pass, "decode_for_each", note)
    return sizes


def names(photos: PhotoSet) -> list[str]:
    return [Path(path).name for path in photos.paths]


def test_each_photo_is_seen_and_what_cannot_be_decoded_is_skipped(
    photos_dir: Path, embedder: Embedder, tmp_path: Path
) -> None:
    seen = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=str(tmp_path / "cache"))
    assert names(seen.photos) == ["0.jpg", "1.jpg", "2.jpg", "2b.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert [(Path(item.path).name, item.reason) for item in seen.photos.skipped] == [
        ("3b.jpg", "is cut off: the JPEG data ends inside its header")
    ]
    assert seen.num_found == 0
    assert seen.digests[2] == seen.digests[3]
    assert seen.groups.tolist().count(seen.groups[2]) == 2


def test_embeddings_and_facts_are_those_of_the_photo_alone(
    photos_dir: Path, embedder: Embedder, larger: Embedder, tmp_path: Path
) -> None:
    eyes = [Eye(embedder), Eye(larger), Eye(embedder, is_mirrored=True)]
    seen = look_at(list_photos([photos_dir]), eyes, cache_dir=str(tmp_path / "cache"))
    assert seen.embeddings is not None
    for row in range(len(seen)):
        data = seen.photos.read(row)
        small, large = (load_image(data, one.preprocess, ImageLimits())[None] for one in (embedder, larger))
        np.testing.assert_allclose(seen.embeddings[row], embedder.embed(small)[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(seen.further_embeddings[0][row], larger.embed(large)[0], rtol=1e-4)
        mirrored = embedder.embed(np.ascontiguousarray(small[:, :, ::-1]))[0]
        np.testing.assert_allclose(seen.further_embeddings[1][row], mirrored, rtol=1e-4, atol=1e-5)
        assert seen.facts[row].to_bytes() == facts_of(data).to_bytes()


def test_the_second_pass_reads_each_file_once_and_decodes_what_it_could_not(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, reads: Counter[str], decodings: list[int]
) -> None:
    photos, cache = list_photos([photos_dir]), str(tmp_path / "cache")
    first = look_at(photos, [Eye(embedder)], cache_dir=cache)
    assert set(reads.values()) == {1}
    assert len(decodings) == 7  # not the copy
    decodings.clear()
    second = look_at(photos, [Eye(embedder)], cache_dir=cache)
    assert set(reads.values()) == {2}
    assert decodings == [500]
    assert second.num_found == len(second) == 7
    np.testing.assert_array_equal(first.embeddings, second.embeddings)  # type: ignore[arg-type]
    assert [one.to_bytes() for one in first.facts] == [one.to_bytes() for one in second.facts]


def test_several_eyes_share_one_reading_and_one_decoding(
    photos_dir: Path, embedder: Embedder, larger: Embedder, tmp_path: Path, reads: Counter[str], decodings: list[int]
) -> None:
    eyes = [Eye(embedder), Eye(larger), Eye(larger, is_mirrored=True)]
    look_at(list_photos([photos_dir]), eyes, cache_dir=str(tmp_path / "cache"))
    assert set(reads.values()) == {1}
    assert len(decodings) == 7


def test_only_the_eye_that_has_not_seen_a_photo_looks(
    photos_dir: Path, embedder: Embedder, larger: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, cache = list_photos([photos_dir]), str(tmp_path / "cache")
    known = look_at(photos, [Eye(embedder)], cache_dir=cache)
    embed = embedder.embed

    def fail(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError("it has seen them")

    monkeypatch.setattr(embedder, "embed", fail)
    seen = look_at(photos, [Eye(larger), Eye(embedder)], cache_dir=cache)
    assert seen.num_found == 0
    np.testing.assert_array_equal(seen.further_embeddings[0], known.embeddings)  # type: ignore[arg-type]
    monkeypatch.setattr(embedder, "embed", embed)
    mirrored = look_at(photos, [Eye(embedder, is_mirrored=True)], cache_dir=cache)
    assert np.abs(mirrored.embeddings - known.embeddings).max() > 0  # type: ignore[operator]


def test_facts_do_not_depend_on_who_else_looks(
    photos_dir: Path, embedder: Embedder, larger: Embedder, tmp_path: Path
) -> None:
    photos = list_photos([photos_dir])
    alone = look_at(photos, cache_dir=str(tmp_path / "one"))
    beside = look_at(photos, [Eye(larger), Eye(embedder)], cache_dir=str(tmp_path / "two"))
    assert alone.embeddings is None
    assert [one.to_bytes() for one in alone.facts] == [one.to_bytes() for one in beside.facts]


def test_thumbnails_come_from_the_store_without_the_file(photos_dir: Path, tmp_path: Path) -> None:
    seen = look_at(list_photos([photos_dir]), cache_dir=str(tmp_path / "cache"))
    shutil.rmtree(photos_dir)
    small = seen.thumbnails([6, 3, 0])
    assert {row: image.shape for row, image in small.items()} == {
        6: (150, 200, 3),
        3: (150, 200, 3),
        0: (40, 53, 3),
    }


def test_a_thumbnail_that_the_store_has_lost_is_made_of_the_file(photos_dir: Path, tmp_path: Path) -> None:
    seen = look_at(list_photos([photos_dir]), cache_dir=str(tmp_path / "cache"))
    store_path(tmp_path / "cache").unlink()
    (photos_dir / "1.jpg").unlink()
    assert sorted(seen.thumbnails(range(len(seen)))) == [0, 2, 3, 4, 5, 6]


def test_without_a_store_the_photos_are_seen_all_the_same_and_one_note_says_why(
    photos_dir: Path, embedder: Embedder, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    notes: list[str] = []
    seen = look_at(
        list_photos([photos_dir]),
        [Eye(embedder)],
        cache_dir=str(tmp_path / "cache"),
        watcher=Watcher(on_note=notes.append),
    )
    assert len(seen) == len(seen.thumbnails(range(len(seen)))) == 7
    assert len(notes) == 1
    assert "The photos are read without it" in notes[0]


def test_what_was_seen_before_a_failure_is_kept(
    animals_dir: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, cache = open_photos(animals_dir), str(tmp_path / "cache")
    monkeypatch.setattr(photo_pass, "_PHOTOS_A_COMMIT", 4)
    embed, num_calls = embedder.embed, 0

    def break_down(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal num_calls
        num_calls += 1
        if num_calls > 8:
            raise RuntimeError("out of order")
        return embed(images)

    monkeypatch.setattr(embedder, "embed", break_down)
    with pytest.raises(RuntimeError, match="out of order"):
        look_at(photos, [Eye(embedder)], cache_dir=cache)
    with PhotoStore(store_path(Path(cache))) as store:
        assert 4 <= store.num_photos() < len(photos)


def test_progress_is_told_with_what_was_found(photos_dir: Path, embedder: Embedder, tmp_path: Path) -> None:
    photos, cache = list_photos([photos_dir]), str(tmp_path / "cache")
    look_at(photos.take([0, 1, 2]), [Eye(embedder)], cache_dir=cache)
    records: list[EmbedRecord] = []
    look_at(photos, [Eye(embedder)], cache_dir=cache, watcher=Watcher(on_embedded=records.append))
    assert [record.num_done for record in records] == list(range(9))
    assert {record.num_photos for record in records} == {8}
    assert records[-1].num_found == 3
    assert records[-1].seconds_left == 0


def test_no_photos_are_seen_as_none(photos_dir: Path, embedder: Embedder, tmp_path: Path) -> None:
    seen = look_at(list_photos([photos_dir]).take([]), [Eye(embedder)], cache_dir=str(tmp_path / "cache"))
    assert seen.embeddings is not None
    assert seen.embeddings.shape == (0, embedder.embedding_size)
    assert seen.thumbnails([]) == {}


def test_photos_can_be_taken_out(photos_dir: Path, embedder: Embedder, tmp_path: Path) -> None:
    seen = look_at(list_photos([photos_dir]), [Eye(embedder), Eye(embedder, True)], cache_dir=str(tmp_path / "cache"))
    some = seen.take([4, 1])
    assert names(some.photos) == ["3.jpg", "1.jpg"]
    assert some.digests == (seen.digests[4], seen.digests[1])
    assert [one.to_bytes() for one in some.facts] == [seen.facts[row].to_bytes() for row in (4, 1)]
    np.testing.assert_array_equal(some.embeddings, seen.embeddings[[4, 1]])  # type: ignore[arg-type, index]
    np.testing.assert_array_equal(some.further_embeddings[0], seen.further_embeddings[0][[4, 1]])


def mean_backbone(image_size: tuple[int, int]) -> bytes:
    """ONNX bytes: the mean colour of the left half of the image."""
    import onnx

    types = onnx.TensorProto
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=types.FLOAT),
        onnx.helper.make_node("Slice", ["float", "start", "end", "axis"], ["half"]),
        onnx.helper.make_node("ReduceMean", ["half"], ["embedding"], axes=[1, 2], keepdims=0),
    ]
    values = {"start": [0], "end": [image_size[1] // 2], "axis": [2]}
    graph = onnx.helper.make_graph(
        nodes,
        "mean",
        [onnx.helper.make_tensor_value_info("image", types.UINT8, ["batch", *image_size, 3])],
        [onnx.helper.make_tensor_value_info("embedding", types.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Images(dict[str, NDArray[np.uint8]]):
    """Takes every image once, grey and at a size of its own."""

    preprocess = PreprocessSpec((70, 100), channels=1)

    def wants(self, digest: str) -> bool:
        return digest not in self

    add = dict.__setitem__


@pytest.mark.parametrize("num_eyes", [0, 1])
def test_the_sink_is_given_each_content_as_it_is_loaded_alone(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, reads: Counter[str], num_eyes: int
) -> None:
    images = Images()
    seen = look_at(
        list_photos([photos_dir]), [Eye(embedder)] * num_eyes, sink=images, cache_dir=str(tmp_path / "cache")
    )
    assert set(reads.values()) == {1}
    assert set(images) == set(seen.digests)
    for row, digest in enumerate(seen.digests):
        expected = load_image(seen.photos.read(row), Images.preprocess, ImageLimits())
        np.testing.assert_array_equal(images[digest], expected)


def test_the_sink_is_given_photos_of_which_all_else_is_known(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, reads: Counter[str]
) -> None:
    photos, images = list_photos([photos_dir]), Images()
    look_at(photos, [Eye(embedder)], cache_dir=str(tmp_path / "cache"))
    reads.clear()
    seen = look_at(photos, [Eye(embedder)], sink=images, cache_dir=str(tmp_path / "cache"))
    assert seen.num_found == len(seen)
    assert set(images) == set(seen.digests)
    assert set(reads.values()) == {1}


def test_what_the_sink_does_not_want_is_not_decoded(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, decodings: list[int]
) -> None:
    photos, images = list_photos([photos_dir]), Images()
    look_at(photos, [Eye(embedder)], sink=images, cache_dir=str(tmp_path / "cache"))
    (photos_dir / "3b.jpg").unlink()
    decodings.clear()
    look_at(list_photos([photos_dir]), [Eye(embedder)], sink=images, cache_dir=str(tmp_path / "cache"))
    assert decodings == []


def test_the_sink_is_given_deep_photos_at_the_depth_of_all(tmp_path: Path) -> None:
    for seed, largest in enumerate((400, 1024)):
        noise = np.random.default_rng(seed).integers(0, largest, (90, 120, 3)).astype(np.uint16)
        (tmp_path / "deep").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"deep/{seed}.png"), noise)
    images = Images()
    seen = look_at(list_photos([tmp_path / "deep"]), sink=images, cache_dir=str(tmp_path / "cache"))
    assert seen.depths.int16 == 10
    spec = replace(Images.preprocess, depths=seen.depths)
    for row, digest in enumerate(seen.digests):
        np.testing.assert_array_equal(images[digest], load_image(seen.photos.read(row), spec, ImageLimits()))
