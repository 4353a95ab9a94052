import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tellapart.cache import decoded_cache, image_writer
from tellapart.cache.decoded_cache import CachedImages, StoredForm, release_pages
from tellapart.cache.image_writer import ImageWriter
from tellapart.config import ImageLimits
from tellapart.errors import OutputError
from tellapart.images.depth import SampleDepths
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.photos.loading import digest_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos, open_labelled
from tellapart.records import Skipped

SPEC = PreprocessSpec((12, 16))
NUM_BYTES = 12 * 16 * 3

Cached = Callable[..., CachedImages]


def write_noise(path: Path, seed: int, size: tuple[int, int] = (24, 36)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def noise_photos(folder: Path, *seeds: int) -> PhotoSet:
    """One photo of noise for each seed."""
    for row, seed in enumerate(seeds):
        write_noise(folder / f"{row}.png", seed)
    return list_photos([folder])


@pytest.fixture
def photos(tmp_path: Path) -> PhotoSet:
    """5 different photos."""
    return noise_photos(tmp_path / "photos", 0, 1, 2, 3, 4)


@pytest.fixture
def mixed(tmp_path: Path) -> PhotoSet:
    """Cats 0, 2 and dogs 0, 2 are usable; cat 1 is cut off and dog 1 is not a photo behind its first bytes."""
    folder = tmp_path / "mixed"
    for seed, name in enumerate(("cat/0", "cat/1", "cat/2", "dog/0", "dog/1", "dog/2")):
        write_noise(folder / f"{name}.png", seed)
    cut = folder / "cat/1.png"
    cut.write_bytes(cut.read_bytes()[:400])
    (folder / "dog/1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(56))
    return open_labelled(folder)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "images"


@pytest.fixture
def cached(cache_dir: Path) -> Cached:
    """The images of photos that nobody has looked at, by way of `cache_dir`."""

    def make(photos: PhotoSet, spec: PreprocessSpec = SPEC, limits: ImageLimits = ImageLimits()) -> CachedImages:
        with ImageWriter(spec, limits, cache_dir) as writer:
            return writer.finish(photos, [str(digest) for digest in digest_photos(photos)])

    return make


@pytest.fixture
def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after whose call nothing can be decoded any more."""

    def fail(*_: object) -> Iterator[NDArray[np.uint8]]:
        raise AssertionError("a photo was decoded again")

    return lambda: monkeypatch.setattr(image_writer, "stream_images", fail)


def loaded(photos: PhotoSet, spec: PreprocessSpec = SPEC) -> NDArray[np.uint8]:
    return np.stack([load_image(photos.read(row), spec, ImageLimits()) for row in range(len(photos))])


def all_of(images: CachedImages) -> NDArray[np.uint8]:
    return images.gather(np.arange(len(images.photos)))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def pair(key: str) -> set[str]:
    return {f"{key}.json", f"{key}.npy"}


@pytest.mark.parametrize(
    "spec", [SPEC, PreprocessSpec((12, 16), 1), PreprocessSpec((40, 20))], ids=["colour", "grey", "enlarged"]
)
def test_the_images_are_those_that_are_loaded_one_by_one(
    photos: PhotoSet, cached: Cached, spec: PreprocessSpec
) -> None:
    np.testing.assert_array_equal(all_of(cached(photos, spec)), loaded(photos, spec))


def test_the_second_call_decodes_nothing(photos: PhotoSet, cached: Cached, forbid_decoding: Callable[[], None]) -> None:
    first = cached(photos)
    forbid_decoding()

    second = cached(photos)

    assert second.key == first.key
    assert second.digests == first.digests
    np.testing.assert_array_equal(all_of(second), loaded(photos))


def test_a_renamed_folder_decodes_nothing_and_has_the_new_paths(
    photos: PhotoSet, tmp_path: Path, cached: Cached, forbid_decoding: Callable[[], None]
) -> None:
    cached(photos)
    (tmp_path / "photos").rename(tmp_path / "renamed")
    renamed = list_photos([tmp_path / "renamed"])
    forbid_decoding()

    assert cached(renamed).photos.paths == renamed.paths


def test_a_changed_photo_gives_another_key_and_its_new_image(photos: PhotoSet, cached: Cached) -> None:
    before = cached(photos)
    write_noise(Path(photos.paths[2]), seed=99)

    after = cached(photos)

    assert after.key != before.key
    np.testing.assert_array_equal(all_of(after), loaded(photos))


def test_one_changed_byte_gives_another_key(photos: PhotoSet, cached: Cached) -> None:
    before = cached(photos)
    with open(photos.paths[4], "ab") as file:
        file.write(b"\0")

    assert cached(photos).key != before.key


@pytest.mark.parametrize(
    ("spec", "limits"),
    [
        (PreprocessSpec((16, 12)), ImageLimits()),
        (PreprocessSpec((12, 16), 1), ImageLimits()),
        (SPEC, ImageLimits(max_pixels=10_000)),
    ],
    ids=["image size", "channels", "limits"],
)
def test_other_settings_have_files_of_their_own(
    photos: PhotoSet, cached: Cached, cache_dir: Path, spec: PreprocessSpec, limits: ImageLimits
) -> None:
    first, second = cached(photos), cached(photos, spec, limits)

    assert first.key != second.key
    assert names(cache_dir) == pair(first.key) | pair(second.key)
    np.testing.assert_array_equal(all_of(second), loaded(photos, spec))


def test_another_order_has_files_of_its_own(photos: PhotoSet, cached: Cached) -> None:
    reversed_photos = photos.take([4, 3, 2, 1, 0])

    assert cached(photos).key != cached(reversed_photos).key
    np.testing.assert_array_equal(all_of(cached(reversed_photos)), loaded(photos)[::-1])


@pytest.mark.parametrize("num_calls", [1, 2], ids=["decoded now", "found"])
def test_unusable_photos_are_left_out_and_the_rest_stays_aligned(
    mixed: PhotoSet, cached: Cached, num_calls: int
) -> None:
    images = [cached(mixed) for _ in range(num_calls)][-1]

    assert [Path(path).parts[-2:] for path in images.photos.paths] == [
        ("cat", "0.png"),
        ("cat", "2.png"),
        ("dog", "0.png"),
        ("dog", "2.png"),
    ]
    np.testing.assert_array_equal(images.photos.labels, [0, 0, 1, 1])
    np.testing.assert_array_equal(all_of(images), loaded(images.photos))
    assert len(images.digests) == len(images.groups()) == 4


@pytest.mark.parametrize("num_calls", [1, 2], ids=["decoded now", "found"])
def test_unusable_photos_are_named_with_the_reason(mixed: PhotoSet, cached: Cached, num_calls: int) -> None:
    skipped = [cached(mixed) for _ in range(num_calls)][-1].photos.skipped

    assert [Path(item.path).parts[-2:] for item in skipped] == [("cat", "1.png"), ("dog", "1.png")]
    assert "is cut off" in skipped[0].reason


def test_what_the_source_skipped_stays_skipped(mixed: PhotoSet, tmp_path: Path, cached: Cached) -> None:
    (tmp_path / "mixed/cat/notes.txt").write_text("not a photo")

    skipped = cached(open_labelled(tmp_path / "mixed")).photos.skipped

    assert [Path(item.path).name for item in skipped] == ["notes.txt", "1.png", "1.png"]


def test_a_vanished_photo_is_skipped(photos: PhotoSet, cached: Cached) -> None:
    Path(photos.paths[1]).unlink()

    images = cached(photos)

    assert images.photos.skipped == (Skipped(photos.paths[1], "the file is no longer there"),)
    np.testing.assert_array_equal(all_of(images), loaded(photos.take([0, 2, 3, 4])))


@pytest.mark.parametrize("num_calls", [1, 2], ids=["decoded now", "found"])
@pytest.mark.parametrize("rows", [[], [1, 4]], ids=["an empty set", "nothing usable"])
def test_no_images_have_the_right_shape(mixed: PhotoSet, cached: Cached, rows: list[int], num_calls: int) -> None:
    images = [cached(mixed.take(rows)) for _ in range(num_calls)][-1]

    assert images.gather(np.array([], np.int64)).shape == (0, 12, 16, 3)
    assert images.groups().shape == (0,)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"settings": [], "digests": []}'],
    ids=["empty", "cut", "a list", "no text", "without digests", "of other settings"],
)
def test_a_damaged_index_is_made_again(
    photos: PhotoSet, cached: Cached, cache_dir: Path, content: bytes, forbid_decoding: Callable[[], None]
) -> None:
    index_path = cache_dir / f"{cached(photos).key}.json"
    index_path.write_bytes(content)

    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))
    forbid_decoding()
    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:5],
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: b"PK\x03\x04" + whole[4:],
        lambda whole: whole.replace(b"(5, 12,", b"(4, 12,"),
        lambda whole: whole.replace(b"descr", b"\0\0\0\0\0"),
    ],
    ids=["empty", "only a beginning", "cut", "too long", "another format", "another shape", "zeros in its header"],
)
def test_damaged_images_are_decoded_again(
    photos: PhotoSet,
    cached: Cached,
    cache_dir: Path,
    damage: Callable[[bytes], bytes],
    forbid_decoding: Callable[[], None],
) -> None:
    images_path = cache_dir / f"{cached(photos).key}.npy"
    images_path.write_bytes(damage(images_path.read_bytes()))

    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))
    forbid_decoding()
    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))


@pytest.mark.parametrize("suffix", [".json", ".npy"])
def test_a_missing_half_is_made_again(photos: PhotoSet, cached: Cached, cache_dir: Path, suffix: str) -> None:
    key = cached(photos).key
    (cache_dir / f"{key}{suffix}").unlink()

    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))
    assert names(cache_dir) == pair(key)


def test_the_images_are_an_ordinary_npy_file(photos: PhotoSet, cached: Cached, cache_dir: Path) -> None:
    key = cached(photos).key

    np.testing.assert_array_equal(np.load(cache_dir / f"{key}.npy"), loaded(photos))
    assert json.loads((cache_dir / f"{key}.json").read_bytes())["digests"] == digest_photos(photos)


def test_the_newest_images_stay_even_when_they_alone_are_too_many(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(photos.take([0, 1]))
    monkeypatch.setattr(decoded_cache, "_MAX_CACHE_BYTES", 0)

    newest = cached(photos)

    assert names(cache_dir) == pair(newest.key)
    np.testing.assert_array_equal(all_of(newest), loaded(photos))


def test_the_least_recently_used_images_go_first(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_cache, "_MAX_CACHE_BYTES", 2 * NUM_BYTES + 300)
    first, second = cached(photos.take([0])), cached(photos.take([1]))
    for images in (first, second):
        os.utime(cache_dir / f"{images.key}.npy", (1_000_000, 1_000_000))
    cached(photos.take([0]))

    third = cached(photos.take([2]))

    assert names(cache_dir) == pair(first.key) | pair(third.key)


def test_files_of_others_in_the_folder_are_never_deleted(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = ("embeddings.npy", "embeddings.json", ".download.partial", f"{'A' * 40}.npy")
    cache_dir.mkdir(parents=True)
    for name in strangers:
        (cache_dir / name).write_bytes(b"mine")
        os.utime(cache_dir / name, (1_000_000, 1_000_000))
    monkeypatch.setattr(decoded_cache, "_MAX_CACHE_BYTES", 0)

    cached(photos)

    assert names(cache_dir) >= set(strangers)


def test_what_a_killed_run_left_is_removed_after_a_day(photos: PhotoSet, cached: Cached, cache_dir: Path) -> None:
    cache_dir.mkdir(parents=True)
    for name, hours in ((".images-old.partial", 25), (".tellapart-old.partial", 25), (".images-new.partial", 23)):
        (cache_dir / name).write_bytes(b"left")
        os.utime(cache_dir / name, (time.time() - hours * 3600,) * 2)

    key = cached(photos).key

    assert names(cache_dir) == pair(key) | {".images-new.partial"}


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(
        OutputError, match=r"No space left on device\)\. Each takes 0.00 MB. Free some space.*`cache_dir`"
    ) as caught:
        cached(photos)

    assert repr(str(cache_dir)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names(cache_dir) == set()


def test_an_interrupted_decoding_leaves_nothing_behind(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> Iterator[NDArray[np.uint8]]:
        yield np.zeros(SPEC.shape, np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(image_writer, "stream_images", interrupt)

    with pytest.raises(KeyboardInterrupt):
        cached(photos)

    assert names(cache_dir) == set()


def test_a_file_in_the_place_of_the_folder_is_named(photos: PhotoSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with (
        pytest.raises(OutputError, match=r"cannot be written to '.*file'.*`cache_dir`"),
        ImageWriter(SPEC, ImageLimits(), tmp_path / "file") as writer,
    ):
        writer.finish(photos, digest_photos(photos))


def test_a_filled_cache_that_may_only_be_read_is_used(
    photos: PhotoSet, cached: Cached, forbid_decoding: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    cached(photos)
    monkeypatch.setattr(os, "utime", refuse)
    forbid_decoding()

    np.testing.assert_array_equal(all_of(cached(photos)), loaded(photos))


def test_byte_identical_photos_are_one_group(tmp_path: Path, cached: Cached) -> None:
    groups = cached(noise_photos(tmp_path / "photos", 7, 8, 7, 9, 8, 7)).groups()

    assert groups.dtype == np.int64
    np.testing.assert_array_equal(groups[:, None] == groups, np.equal.outer([7, 8, 7, 9, 8, 7], [7, 8, 7, 9, 8, 7]))


@pytest.mark.parametrize("rows", [[], [2], [4, 0, 0, 3]], ids=["none", "one", "any order, one twice"])
def test_gathered_images_are_those_of_the_rows(photos: PhotoSet, cached: Cached, rows: list[int]) -> None:
    gathered = cached(photos).gather(np.array(rows, np.int64))

    assert gathered.dtype == np.uint8
    np.testing.assert_array_equal(gathered, loaded(photos)[rows])


def test_gathered_images_are_a_copy_of_their_own(photos: PhotoSet, cached: Cached) -> None:
    images = cached(photos)
    gathered = images.gather(np.arange(5))

    gathered[...] = 0

    assert type(gathered) is np.ndarray
    np.testing.assert_array_equal(images.gather(np.arange(5)), loaded(photos))


def test_the_store_cannot_be_written_to(photos: PhotoSet, cached: Cached) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cached(photos).store[0] = 0


def test_released_pages_keep_their_content(photos: PhotoSet, cached: Cached) -> None:
    store = cached(photos).store

    release_pages(store)

    np.testing.assert_array_equal(store, loaded(photos))


def test_the_photos_are_not_changed(photos: PhotoSet, tmp_path: Path, cached: Cached) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "photos").iterdir()}

    cached(photos)

    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "photos").iterdir()} == before


@pytest.fixture
def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after whose call no photo can be read any more."""

    def fail(*_: object) -> bytes:
        raise AssertionError("a photo was read again")

    return lambda: monkeypatch.setattr(PhotoSet, "read", fail)


def test_what_was_given_is_not_read_again(
    photos: PhotoSet, cache_dir: Path, forbid_reading: Callable[[], None]
) -> None:
    digests, expected = digest_photos(photos), loaded(photos)
    forbid_reading()

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        for row in (3, 0, 4, 1, 2):
            writer.add(digests[row], expected[row])
        images = writer.finish(photos, digests)

    assert names(cache_dir) == pair(images.key)
    np.testing.assert_array_equal(all_of(images), expected)


def test_images_of_photos_that_are_not_among_them_do_no_harm(photos: PhotoSet, cache_dir: Path) -> None:
    digests, expected = digest_photos(photos), loaded(photos)

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        for digest, image in zip(digests, expected, strict=True):
            writer.add(digest, image)
        images = writer.finish(photos.take([4, 1]), [digests[4], digests[1]])

    np.testing.assert_array_equal(all_of(images), expected[[4, 1]])


def test_an_image_that_an_earlier_file_holds_is_not_wanted(photos: PhotoSet, cached: Cached, cache_dir: Path) -> None:
    cached(photos.take([1, 3]))
    digests = digest_photos(photos)

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        wanted = [writer.wants(digest) for digest in digests]
        others = ImageWriter(PreprocessSpec((12, 15)), ImageLimits(), cache_dir)

    assert wanted == [True, False, True, False, True]
    assert all(others.wants(digest) for digest in digests)


def test_images_of_earlier_files_are_used_and_only_new_photos_are_read(
    photos: PhotoSet, cached: Cached, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(photos.take([1, 3]))
    cached(photos.take([0]))
    digests, expected, read = digest_photos(photos), loaded(photos), []
    stream = image_writer.stream_images
    monkeypatch.setattr(image_writer, "stream_images", lambda new, *rest: read.append(new.paths) or stream(new, *rest))

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        images = writer.finish(photos, digests)

    assert read == [(photos.paths[2], photos.paths[4])]
    np.testing.assert_array_equal(all_of(images), expected)


def test_an_earlier_file_that_goes_meanwhile_is_made_up_for(photos: PhotoSet, cached: Cached, cache_dir: Path) -> None:
    earlier = cached(photos.take([1, 3]))

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        (cache_dir / f"{earlier.key}.npy").unlink()
        images = writer.finish(photos, digest_photos(photos))

    np.testing.assert_array_equal(all_of(images), loaded(photos))


def test_byte_identical_photos_have_one_image_in_the_file(tmp_path: Path, cached: Cached) -> None:
    copies = noise_photos(tmp_path / "photos", 7, 8, 7, 9, 8, 7)

    images = cached(copies)

    assert len(images.store) == 3
    np.testing.assert_array_equal(all_of(images), loaded(copies))


@pytest.fixture
def deep(tmp_path: Path) -> PhotoSet:
    """3 photos of 16 bits, of which the numbers fill 10."""
    (tmp_path / "deep").mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 1024, (24, 36, 3)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"deep/{seed}.png"), noise)
    return list_photos([tmp_path / "deep"])


@pytest.mark.parametrize(("bits", "num_read"), [(10, 1), (12, 3)], ids=["the same", "others"])
def test_images_of_deep_photos_are_used_again_at_their_depths_alone(
    deep: PhotoSet, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, bits: int, num_read: int
) -> None:
    digests, read, stream = digest_photos(deep), [], image_writer.stream_images
    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        writer.finish(deep.take([0, 1]), digests[:2], SampleDepths(int16=10))
    monkeypatch.setattr(image_writer, "stream_images", lambda new, *rest: read.extend(new.paths) or stream(new, *rest))

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        images = writer.finish(deep, digests, SampleDepths(int16=bits))

    assert len(read) == num_read
    assert images.spec.depths == SampleDepths(int16=bits)
    np.testing.assert_array_equal(all_of(images), loaded(deep, images.spec))


def test_images_are_taken_from_several_threads(tmp_path: Path, cache_dir: Path) -> None:
    many = noise_photos(tmp_path / "photos", *range(60))
    digests, expected = digest_photos(many), loaded(many)

    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(writer.add, digests * 2, [*expected, *expected]))
        images = writer.finish(many, digests)

    assert len(images.store) == 60
    np.testing.assert_array_equal(all_of(images), expected)


def test_what_was_not_finished_leaves_nothing_behind(photos: PhotoSet, cache_dir: Path) -> None:
    with ImageWriter(SPEC, ImageLimits(), cache_dir) as writer:
        writer.add("0" * 40, loaded(photos)[0])
        assert len(names(cache_dir)) == 1

    assert names(cache_dir) == set()


def halves(scale: float) -> StoredForm:
    """The mean of each channel times a scale, kept as float16."""

    def make(digest: str, image: NDArray[np.uint8]) -> NDArray[np.float16]:
        return (image.mean((0, 1)) * scale).astype(np.float16)

    return StoredForm(f"means, {scale}", (3,), np.dtype(np.float16), make)


def means_of(photos: PhotoSet, folder: Path, scale: float) -> CachedImages:
    with ImageWriter(SPEC, ImageLimits(), folder, halves(scale)) as writer:
        return writer.finish(photos, [str(digest) for digest in digest_photos(photos)])


def test_another_form_than_pixels_is_kept(photos: PhotoSet, tmp_path: Path) -> None:
    means = means_of(photos, tmp_path / "cache", 0.5)
    images = np.stack([load_image(photos.read(row), SPEC, ImageLimits()) for row in range(len(photos))])

    assert means.store.dtype == np.float16
    np.testing.assert_allclose(means.store[means.places], images.mean((1, 2)) * 0.5, rtol=1e-3)


def test_a_kept_form_is_found_again_and_never_taken_for_another(
    photos: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = means_of(photos, tmp_path / "cache", 0.5), means_of(photos, tmp_path / "cache", 1.0)
    monkeypatch.setattr(image_writer, "stream_images", lambda photos, *_: iter(()) if not len(photos) else None)
    again = means_of(photos.take([3, 1]), tmp_path / "cache", 0.5)

    np.testing.assert_allclose(other.store[other.places], 2 * first.store[first.places], rtol=2e-3)
    np.testing.assert_array_equal(again.store[again.places], first.store[first.places][[3, 1]])
