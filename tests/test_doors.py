"""The same input gives the same photos, classes and reasons in every command, and in Python."""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import tellapart
from tellapart.errors import DatasetError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.predict.bundle import Bundle
from tellapart.records import LayerRecord

CASES = Path(__file__).parents[1] / "../shared/cases"
# What a photo that is none of a class is skipped for where classes are asked for; `predict` answers about it.
NO_CLASS = ("class", "label", "`tellapart predict`", "beside the split", "is not named in")
TEST_SPLIT = "test split of the source"


@dataclass(frozen=True)
class Seen:
    """What a command made of an input: class by photo, reason by skipped file; `error` where it refused the whole."""

    classes: dict[str, str | None]
    reasons: dict[str, str]
    error: str | None = None


def of_photos(photos: tellapart.PhotoSet) -> Seen:
    labels = [None] * len(photos) if photos.labels is None else [photos.class_names[one] for one in photos.labels]
    return Seen(dict(zip(photos.paths, labels, strict=True)), {item.path: item.reason for item in photos.skipped})


def refused(work: Callable[[], Seen]) -> Seen:
    try:
        return work()
    except DatasetError as exc:
        return Seen({}, {}, str(exc))


def seen_by_show(source: Path, *, is_portable: bool = False) -> Seen:
    shown = tellapart.show(source)
    photos = replace(shown.photos, skipped=shown.skipped)
    return of_photos(photos.portable() if is_portable else photos)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def seen_by_train(source: Path, out: Path, backbone: Path, cache_dir: str) -> Seen:
    run = tellapart.train(source, out, backbone=str(backbone), cache_dir=cache_dir).run_dir
    classes: dict[str, str | None] = {row["path"]: row["class"] for row in rows_of(run / "split.csv")}
    return Seen(classes, {row["path"]: row["reason"] for row in rows_of(run / "skipped.csv")})


def model_of(class_names: Sequence[str]) -> tellapart.Model:
    """A model with these classes that answers by the mean colour, somehow."""
    weights = np.random.default_rng(0).normal(0, 0.01, (3, len(class_names))).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "any",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 8, 8, 3])],
        [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", len(class_names)])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    layers = (LayerRecord("mean", "GlobalAveragePooling2D", (3,), 0),)
    bundle = Bundle(tuple(class_names), PreprocessSpec((8, 8)), layers, model.SerializeToString(), {}, "classic")
    return tellapart.Model(bundle)


def seen_by_predict(source: Path) -> Seen:
    predictions = model_of(["a", "b"]).predict(source)
    classes: dict[str, str | None] = {item.path: None for item in predictions}
    return Seen(classes, {item.path: item.reason for item in predictions.skipped})


def check_predicted(predicted: Seen, shown: Seen) -> None:
    """Nothing, if `predict` sees what `show` does, besides photos without a class, and each file once."""
    no_class = {path: one for path, one in shown.reasons.items() if any(word in one for word in NO_CLASS)}
    asked = {
        path
        for path in set(predicted.classes) - set(shown.classes)
        if no_class.keys() & {path, *map(str, Path(path).parents)}
    }
    repeated = {path: one for path, one in predicted.reasons.items() if path in shown.classes}
    assert all("already taken" in reason for reason in repeated.values())
    assert set(predicted.classes) - asked == set(shown.classes) - set(repeated)
    named = {path: one for path, one in shown.reasons.items() if path not in asked}
    folders = {path for path in no_class if any(path in map(str, Path(photo).parents) for photo in asked)}
    assert predicted.reasons == {path: one for path, one in named.items() if path not in folders} | repeated


def check_doors(source: Path, tmp_path: Path, backbone: Path, cache_dir: str) -> None:
    """Nothing, if all commands see the same in the source as `show` does."""
    shown = refused(lambda: seen_by_show(source))
    assert refused(lambda: of_photos(tellapart.open_photos(source))).error == shown.error
    check = refused(lambda: of_photos(tellapart.check(source, backbone=str(backbone), cache_dir=cache_dir).photos))
    embedded = refused(
        lambda: of_photos(
            tellapart.embed(source, tmp_path / "out.npz", backbone=str(backbone), cache_dir=cache_dir).photos
        )
    )
    if shown.classes:
        assert check == embedded == shown
    predicted = refused(lambda: seen_by_predict(source))
    if shown.error is not None:
        # What is no photo in itself is an error where a collection is asked for, and skipped among photos.
        assert not predicted.classes
        assert predicted.error == shown.error or all(reason in shown.error for reason in predicted.reasons.values())
        return
    check_predicted(predicted, shown)
    if None in shown.classes.values() or len(set(shown.classes.values())) < 2:
        return
    trained = refused(lambda: seen_by_train(source, tmp_path / "run", backbone, cache_dir))
    kept_unseen = {path for path, reason in trained.reasons.items() if TEST_SPLIT in reason}
    written = refused(lambda: seen_by_show(source, is_portable=True))
    assert trained.classes == {path: name for path, name in written.classes.items() if path not in kept_unseen}
    assert {path: one for path, one in trained.reasons.items() if path not in kept_unseen} == written.reasons
    names = sorted({name for name in shown.classes.values() if name is not None})
    evaluation = tellapart.evaluate(model_of(names), source)
    assert evaluation.num_photos == len(kept_unseen or shown.classes)
    assert {score.class_name: score.num_photos for score in evaluation.per_class} == {
        name: sum(one == name for path, one in written.classes.items() if path in (kept_unseen or written.classes))
        for name in names
    }
    assert {item.path: item.reason for item in evaluation.skipped} == shown.reasons


def photo(number: int, size: tuple[int, int] = (40, 32), kind: str = "PNG") -> bytes:
    """A drawn photo, unlike all others."""
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def write(folder: Path, names: Sequence[str]) -> Path:
    """A drawn photo under each of the names."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo(number))
    return folder


def numbered(*folders: str, num: int = 4) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(num)]


def draw_broken(folder: Path) -> Path:
    write(folder, numbered("cat", "dog"))
    (folder / "cat" / "cut.png").write_bytes(photo(50)[:60])
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "dog" / "text.jpg").write_bytes(b"no photo at all")
    (folder / "dog" / "notes.txt").write_text("notes")
    (folder / "dog" / ".hidden.png").write_bytes(photo(51))
    return folder


def draw_links(folder: Path) -> Path:
    write(folder, numbered("cat", "dog"))
    (folder / "dog" / "again.png").symlink_to(folder / "cat" / "0.png")
    (folder / "dog" / "nowhere.png").symlink_to(folder / "missing.png")
    (folder / "cat" / "circle").symlink_to(folder)
    return folder


def draw_masks(folder: Path) -> Path:
    write(folder, numbered("cat/images", "dog/images", num=6))
    for label in ("cat", "dog"):
        (folder / label / "masks").mkdir()
        for number in range(6):
            mask = Image.new("L", (40, 32))
            mask.paste(255, (5, 5, 20, 20))
            mask.save(folder / label / "masks" / f"{number}.png")
    return folder


def draw_csv(folder: Path, columns: str = "path,label", cell: str = "photos/{name},{label}") -> Path:
    write(folder / "photos", [f"{number}.png" for number in range(8)])
    rows = [cell.format(name=f"{number}.png", label=("cat", "dog")[number % 2]) for number in range(8)]
    (folder / "labels.csv").write_text("\n".join([columns, *rows, cell.format(name="gone.png", label="cat"), ""]))
    return folder / "labels.csv"


def draw_split_csv(folder: Path) -> Path:
    write(folder, [f"{number}.png" for number in range(12)])
    splits = ["train"] * 8 + ["test"] * 4
    rows = [f"{number}.png,{('cat', 'dog')[number % 2]},{split}" for number, split in enumerate(splits)]
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    return folder / "labels.csv"


def pack(folder: Path, separator: str = "/") -> Path:
    """A zip of a drawn folder with a broken photo in it."""
    draw_broken(folder / "in")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for path in sorted((folder / "in").rglob("*")):
            if path.is_file():
                member = zipfile.ZipInfo("placeholder")
                member.filename = separator.join(path.relative_to(folder / "in").parts)
                archive.writestr(member, path.read_bytes())
    return folder / "photos.zip"


INPUTS: dict[str, Callable[[Path], Path]] = {
    "a folder per class": lambda folder: write(folder, numbered("cat", "dog")),
    "classes with words of masks and splits": lambda folder: write(folder, numbered("face", "face mask", "blood test")),
    "classes in other scripts": lambda folder: write(folder, numbered("猫", "Ka\u0308tzchen")),
    "photos beside the classes": lambda folder: write(folder, [*numbered("cat", "dog"), "above.png"]),
    "names": lambda folder: write(folder, [f"{name}.{number}.png" for name in ("cat", "dog") for number in range(4)]),
    "a name without a class": lambda folder: write(
        folder, [*(f"{name}.{number}.png" for name in ("cat", "dog") for number in range(4)), "x.png"]
    ),
    "names of a camera": lambda folder: write(folder, [f"IMG_{number:04d}.png" for number in range(6)]),
    "train and test": lambda folder: write(folder, numbered("train/cat", "train/dog", "test/cat", "test/dog")),
    "train and an unlabelled test": lambda folder: write(folder, [*numbered("train/cat", "train/dog"), "test/1.png"]),
    "train and validation": lambda folder: write(folder, numbered("train/cat", "train/dog", "val/cat", "val/dog")),
    "splits below the classes": lambda folder: write(
        folder, numbered("cat/train", "cat/test", "dog/train", "dog/test")
    ),
    "classes below cameras": lambda folder: write(folder, numbered("cam1/ok", "cam1/defect", "cam2/ok", "cam2/defect")),
    "damaged and foreign files": draw_broken,
    "links": draw_links,
    "masks": draw_masks,
    "a csv": draw_csv,
    "a csv with semicolons": lambda folder: draw_csv(folder, "label;path", "{label};photos/{name}"),
    "a csv with a split": draw_split_csv,
    "a zip": pack,
    "a zip of windows": lambda folder: pack(folder, "\\"),
    "one photo": lambda folder: write(folder, ["cat.png"]) / "cat.png",
    "no photo": lambda folder: write(folder, []),
}


@pytest.mark.parametrize("draw", list(INPUTS.values()), ids=list(INPUTS))
def test_all_commands_see_the_same(
    draw: Callable[[Path], Path], tmp_path: Path, tiny_backbone: Path, cache_dir: str
) -> None:
    (tmp_path / "input").mkdir()
    check_doors(draw(tmp_path / "input"), tmp_path, tiny_backbone, cache_dir)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "source",
    [pytest.param(path, id=path.name) for path in sorted([*CASES.glob("B*"), CASES / "flat", *CASES.glob("flat/B*")])],
)
@pytest.mark.skipif(not CASES.is_dir(), reason="no inputs in ../shared/cases")
def test_all_commands_see_the_same_in_inputs_of_every_kind(
    source: Path, tmp_path: Path, tiny_backbone: Path, cache_dir: str
) -> None:
    check_doors(source, tmp_path, tiny_backbone, cache_dir)
