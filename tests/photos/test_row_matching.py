import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos, open_labelled
from tellapart.store import to_csv_bytes

Plant = Callable[..., Path]
ROWS = "a.jpg,cat\nb.jpg,cat\nc.jpg,dog\nd.jpg,dog\n"
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture
def write_csv(plant: Plant) -> Callable[..., Path]:
    """A function that writes `labels.csv` beside four photos and gives its path."""

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = plant(*NAMES) / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("path,label\n" + ROWS, id="plain"),
        pytest.param("\ufeffFileName,Class\r\n" + ROWS.replace("\n", "\r\n"), id="byte order mark"),
        pytest.param("number;label;image\n" + "".join(f"1;{r[6:]};{r[:5]}\n" for r in ROWS.split()), id="semicolons"),
        pytest.param("path\tlabel\n" + ROWS.replace(",", "\t"), id="tabs"),
        pytest.param("id,target\n" + ROWS.replace(".jpg", ""), id="ids"),
        pytest.param("path,label\n" + ROWS + ROWS, id="every row twice"),
        pytest.param("path,label\n" + ROWS.replace("a.jpg", "./a.jpg").replace(",cat", ", cat "), id="blanks"),
    ],
)
def test_a_csv_gives_paths_and_labels(write_csv: Callable[..., Path], text: str) -> None:
    path = write_csv(text)
    photos = open_labelled(path)

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert photos.paths == tuple(str(path.parent / name) for name in NAMES)


def test_a_csv_in_utf16_is_read(write_csv: Callable[..., Path]) -> None:
    assert open_labelled(write_csv("path,label\n" + ROWS, "utf-16")).counts() == {"cat": 2, "dog": 2}


def test_numbers_stay_the_text_they_are(write_csv: Callable[..., Path]) -> None:
    text = "path,label\n" + ROWS.replace("cat", "007").replace("dog", "NA")

    assert open_labelled(write_csv(text)).class_names == ("007", "NA")


def test_absolute_paths_are_accepted(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    folder = write_csv("").parent
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("path,label\n" + "".join(f"{folder}/{row}\n" for row in ROWS.split()))

    assert open_labelled(elsewhere).paths[0] == f"{folder}/a.jpg"


def test_a_csv_named_without_a_folder_is_relative_to_here(
    write_csv: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_csv("path,label\n" + ROWS).parent)

    assert open_labelled("labels.csv").paths == NAMES


def test_labels_for_a_folder_are_relative_to_it(tmp_path: Path, plant: Plant) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\nx/a.jpg,cat\nx/f.jpg,\nb,cat\nc.jpg,dog\ny\\d.jpg,dog\n")
    photos = open_labelled(
        plant("x/a.jpg", "x/b.jpg", "y/c.jpg", "y/d.jpg", "y/e.jpg", "x/f.jpg"), SourceConfig(labels_csv=str(table))
    )

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert [(Path(skipped.path).name, skipped.reason) for skipped in photos.skipped] == [
        ("f.jpg", "has no label in the CSV"),
        ("e.jpg", "is not named in `labels_csv`"),
    ]


def test_labels_for_a_zip_find_its_members(tmp_path: Path, pack: Callable[..., Path]) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,label\na,cat\nb,cat\ntrain/c.jpg,dog\nd.jpg,dog\n")
    photos = open_labelled(pack(*(f"train/{name}" for name in NAMES)), SourceConfig(labels_csv=str(table)))

    assert photos.counts() == {"cat": 2, "dog": 2}


def test_a_name_that_several_files_have_is_left_out(tmp_path: Path, plant: Plant) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\n1.jpg,cat\nx/1.jpg,dog\n")
    photos = open_labelled(plant("x/1.jpg", "y/1.jpg"), SourceConfig(labels_csv=str(table)), check=False)

    assert photos.counts() == {"dog": 1}
    assert "several files" in photos.skipped[0].reason


def test_rows_that_cannot_be_used_are_skipped_with_a_reason(write_csv: Callable[..., Path]) -> None:
    path = write_csv("path,label\n" + ROWS + "gone.jpg,cat\nlabels.csv,cat\na.jpg,dog\nb.jpg, \n")
    photos = open_labelled(path, check=False)

    assert photos.counts() == {"cat": 1, "dog": 2}
    assert [(Path(skipped.path).name, skipped.reason.split(". ")[0]) for skipped in photos.skipped] == [
        ("a.jpg", "rows of the CSV give it different labels: 'cat', 'dog'"),
        ("b.jpg", "has no label in the CSV"),
        ("gone.jpg", "is named in the CSV, but there is no such file"),
        ("labels.csv", "a table, not a photo"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("name,label\nx,cat\ny,dog\n", "no column for the path, only 'name', 'label'. In", id="no path"),
        pytest.param(
            "path,sort\na.jpg,w\nb.jpg,x\nc.jpg,y\nd.jpg,z\n",
            "no column for the label, only 'path', 'sort'",
            id="no label",
        ),
        pytest.param(
            "path,colour,size\n" + "".join(f"{row},{row[-3:]}\n" for row in ROWS.split()),
            "no column for the label, only 'path', 'colour', 'size'",
            id="two columns of words",
        ),
        pytest.param(
            "path,tags\na.jpg,cat|out\nb.jpg,dog|in\n",
            r"each row of CSV .* has several labels, such as 'cat', 'out' for 'a.jpg'. A photo has one class",
            id="several labels",
        ),
        pytest.param("path,label\n", "header but no rows", id="no rows"),
        pytest.param("", "has no columns with a name. Write a first line with their names, such as", id="empty"),
        pytest.param("path,label\n9.jpg,cat\n", "The only file named in CSV .* is missing: '9.jpg'", id="one row"),
        pytest.param(
            "path,label\na.jpg,cat\nb.jpg,dog,x,y\n",
            "labels.csv' cannot be used: line 3 has 4 values for 2 columns",
            id="long row",
        ),
        pytest.param("path,label\na.jpg,\nb.jpg,\n", "no row of CSV .* has a label", id="no labels"),
        pytest.param(
            "path,label\na.jpg,cat\n" + "".join(f"{n}.jpg,dog\n" for n in range(7)),
            "7 of the 8 files .* are missing: '0.jpg', .*'4.jpg' and 2 more. Give paths relative to",
            id="missing files",
        ),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused(write_csv: Callable[..., Path], text: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_labelled(write_csv(text))


def test_a_csv_that_is_not_utf8_is_read_and_said(write_csv: Callable[..., Path]) -> None:
    path = write_csv("path,label\n" + ROWS.replace("cat", "ch\u00e4t"), "cp1252")
    photos = open_labelled(path)

    assert photos.class_names == ("ch\u00e4t", "dog")
    assert [note.partition(". ")[0] for note in photos.notes] == [
        f"CSV {str(path)!r} is not UTF-8 text and was read as Windows-1252"
    ]


def label_studio(row: str) -> str:
    name, label = row.split(",")
    return f"1,{label},7,/data/upload/1/3f2a0000-{name},3.2\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("id,image_name,label\n" + "".join(f"{n},{r}\n" for n, r in enumerate(ROWS.split())), id="an id"),
        pytest.param("what,where\n" + "".join(f"{r[6:]},{r[:5]}\n" for r in ROWS.split()), id="names unknown"),
        pytest.param(ROWS, id="no header"),
        pytest.param('"sep=;"\r\npath;label\r\n' + ROWS.replace(",", ";"), id="the delimiter told"),
        pytest.param("path,label\n" + ROWS.replace("\n", ",,\n"), id="rows end in delimiters"),
        pytest.param("path,label,\n" + ROWS.replace("\n", ",\n"), id="all lines end in delimiters"),
        pytest.param("path|label\n" + ROWS.replace(",", "|"), id="bars"),
        pytest.param(
            "annotator,choice,id,image,lead_time\n" + "".join(map(label_studio, ROWS.split())), id="Label Studio"
        ),
        pytest.param(
            "image,choice\n"
            + "".join(f'/data/local-files/?d=mine/{r[:5]},"{{""choices"": [""{r[6:]}""]}}"\n' for r in ROWS.split()),
            id="Label Studio's JSON",
        ),
        pytest.param(
            "file, cat , dog\n" + "".join(f"{r[:5]}, {int('cat' in r)}, {int('dog' in r)}\n" for r in ROWS.split()),
            id="one-hot",
        ),
        pytest.param(
            "file,cat,dog\n" + "".join(f"{r[:1]},{float('cat' in r)},{float('dog' in r)}\n" for r in ROWS.split()),
            id="one-hot of floats",
        ),
        pytest.param(
            "file,cat,dog\n" + "".join(f"{r[:5]},{'cat' in r},{'dog' in r}\n" for r in ROWS.split()),
            id="one-hot of words",
        ),
        pytest.param("path,label\n" + ROWS.replace("a.jpg", "C:\\Users\\me\\mine\\a.jpg"), id="a path of elsewhere"),
        pytest.param(
            "url,label\n" + "".join(f"https://host/x/{r[:5]}?w=9{r[5:]}\n" for r in ROWS.split()), id="addresses"
        ),
        pytest.param("path,label\n" + ROWS.replace("cat", '"[""cat""]"'), id="lists of one"),
        pytest.param(",path,label\n" + "".join(f"{n},{r}\n" for n, r in enumerate(ROWS.split())), id="row numbers"),
    ],
)
def test_columns_are_found_by_what_they_hold(write_csv: Callable[..., Path], text: str) -> None:
    assert labels(open_labelled(write_csv(text))) == {"a.jpg": "cat", "b.jpg": "cat", "c.jpg": "dog", "d.jpg": "dog"}


def labels(photos: PhotoSet) -> dict[str, str]:
    assert photos.labels is not None
    return {Path(path).name: photos.class_names[row] for path, row in zip(photos.paths, photos.labels, strict=True)}


@pytest.mark.parametrize(
    "rows",
    [
        "path,label\na.jpg,cat|dog\nb.jpg,cat\nc.jpg,dog\nd.jpg,dog\n",
        'path,label\na.jpg,"[""cat"", ""dog""]"\nb.jpg,cat\nc.jpg,dog\nd.jpg,dog\n',
        "path,cat,dog\na.jpg,1,1\nb.jpg,1,0\nc.jpg,0,1\nd.jpg,0,1\n",
    ],
    ids=["bars", "a list", "one-hot"],
)
def test_a_photo_with_several_labels_is_left_out_and_said(write_csv: Callable[..., Path], rows: str) -> None:
    photos = open_labelled(write_csv(rows), check=False)

    assert photos.counts() == {"cat": 1, "dog": 2}
    assert photos.skipped[0].reason == "has several labels in the CSV, 'cat', 'dog', and a photo has one class"


def test_labels_that_look_like_several_are_said(write_csv: Callable[..., Path]) -> None:
    values = ["cat in", "cat out", "dog in", "dog out"]
    photos = open_labelled(
        write_csv("path,tags\n" + "".join(f"{name},{value}\n" for name, value in zip(NAMES, values, strict=True))),
        check=False,
    )

    assert len(photos.class_names) == 4
    assert "seems to hold several labels for each photo, such as 'cat in'. Each combination" in photos.notes[0]


def test_classes_of_several_words_are_not_taken_for_several(write_csv: Callable[..., Path]) -> None:
    text = "path,label\n" + ROWS.replace("cat", "great pyrenees").replace("dog", "german shepherd")

    assert open_labelled(write_csv(text)).notes == ()


@pytest.mark.parametrize("column", ["split", "Set", "usage"])
def test_a_column_of_splits_is_honoured(write_csv: Callable[..., Path], column: str) -> None:
    rows = zip(ROWS.split(), ["train", "Val", "TEST", ""], strict=True)
    photos = open_labelled(write_csv(f"path,label,{column}\n" + "".join(f"{row},{split}\n" for row, split in rows)))

    assert photos.given_splits == ("train", "validation", "test", None)


def test_a_column_of_splits_that_holds_something_else_is_named(write_csv: Callable[..., Path]) -> None:
    photos = open_labelled(write_csv("path,label,split\n" + ROWS.replace("\n", ",7\n")))

    assert photos.given_splits == ()
    assert re.search("The column 'split' of CSV .* is not used: it holds '7'", photos.notes[0])


def test_a_photo_in_two_splits_is_left_out(write_csv: Callable[..., Path]) -> None:
    text = "path,label,split\n" + ROWS.replace("\n", ",train\n") + "a.jpg,cat,test\n"
    photos = open_labelled(write_csv(text), check=False)

    assert [skipped.reason for skipped in photos.skipped] == ["rows of the CSV put it into different splits"]


@pytest.mark.parametrize("folders", [("blood test", "control"), ("train", "test")], ids=str)
def test_no_folder_name_overrules_a_csv(plant: Plant, folders: tuple[str, str]) -> None:
    names = [f"{folder}/{row}.jpg" for folder in folders for row in (1, 2)]
    table = plant(*names) / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))

    for photos in (open_labelled(table), open_labelled(table.parent, SourceConfig(labels_csv=str(table)))):
        assert photos.counts() == dict.fromkeys(sorted(folders), 2)
        assert photos.given_splits == ()


def test_the_given_table_is_not_a_skipped_file_of_its_folder(plant: Plant) -> None:
    folder = plant("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    for name in ("table.csv", "other.csv"):
        (folder / name).write_text("path,label\n1.jpg,x\n2.jpg,y\n3.jpg,x\n4.jpg,y\n")

    photos = open_labelled(folder, SourceConfig(labels_csv=str(folder / "table.csv")))

    assert [Path(skipped.path).name for skipped in photos.skipped] == ["other.csv"]


def test_split_folders_in_the_paths_of_a_csv_are_splits(plant: Plant) -> None:
    names = [f"{folder}/{row}.jpg" for folder in ("train", "test") for row in (1, 2)]
    table = plant(*names) / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{name},{'cat' if '1' in name else 'dog'}\n" for name in names))

    assert open_labelled(table).given_splits == ("test", "test", "train", "train")


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize(
    "written", ["{}/{} 1.jpg", "{}/{} 1", "{1} 1.jpg", "{1} 1"], ids=["path", "no suffix", "name", "stem"]
)
def test_names_are_compared_in_one_unicode_form(
    tmp_path: Path, plant: Plant, pack: Callable[..., Path], on_disk: str, in_table: str, written: str
) -> None:
    words = ("K\u00e4tzchen", "H\u00fcndchen")
    names = [unicodedata.normalize(on_disk, f"{word}/{word} 1.jpg") for word in words]
    table = tmp_path / "labels.csv"
    rows = [unicodedata.normalize(in_table, f"{written.format(word, word)},{word}\n") for word in words]
    table.write_text("path,label\n" + "".join(rows), encoding="utf-8")
    counts = {"H\u00fcndchen": 1, "K\u00e4tzchen": 1}
    config = SourceConfig(labels_csv=str(table))

    assert open_labelled(plant(*names), config, check=False).counts() == counts
    assert open_labelled(pack(*names), config, check=False).counts() == counts


def test_a_path_whose_folder_contradicts_finds_no_file(plant: Plant) -> None:
    table = plant("dog/1.jpg", "cat/2.jpg") / "labels.csv"
    table.write_text("path,label\ncat/1.jpg,cat\ncat/2.jpg,cat\ndog/1.jpg,dog\n")
    photos = open_labelled(table, check=False)

    assert labels(photos) == {"1.jpg": "dog", "2.jpg": "cat"}
    assert photos.skipped[0].reason == "is named in the CSV, but there is no such file"


def test_a_csv_without_labels_names_photos_to_predict(write_csv: Callable[..., Path]) -> None:
    photos = list_photos([write_csv("number,name\n1,b.jpg\n2,a\n3,gone.jpg\n")])

    assert [Path(path).name for path in photos.paths] == ["b.jpg", "a.jpg"]
    assert [Path(skipped.path).name for skipped in photos.skipped] == ["gone.jpg"]


def test_a_csv_that_is_not_there_is_refused(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="'no.csv' cannot be read: No such file"):
        open_labelled(plant(*NAMES), SourceConfig(labels_csv="no.csv"))


def test_a_csv_takes_no_other_source_of_labels(write_csv: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match="Leave out `label_pattern`"):
        open_labelled(write_csv("path,label\n" + ROWS), SourceConfig(label_pattern="(.)"))


def test_a_table_that_was_escaped_for_spreadsheets_names_its_photos(plant: Callable[..., Path], tmp_path: Path) -> None:
    folder = plant("=1.jpg", "-2.jpg", "'=3.jpg", "@4.jpg")
    rows = [("path", "label"), ("=1.jpg", "=a"), ("-2.jpg", "=a"), ("'=3.jpg", "+b"), ("@4.jpg", "+b")]
    (tmp_path / "labels.csv").write_bytes(to_csv_bytes(rows))
    photos = open_labelled(folder, SourceConfig(labels_csv=str(tmp_path / "labels.csv")))

    assert photos.counts() == {"+b": 2, "=a": 2}
