import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.errors import DatasetError
from tellapart.photos.labels import labels_from_names, labels_from_pattern, token_before_number

TOKENS = st.text(st.characters(categories=["Ll", "Lu"], max_codepoint=0x24F), min_size=1, max_size=12).filter(
    lambda text: token_before_number(f"{text}.1.jpg") is not None
)
SEPARATORS = st.sampled_from([".", "-", "_", " ", " - ", "__", ""])
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".png", ".jpeg", ".webp"])


@pytest.mark.parametrize(
    ("file_name", "label"),
    [
        ("cat.0.jpg", "cat"),
        ("dog-12.JPG", "dog"),
        ("dog_7.png", "dog"),
        ("cat (3).jpg", "cat"),
        ("cat(3).jpg", "cat"),
        ("cloudy12.jpg", "cloudy"),
        ("great_pyrenees_100.jpg", "great_pyrenees"),
        ("cat-2021-03-04.jpg", "cat"),
        ("class1_001.jpg", "class1"),
        ("cat_0_flipped.jpg", "cat"),
        ("cat.1 (2).jpg", "cat"),
        ("кот.5.jpg", "кот"),
        ("cat.7", "cat"),
        ("caf\u0065\u0301_3.jpg", "café"),
        ("class¼_3.jpg", "class¼"),
        ("snow-2019-01-05.jpg", "snow"),
        ("line_7.jpg", "line"),
        ("sam_12.jpg", "sam"),
        ("facade12.jpg", "facade"),
    ],
)
def test_the_label_is_the_words_before_the_number(file_name: str, label: str) -> None:
    assert token_before_number(file_name) == label


@pytest.mark.parametrize(
    "file_name",
    [
        "1.jpg",
        "0001.png",
        "¼_3.jpg",
        "cat.jpg",
        "(3).jpg",
        "",
        "._-",
        "IMG_0012.JPG",
        "DSC00012.jpg",
        "PXL_20210304_1234.MP.jpg",
        "FB_IMG_1580000010.jpg",
        "Snapchat-1000.jpg",
        "received_20000.jpeg",
        "IMG-20200101-WA0001.jpg",
        "IMG_E0012.JPG",
        "WhatsApp Image 2020-01-01 at 10.00.00 (1).jpeg",
        "Screenshot_20200101-101010_Chrome.jpg",
        "Screenshot 2020-01-01 at 10.00.00 PM.png",
        "Photo on 01-01-2020 at 10.10.jpg",
        "20200101_101010.jpg",
        "VID-20200101-WA0003.jpg",
        "mmexport1580000000123.jpg",
        "signal-2020-01-01-101010.jpg",
        "image_1580000000123.jpg",
        "line_1580000000123.jpg",
        "SAM_0012.JPG",
        "P1010012.JPG",
        "3f2a9c1b-11aa-4bcd-8e9f-0123456789ab.jpg",
        "3f2a9c1b8e9f0123.jpg",
    ],
)
def test_names_without_words_before_a_number_and_names_from_cameras_have_no_label(file_name: str) -> None:
    assert token_before_number(file_name) is None


@given(token=TOKENS, separator=SEPARATORS, number=st.integers(0, 10**9), suffix=SUFFIXES)
def test_any_token_is_found_before_any_number(token: str, separator: str, number: int, suffix: str) -> None:
    assert token_before_number(f"{token}{separator}{number}{suffix}") == token_before_number(f"{token}.1.jpg")


@given(st.text(max_size=300))
def test_a_label_is_part_of_no_more_than_its_name_and_never_blank(file_name: str) -> None:
    label = token_before_number(file_name)

    assert label is None or (label.strip() == label and any(letter.isalpha() for letter in label))


def test_a_name_without_a_number_has_the_label_that_others_have() -> None:
    assert labels_from_names(["cat.jpg", "cat (2).jpg", "dog (2).jpg", "fish.jpg"]) == ["cat", "cat", "dog", None]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["1.jpg", "2.jpg"], id="numbers"),
        pytest.param(["IMG_1.jpg", "DSC_2.jpg"], id="cameras"),
        pytest.param(["photo_1.jpg", "image_2.jpg"], id="neutral words"),
        pytest.param([f"{letter}x{n}.jpg" for n, letter in enumerate("abcdefgh")], id="all different"),
        pytest.param(["1.jpg", "2.jpg", "3.jpg", "cat.1.jpg"], id="mostly without"),
        pytest.param([f"{name}_{n}.jpg" for name in ("FB_IMG", "Snapchat", "received") for n in range(4)], id="phone"),
        pytest.param([f"{n}{n}f2a9c1b-11aa-4bcd-8e9f-0123456789ab.jpg" for n in range(4)], id="UUIDs"),
        pytest.param([], id="none"),
    ],
)
def test_names_that_carry_no_labels_as_a_whole_give_none(names: list[str]) -> None:
    assert labels_from_names(names) is None


def test_a_neutral_word_beside_one_that_says_more_is_a_label() -> None:
    assert labels_from_names(["photo_1.jpg", "drawing_1.jpg"]) == ["photo", "drawing"]


def test_a_pattern_gives_its_first_group_and_none_where_it_does_not_match() -> None:
    assert labels_from_pattern(["a_cat.jpg", "b_dog.jpg", "readme.jpg"], r"_(\w+)\.", "mine") == ["cat", "dog", None]


def test_a_group_called_label_goes_before_the_first_group() -> None:
    assert labels_from_pattern(["12-cat.jpg"], r"(\d+)-(?P<label>\w+)", "mine") == ["cat"]


def test_a_pattern_that_matches_nothing_is_shown_with_three_names() -> None:
    with pytest.raises(
        DatasetError, match=r"'\^\(x\)'.*4 photos of 'mine'.*'1.jpg', '2.jpg', '3.jpg'\. Only the file name is searched"
    ):
        labels_from_pattern(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], "^(x)", "mine")
