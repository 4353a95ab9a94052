import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tellapart.errors import BundleError, OutputError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.predict import bundle as bundle_module
from tellapart.predict.bundle import Bundle, read_bundle, write_bundle
from tellapart.records import LayerRecord
from tellapart.store import sha256_hex, to_json_bytes

MakeBundle = Callable[..., Bundle]
COUNTS = st.integers(0, 2**63 - 1)


def rewrite(model_dir: Path, **changes: Any) -> None:
    """Changes fields of bundle.json and makes its checksum right again, as a forger would."""
    path = model_dir / "bundle.json"
    described = {**json.loads(path.read_bytes()), **changes}
    del described["sha256"]
    described["sha256"] = bundle_module._own_checksum(described)
    path.write_bytes(to_json_bytes(described))


def sized(*sides: float) -> dict[str, Any]:
    return {"image_size": list(sides), "channels": 3, "interpolation": "bicubic"}


def point(threshold: Any, num_answered: int, num_wrong: int) -> dict[str, Any]:
    return {"threshold": threshold, "num_answered": num_answered, "num_wrong": num_wrong}


def curve(**changes: Any) -> dict[str, Any]:
    points = {"threshold": [0.1, 0.5], "num_missed": [0, 2], "num_false_alarms": [3, 1]}
    counts = {"num_photos": 4, "num_others": 6, "num_independent": 3.5, "num_others_independent": 6.0}
    return {"class_name": "red", **counts, "points": {**points, **changes}}


def message(model_dir: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(model_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_bundle_reads_back_the_same(model_dir: Path, make_bundle: MakeBundle) -> None:
    assert read_bundle(model_dir) == make_bundle()


def test_the_folder_holds_two_files(model_dir: Path) -> None:
    assert sorted(path.name for path in model_dir.iterdir()) == ["bundle.json", "model.onnx"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    class_names=st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True).map(tuple),
    image_size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    channels=st.sampled_from([1, 3]),
    temperature=st.floats(1e-6, 1e6),
    layers=st.lists(st.builds(LayerRecord, st.text(), st.text(), st.lists(COUNTS).map(tuple), COUNTS)).map(tuple),
    versions=st.dictionaries(st.text(), st.text()),
)
def test_any_bundle_reads_back_the_same(
    tmp_path: Path, make_bundle: MakeBundle, image_size: tuple[int, int], channels: Any, **fields: Any
) -> None:
    bundle = replace(make_bundle(), preprocess=PreprocessSpec(image_size, channels), **fields)
    write_bundle(tmp_path, bundle)
    assert read_bundle(tmp_path) == bundle


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
def test_every_single_changed_byte_is_found(model_dir: Path, name: str) -> None:
    path = model_dir / name
    data = path.read_bytes()
    undetected = []
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            read_bundle(model_dir)
        except BundleError:
            continue
        undetected.append(position)
    assert undetected == []


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["bundle.json", "model.onnx"]))
def test_a_file_cut_short_is_found(model_dir: Path, make_bundle: MakeBundle, data: st.DataObject, name: str) -> None:
    write_bundle(model_dir, make_bundle())
    whole = (model_dir / name).read_bytes()
    (model_dir / name).write_bytes(whole[: data.draw(st.integers(0, len(whole.rstrip()) - 1))])
    assert "Copy the folder again or train again" in message(model_dir)


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: json.dumps(json.loads(data), indent="\t", sort_keys=True).encode(),
        lambda data: json.dumps(json.loads(data), separators=(",", ":")).encode(),
        lambda data: b"\xef\xbb\xbf" + data,
    ],
    ids=["CRLF", "tabs", "one line", "byte order mark"],
)
def test_other_line_ends_and_indents_still_load(
    model_dir: Path, make_bundle: MakeBundle, rewritten: Callable[[bytes], bytes]
) -> None:
    path = model_dir / "bundle.json"
    path.write_bytes(rewritten(path.read_bytes()))
    assert read_bundle(model_dir) == make_bundle()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(temperature=st.floats(1e-6, 1e6).filter(lambda value: value != 1.0))
def test_a_changed_value_is_found_however_it_is_written(
    model_dir: Path, make_bundle: MakeBundle, temperature: float
) -> None:
    write_bundle(model_dir, make_bundle())
    path = model_dir / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"temperature": temperature}))
    assert "its content does not match its checksum" in message(model_dir)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
def test_a_missing_file_is_named(model_dir: Path, name: str) -> None:
    (model_dir / name).unlink()
    assert f"has no {name}. It needs both bundle.json and model.onnx. Copy the folder again" in message(model_dir)


def test_a_changed_model_is_said_to_be_damaged(model_dir: Path) -> None:
    (model_dir / "model.onnx").write_bytes(b"other")
    assert "model.onnx' is damaged: its bytes do not match the checksum in bundle.json" in message(model_dir)


def test_a_run_that_has_not_finished_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"{}")
    assert "has not finished" in message(tmp_path)
    assert "Continue it with `resume=True`" in message(tmp_path)


def test_a_foreign_folder_is_named(tmp_path: Path) -> None:
    assert "is not a model folder: it has no bundle.json" in message(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "gone' does not exist" in message(tmp_path / "gone")


def test_a_file_in_place_of_the_folder_is_named(model_dir: Path) -> None:
    assert "is a file. Give a folder made by" in message(model_dir / "model.onnx")


def test_a_newer_schema_says_to_update(model_dir: Path) -> None:
    rewrite(model_dir, schema=5)
    assert "made by a newer tellapart" in message(model_dir)
    assert "pip install --upgrade tellapart" in message(model_dir)


@pytest.mark.parametrize(
    "changes", [{"kind": "something else"}, {"schema": "1"}, {"schema": 0}, {"schema": True}], ids=str
)
def test_json_of_another_program_is_called_foreign(model_dir: Path, changes: dict[str, Any]) -> None:
    rewrite(model_dir, **changes)
    assert "was not made by tellapart" in message(model_dir)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"[1]", b"[" * 100_000, b'"\xff"', b"{NaN: 1}"])
def test_what_is_not_a_json_object_is_damaged(model_dir: Path, data: bytes) -> None:
    (model_dir / "bundle.json").write_bytes(data)
    assert "bundle.json' is damaged" in message(model_dir)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ["cat", 2]}, "not a list of words"),
        ({"class_names": "cat"}, "not a list of words"),
        ({"class_names": ["cat", "cat"]}, "each different"),
        ({"class_names": ["cat"]}, "at least two"),
        ({"temperature": 0}, "is not a number from 1e-06 to 1e+06"),
        ({"temperature": True}, "is not a number from 1e-06"),
        ({"layers": [{"name": "a"}]}, "'output_shape' is missing"),
        ({"layers": None}, "is damaged"),
        ({"preprocess": {"image_size": [4, 6], "channels": 2, "interpolation": "bicubic"}}, "unknown preprocessing"),
        ({"recipe": 3}, "3 is not text"),
        ({"versions": []}, "is damaged"),
        ({"model": {"file": "../other.onnx", "sha256": "", "size_bytes": 1}}, "not 'model.onnx'"),
        ({"model": 5}, "is damaged"),
        ({"preprocess": sized(2_000_000_000, 4)}, "a whole number from 1 to 4,096"),
        ({"preprocess": sized(4, 0)}, "a whole number from 1 to 4,096"),
        ({"preprocess": sized(4.0, 6)}, "a whole number from 1 to 4,096"),
        ({"preprocess": sized(True, 6)}, "a whole number from 1 to 4,096"),
        ({"preprocess": sized(4)}, "is damaged"),
        ({"preprocess": sized(4, 10**18)}, "a whole number from 1 to 4,096"),
        ({"temperature": 1e300}, "is not a number from 1e-06"),
        ({"temperature": 1e-300}, "is not a number from 1e-06"),
        ({"selective": [point(2, 1, 0)]}, "is not a number from 0 to 1"),
        ({"selective": [point("0.5", 1, 0)]}, "is not a number from 0 to 1"),
        ({"selective": [point(0, 0, 0)]}, "is not a whole number from 1"),
        ({"selective": [point(0, 5, 6)]}, "is not a whole number from 0 to 5"),
        ({"selective": [point(0.5, 5, 1), point(0.4, 3, 1)]}, "not thresholds that rise"),
        ({"selective": [point(0, 5, 1), point(0.4, 7, 1)]}, "not thresholds that rise"),
        ({"selective": 5}, "is damaged"),
        ({"usual_distances": [1, 0.5]}, "distances that do not rise"),
        ({"usual_distances": [1e300]}, "is not a number from 0"),
        ({"usual_distances": "12"}, "is not a number from 0"),
        ({"operating": 5}, "is damaged"),
        ({"operating": [curve() | {"class_name": "green"}]}, "is damaged"),
        ({"operating": [curve() | {"num_independent": 9}]}, "is not a number from 1 to 4"),
        ({"operating": [curve(threshold=[0.5, 0.1])]}, "thresholds do not rise"),
        ({"operating": [curve(num_missed=[2, 2])]}, "begins with photos missed"),
        ({"operating": [curve(num_missed=[0, 5])]}, "is not a whole number from 0 to 4"),
        ({"operating": [curve(num_false_alarms=[1, 3])]}, "thresholds do not rise"),
        ({"operating": [curve(threshold=[0.1])]}, "is damaged"),
        ({"operating": [curve(threshold=[], num_missed=[], num_false_alarms=[])]}, "begins with photos missed"),
        ({"dial": {"class_name": "green", "threshold": 0.5, "max_missed": None}}, "is damaged"),
        ({"dial": {"class_name": "red", "threshold": 2, "max_missed": None}}, "is not a number from 0 to 1"),
        ({"dial": {"class_name": "red", "threshold": 0.5, "max_missed": "0"}}, "is not a number from 0 to 1"),
        ({"dial": [0.5]}, "is damaged"),
        ({"layers": [{"name": "a", "kind": "b", "output_shape": [-1], "num_parameters": 1}]}, "a whole number from 0"),
    ],
    ids=str,
)
def test_a_forged_field_is_refused(model_dir: Path, changes: dict[str, Any], words: str) -> None:
    rewrite(model_dir, **changes)
    assert words in message(model_dir)


def test_a_bundle_that_could_not_be_read_back_is_not_written(tmp_path: Path, make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="each different"):
        write_bundle(tmp_path / "model", replace(make_bundle(), class_names=("cat", "cat")))
    assert not (tmp_path / "model").exists()


def test_a_file_where_the_folder_should_be_is_an_output_error(tmp_path: Path, make_bundle: MakeBundle) -> None:
    (tmp_path / "model").write_bytes(b"mine")
    with pytest.raises(OutputError, match="cannot make the folder .* Give another folder as `out`"):
        write_bundle(tmp_path / "model", make_bundle())


def test_a_bundle_whose_renames_were_cut_short_is_read(tmp_path: Path, make_bundle: MakeBundle) -> None:
    old, new = make_bundle(), make_bundle(("green", "red"))
    write_bundle(tmp_path / "old", old)
    write_bundle(tmp_path / "new", new)
    (tmp_path / "new" / "bundle.json").rename(tmp_path / "old" / "bundle.json.next")
    (tmp_path / "new" / "model.onnx").rename(tmp_path / "old" / "model.onnx.next")
    assert read_bundle(tmp_path / "old") == new


NUMBERS_BEYOND_JSON = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, "[" * 50 + "]" * 50]


@pytest.mark.parametrize("field", ["temperature", "recipe", "schema", "selective", "usual_distances", "sha256"])
@pytest.mark.parametrize("number", NUMBERS_BEYOND_JSON, ids=lambda text: text[:9])
def test_numbers_that_json_does_not_have_are_damage(model_dir: Path, field: str, number: str) -> None:
    path = model_dir / "bundle.json"
    described = json.dumps(json.loads(path.read_bytes()) | {field: "HERE"})
    path.write_text(described.replace('"HERE"', number))
    assert "bundle.json' is damaged" in message(model_dir)


def refused_model(operator: str) -> bytes:
    graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["image"], ["y"])], "g", [], [])
    return onnx.helper.make_model(graph).SerializeToString()


def test_a_model_of_other_operators_is_named_though_its_checksum_fits(model_dir: Path) -> None:
    data = refused_model("Loop")
    (model_dir / "model.onnx").write_bytes(data)
    rewrite(model_dir, model={"file": "model.onnx", "sha256": sha256_hex(data), "size_bytes": len(data)})
    assert "model.onnx' is not run: it uses the operator 'Loop'" in message(model_dir)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "sparse", "folder", "loop"])
def test_what_is_no_file_of_bounded_size_is_not_read(model_dir: Path, name: str, target: str) -> None:
    os.mkfifo(model_dir / "pipe")
    (model_dir / "folder").mkdir()
    (model_dir / "loop").symlink_to("loop")
    with (model_dir / "sparse").open("wb") as file:
        file.truncate(10**10)
    (model_dir / name).unlink()
    (model_dir / name).symlink_to(target)
    assert "cannot read the model folder" in message(model_dir)
