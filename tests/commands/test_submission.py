import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tellapart.commands.submission import Result, Submission, SubmissionWriter, is_submission_for
from tellapart.errors import DatasetError
from tellapart.records import Prediction, Skipped

PETS = ("cat", "dog")
ZOO = ("ape", "bat", "cow")


def predicted(path: str, *probabilities: float, names: Sequence[str] = PETS) -> Prediction:
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return Prediction(path, names[best], probabilities)


TWO = [predicted("test1/2.jpg", 0.75, 0.25), predicted("test1/1.jpg", 0.125, 0.875)]
THREE = [predicted("2.png", 0.5, 0.25, 0.25, names=ZOO), predicted("1.png", 0.125, 0.125, 0.75, names=ZOO)]


def write_submission(sample_path: Path, out_path: Path, results: Iterable[Result], names: Sequence[str]) -> Submission:
    writer = SubmissionWriter(sample_path, out_path, names)
    for result in results:
        writer.add(result)
    return writer.write()


def submit(
    folder: Path, sample: str | bytes, results: Sequence[Result], names: Sequence[str]
) -> tuple[str, Submission]:
    """The text of the submission and what is said about it."""
    data = sample.encode() if isinstance(sample, str) else sample
    (folder / "sample.csv").write_bytes(data)
    submission = write_submission(folder / "sample.csv", folder / "out.csv", results, names)
    assert (folder / "sample.csv").read_bytes() == data
    return (folder / "out.csv").read_bytes().decode(), submission


def refuse(folder: Path, sample: str, results: Sequence[Result], names: Sequence[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        submit(folder, sample, results, names)
    assert "\n" not in str(caught.value)
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize("value", ["0.5", "0", "1", "1e-3"])
def test_a_column_of_numbers_gets_the_probability_of_the_second_class(tmp_path: Path, value: str) -> None:
    text, submission = submit(tmp_path, f"id,label\n1,{value}\n2,{value}\n", TWO, PETS)
    assert text == "id,label\n1,0.875\n2,0.25\n"
    assert submission == Submission(2, 0, "label: probability of 'dog'")


def test_a_column_of_numbers_named_after_a_class_gets_the_probability_of_that_class(tmp_path: Path) -> None:
    text, submission = submit(tmp_path, "id,cat\n1,0.5\n2,0.5\n", TWO, PETS)
    assert text == "id,cat\n1,0.125\n2,0.75\n"
    assert submission.meaning == "cat: probability of 'cat'"


def test_a_column_of_class_names_gets_the_predicted_class(tmp_path: Path) -> None:
    text, submission = submit(tmp_path, "image,animal\n2,ape\n1,ape\n", THREE, ZOO)
    assert text == "image,animal\n2,ape\n1,cow\n"
    assert submission.meaning == "animal: predicted class"


def test_classes_that_are_named_by_numbers_are_predicted_by_name(tmp_path: Path) -> None:
    results = [predicted("1.png", 0.1, 0.2, 0.7, names=("0", "1", "2"))]
    text, _ = submit(tmp_path, "ImageId,Label\n1,0\n", results, ("0", "1", "2"))
    assert text == "ImageId,Label\n1,2\n"


def test_a_column_for_each_class_gets_its_probability_in_the_order_of_the_sample(tmp_path: Path) -> None:
    text, submission = submit(tmp_path, "id,cow,ape,bat\n1,0,0,0\n2,0,0,0\n", THREE, ZOO)
    assert text == "id,cow,ape,bat\n1,0.75,0.125,0.125\n2,0.25,0.5,0.25\n"
    assert submission.meaning == "a column for each class: its probability"


@pytest.mark.parametrize(("in_sample", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize(
    "row_id", ["test1/K\u00e4tzchen 2.jpg", "test1/K\u00e4tzchen 2", "K\u00e4tzchen 2.jpg", "K\u00e4tzchen 2"]
)
def test_ids_are_compared_in_one_unicode_form(tmp_path: Path, in_sample: str, on_disk: str, row_id: str) -> None:
    results = [predicted(unicodedata.normalize(on_disk, f"photos/test{n}/K\u00e4tzchen 2.jpg"), 0.5, 0.5) for n in (1,)]
    written = unicodedata.normalize(in_sample, row_id)

    assert submit(tmp_path, f"id,label\n{written},0\n", results, PETS)[0] == f"id,label\n{written},0.5\n"


def test_a_path_in_the_sample_goes_before_a_name(tmp_path: Path) -> None:
    results = [predicted("a/1.jpg", 0.75, 0.25), predicted("b/1.jpg", 0.25, 0.75)]

    assert submit(tmp_path, "id,label\nb/1.jpg,0\na/1,0\n", results, PETS)[0] == "id,label\nb/1.jpg,0.75\na/1,0.25\n"


def test_classes_in_a_sample_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    names = ("K\u00e4tzchen", "H\u00fcndchen")
    results = [predicted("1.jpg", 0.75, 0.25, names=names)]
    header = unicodedata.normalize("NFD", "id,H\u00fcndchen,K\u00e4tzchen\n")

    assert submit(tmp_path, header + "1,0,0\n", results, names)[0] == header + "1,0.25,0.75\n"


def test_a_sample_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_bytes("id,caf\u00e9\n1,0\n".encode("cp1252"))
    writer = SubmissionWriter(tmp_path / "sample.csv", tmp_path / "out.csv", PETS)

    assert "was read as Windows-1252" in writer.notes[0]


def test_a_sample_with_semicolons_gives_a_submission_with_semicolons(tmp_path: Path) -> None:
    text, _ = submit(tmp_path, "id;label\n1;0\n2;0\n", TWO, PETS)
    assert text == "id;label\n1;0.875\n2;0.25\n"


def test_an_id_may_be_the_whole_file_name(tmp_path: Path) -> None:
    text, _ = submit(tmp_path, "id,label\n1.jpg,0\n2,0\n", TWO, PETS)
    assert text == "id,label\n1.jpg,0.875\n2,0.25\n"


def test_a_file_name_goes_before_a_stem(tmp_path: Path) -> None:
    results = [predicted("a.jpg", 0.75, 0.25), predicted("a.jpg.png", 0.25, 0.75)]
    text, submission = submit(tmp_path, "id,label\na.jpg,0\n", results, PETS)
    assert text == "id,label\na.jpg,0.25\n"
    assert submission.num_ignored == 1


def test_probabilities_keep_every_digit_of_float32(tmp_path: Path) -> None:
    text, _ = submit(tmp_path, "id,label\n1,0\n", [predicted("1.jpg", 5.9604645e-08, 0.99999994)], PETS)
    assert text == "id,label\n1,0.99999994\n"


def test_photos_the_sample_does_not_ask_for_are_counted(tmp_path: Path) -> None:
    results = [*TWO, predicted("3.jpg", 0.5, 0.5), Skipped("4.jpg", "cut short")]
    _, submission = submit(tmp_path, "id,label\n1,0\n", results, PETS)
    assert (submission.num_rows, submission.num_ignored) == (1, 2)


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_understood(tmp_path: Path) -> None:
    text, _ = submit(tmp_path, b"\xef\xbb\xbfid,label\r\n1,0\r\n\r\n2,0\r\n", TWO, PETS)
    assert text == "id,label\n1,0.875\n2,0.25\n"


def test_a_quoted_id_and_letters_beyond_ascii_come_through(tmp_path: Path) -> None:
    results = [predicted("Bär, klein.jpg", 0.25, 0.75)]
    text, _ = submit(tmp_path, 'id,"Größe"\n"Bär, klein",0\n', results, PETS)
    assert text == 'id,Größe\n"Bär, klein",0.75\n'


def test_ids_without_a_photo_are_named_and_counted(tmp_path: Path) -> None:
    sample = "id,label\n" + "".join(f"{number},0\n" for number in range(1, 11))
    refuse(tmp_path, sample, TWO, PETS, "8 of 10 ids .* have no photo: '3', '4', '5', '6', '7' and 3 more. Each id")


def test_an_id_whose_photo_could_not_be_read_gives_the_reason(tmp_path: Path) -> None:
    results = [TWO[0], Skipped("test1/1.jpg", "the file is cut short")]
    words = "'1'. 1 photo could not be read: the file is cut short"
    refuse(tmp_path, "id,label\n1,0\n2,0\n", results, PETS, words)


def test_an_id_that_fits_two_photos_is_refused(tmp_path: Path) -> None:
    results = [*TWO, predicted("other/1.png", 0.5, 0.5)]
    refuse(tmp_path, "id,label\n1,0\n", results, PETS, "more than one photo, such as '1': 'test1/1.jpg', 'other/1.png'")


def test_numbers_for_three_classes_are_explained(tmp_path: Path) -> None:
    refuse(tmp_path, "id,label\n1,0.5\n", THREE, ZOO, "holds '0.5', and the model has 3 classes.*if there are two")


def test_names_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    refuse(tmp_path, "id,label\n1,cat\n2,fish\n", TWO, PETS, "holds 'fish', and the model has 2 classes: 'cat', 'dog'")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,ape,bat,fish", "columns that are no classes: 'fish'"),
        ("id,ape,bat", "the columns 'ape', 'bat'. After the id, it needs one column for each class"),
        ("id,ape,bat,cow,cow", "the columns 'ape', 'bat', 'cow', 'cow'"),
    ],
)
def test_columns_that_are_not_the_classes_are_refused(tmp_path: Path, header: str, words: str) -> None:
    refuse(tmp_path, f"{header}\n1{',0' * header.count(',')}\n", THREE, ZOO, words)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("", "has 0 rows"),
        ("id,label\n", "has 0 rows"),
        ("id\n1\n", r"the header \['id'\]"),
        ("id,label\n1,0,0\n", "line 2 has 3 values for 2 columns"),
        ("id,label\n1\n2,x\n", "holds '', 'x'"),
        ("id,label\n1,0\n1,0\n", "the same id twice: '1'"),
        ('id,label\n"1,0\n', "line 2 is not a row of a CSV"),
    ],
    ids=["empty", "header only", "one column", "long row", "no values", "double id", "open quote"],
)
def test_what_is_no_sample_is_refused(tmp_path: Path, sample: str, words: str) -> None:
    refuse(tmp_path, sample, TWO, PETS, words)


def test_a_missing_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="sample .*gone.csv.* cannot be read"):
        write_submission(tmp_path / "gone.csv", tmp_path / "out.csv", TWO, PETS)


@pytest.mark.parametrize(
    ("text", "is_own"),
    [
        ("id,label\n1,0.25\n2,0.5\n", True),
        ("id,label\n2,0.25\n1,0.5\n", False),
        ("id,label\n1,cat\n2,dog\n3,dog\n", False),
        ("id,class\n1,0.25\n2,0.5\n", False),
        ("mine", False),
    ],
    ids=["ours", "another order", "the labels of the training", "another header", "no table"],
)
def test_a_submission_is_told_by_the_header_and_ids_of_its_sample(tmp_path: Path, text: str, is_own: bool) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n1,0\n2,0\n")
    (tmp_path / "out.csv").write_text(text)
    assert is_submission_for(tmp_path / "sample.csv")(tmp_path / "out.csv") == is_own


def test_a_submission_has_neither_mark_nor_escaped_ids(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_bytes(b"\xef\xbb\xbfid,label\n-1a,0.5\n")
    write_submission(tmp_path / "sample.csv", tmp_path / "out.csv", [predicted("-1a.png", 0.25, 0.75)], PETS)

    assert (tmp_path / "out.csv").read_bytes() == b"id,label\n-1a,0.75\n"


def test_a_class_that_begins_like_a_formula_stands_in_a_submission_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n1,=cat\n")
    write_submission(
        tmp_path / "sample.csv",
        tmp_path / "out.csv",
        [predicted("1.png", 0.75, 0.25, names=("=cat", "dog"))],
        ("=cat", "dog"),
    )

    assert (tmp_path / "out.csv").read_bytes() == b"id,label\n1,=cat\n"
