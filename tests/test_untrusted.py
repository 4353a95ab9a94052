import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.untrusted import number_of, parse_json, read_json, read_regular, short_repr, text_of, whole_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and devices in folders are those of Unix")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**10)


def make_pipe_behind_links(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.with_name("link").symlink_to("pipe")
    path.symlink_to("link")


IRREGULAR = {
    "pipe": make_pipe,
    "socket": make_socket,
    "folder": Path.mkdir,
    "link to a device": link_to("/dev/zero"),
    "link to itself": link_to("file"),
    "link to nothing": link_to("gone"),
    "link to a folder": link_to("/"),
    "pipe behind links": make_pipe_behind_links,
    "sparse file of 10 GB": make_sparse,
}


@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR)
def test_what_is_no_regular_file_of_bounded_size_is_not_read(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    make(Path("file"))
    with pytest.raises(OSError, match="file") as caught:
        read_regular("file", 1000)
    assert caught.value.strerror


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 7) == b"content"


def test_a_file_as_large_as_allowed_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="at most"):
        read_regular(tmp_path / "file", 4)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe")
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match="a pipe"):
        read_regular(tmp_path / "pipe", 5)
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "[-Infinity]", "1e999", '{"a": -1e400}', "9" * 19, "-" + "9" * 30, "9" * 5000, "[" * 100_000,
     "[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, "", "{", "\ud800"],
    ids=lambda text: text[:20] or "empty",
)  # fmt: skip
def test_json_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="[a-z]"):
        parse_json(text.encode("utf-8", "surrogatepass"))


def test_a_byte_order_mark_is_allowed() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, -2, 3.5, null, true]}') == {"a": [1, -2, 3.5, None, True]}


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_plain_json_reads_back_the_same(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_json_or_refused_in_one_line(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_json(data)


def test_a_file_is_read_and_parsed(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("[1]")
    assert read_json(tmp_path / "file.json") == [1]


@pytest.mark.parametrize("value", [True, "1", None, 1.0, -1, 6, [1]], ids=repr)
def test_what_is_no_whole_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a whole number from 0 to 5"):
        whole_of(value, 0, 5)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10**400, -1, 6], ids=repr)
def test_what_is_no_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number from 0 to 5"):
        number_of(value, 0, 5)


def test_values_of_the_right_kind_come_back() -> None:
    assert (whole_of(5, 0, 5), number_of(5, 0, 5), text_of("a")) == (5, 5.0, "a")
    with pytest.raises(ValueError, match="1 is not text"):
        text_of(1)


def test_a_long_value_is_shown_cut() -> None:
    assert len(short_repr("a" * 1000)) == 120
