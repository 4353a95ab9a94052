import json
import random
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.backbones.backbone_pack import BackbonePack, read_pack
from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing, parse_preprocessing
from tellapart.errors import BundleError, ConfigError, TellapartError
from tellapart.store import sha256_hex

SETTINGS = OnnxPreprocessing("net.json", (32, 24), 0.5, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), outputs=("one", "two"))
NODE = onnx.helper.make_node("Relu", ["x"], ["y"])
MODEL = onnx.helper.make_model(
    onnx.helper.make_graph([NODE], "net", [], []), opset_imports=[onnx.helper.make_opsetid("", 17)]
)
PACK = BackbonePack("hf:someone/net@abc", MODEL.SerializeToString(), SETTINGS, "apache-2.0", "Words, 字, and more.")
DATA = PACK.to_bytes()


def read(data: bytes) -> BackbonePack | None:
    return read_pack(data, "`backbone` 'net.onnx'", "net.onnx")


def told_of(data: bytes) -> str:
    """The error that reading ends with, else what was read; other errors than ours are none of it."""
    try:
        return str(read(data))
    except TellapartError as exc:
        return str(exc)


def sealed(description: Any) -> bytes:
    """A file with that description and the right sum, as a stranger may make it."""
    model = onnx.load_model_from_string(DATA)
    text = description if isinstance(description, str) else json.dumps(description)
    model.metadata_props[0].value = text
    del model.metadata_props[1]
    data = model.SerializeToString()
    seal = onnx.ModelProto()
    seal.metadata_props.add(key="tellapart.sha256", value=sha256_hex(data))
    return data + seal.SerializeToString()


def described() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(onnx.load_model_from_string(DATA).metadata_props[0].value)
    return value


def test_what_was_packed_is_read_back() -> None:
    found = read(DATA)
    assert found is not None
    assert found == BackbonePack(**{**vars(PACK), "preprocessing": found.preprocessing})
    assert {**vars(found.preprocessing), "source": "net.json"} == vars(SETTINGS)


def test_packing_again_gives_the_same_file() -> None:
    found = read(DATA)
    assert found is not None
    assert found.to_bytes() == DATA


def test_the_file_is_onnx_whose_metadata_says_what_it_is() -> None:
    model = onnx.load_model_from_string(DATA)
    assert model.graph == MODEL.graph
    assert [entry.key for entry in model.metadata_props] == ["tellapart.backbone", "tellapart.sha256"]
    assert model.metadata_props[1].value == sha256_hex(DATA[:-86])


@pytest.mark.parametrize(
    "settings",
    [
        OnnxPreprocessing("a"),
        OnnxPreprocessing("a", (7, 9), outputs=("places",), pooling="first", channel_order="bgr"),
        OnnxPreprocessing("a", (7, 9), 1.0, layout="nhwc", output_layout="nchw", outputs=("a", "b", "c")),
    ],
    ids=["defaults", "one output", "several outputs"],
)
def test_preprocessing_travels_as_json(settings: OnnxPreprocessing) -> None:
    assert parse_preprocessing(json.dumps(settings.to_json()).encode(), "a") == settings


@pytest.mark.parametrize("data", [b"", b"no ONNX", MODEL.SerializeToString(), b"\x72\x00" * 20_000])
def test_other_files_are_no_packs(data: bytes) -> None:
    assert read(data) is None


@given(place=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_a_changed_bit_is_found_or_leaves_no_onnx(place: int, bit: int) -> None:
    changed = bytearray(DATA)
    changed[place] ^= 1 << bit
    assert told_of(bytes(changed)).endswith(("Copy the file again.", "None"))


def test_a_changed_weight_is_told_with_both_sums() -> None:
    changed = DATA.replace(b"Relu", b"Relv")
    with pytest.raises(
        BundleError, match=r"has changed since it was packed: its SHA-256 is \w{12}\.\.\. and not \w{12}"
    ):
        read(changed)


@pytest.mark.parametrize(
    "data",
    [DATA[:-86], DATA + b"\x08\x08", DATA + DATA[-86:], DATA[: len(PACK.model)] + DATA[-86:]],
    ids=["no sum", "something behind it", "two sums", "no description"],
)
def test_a_file_with_a_part_missing_or_added_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="is not as it was packed: a part is missing or added. Copy the file again"):
        read(data)


def test_an_honest_sum_over_another_description_is_read() -> None:
    found = read(sealed(described() | {"name": "another"}))
    assert found is not None
    assert found.name == "another"


@pytest.mark.parametrize(
    "description",
    [
        "no JSON",
        "[" * 400 + "]" * 400,
        [],
        {},
        {"preprocessing": {}},
        described() | {"format": 2},
        described() | {"format": True},
        described() | {"name": 3},
        described() | {"license": None},
        described() | {"license_text": ["a"]},
        described() | {"preprocessing": []},
        described() | {"license_text": "a" * 600_000},
        '{"preprocessing": {}, "format": 1e999}',
    ],
    ids=str,
)
def test_a_description_of_another_kind_is_refused_in_a_line(description: Any) -> None:
    with pytest.raises(BundleError, match=r"net\.onnx' cannot be used: .*Pack the network again") as caught:
        read(sealed(description))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "preprocessing",
    [{"image_size": [0, 5]}, {"image_size": [10**9, 5]}, {"std": [0, 1, 1]}, {"mean": "x"}, {"output": [3]}, {"a": 1}],
    ids=str,
)
def test_preprocessing_that_is_wrong_is_refused_like_that_beside_a_file(preprocessing: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"net\.onnx"):
        read(sealed(described() | {"preprocessing": preprocessing}))


@given(seed=st.integers(0, 2**32))
def test_whatever_is_in_a_description_the_answer_is_a_pack_or_an_error_of_ours(seed: int) -> None:
    chance = random.Random(seed)
    values = [None, True, -1, 2**70, "x", "\ud800", [], {}, [[1]], {"a": {}}, 1.5]
    value = described()
    part = chance.choice([value, value["preprocessing"]])
    part[chance.choice([*part, "more"])] = chance.choice(values)
    assert "\n" not in told_of(sealed(json.dumps(value)))
