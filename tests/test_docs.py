"""Every command and every Python block of the README and the documentation is run, on a few drawn photos."""

import ast
import csv
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.main import get_command

from tellapart.cli.app import app, main
from tellapart.demo.drawing import write_demo_folder, write_demo_zips

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    [
        REPOSITORY / "README.md",
        REPOSITORY / "README.zh-CN.md",
        REPOSITORY / "CONTRIBUTING.md",
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
_BLOCK = re.compile(
    r"^(?: *<!-- test: (?P<mark>\w+) -->\n)?(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^ *```$", re.M | re.S
)
# What a page may tell a reader to type besides `tellapart` and `make`.
SHELL = ("source ", "pip install ", "pipx install ", "uv tool install ", "git ", "cd ")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, language and lines; `is_parsed_only` where the page marks it as too slow to run."""

    page: Path
    language: str
    text: str
    is_parsed_only: bool


def blocks_of(page: Path, language: str) -> list[Block]:
    """The blocks of a page in that language, in order."""
    found = []
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match["language"] == language:
            text = "\n".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines())
            found.append(Block(page, language, text, match["mark"] == "parse"))
    return found


def commands_of(block: Block) -> list[list[str]]:
    """The words of each line, without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def pages_with(language: str) -> list[Any]:
    """The pages that have a block in that language, as parameters named after the page.

    The Chinese README has the code of the English one, as a test below says, so it runs once.
    """
    pages = [page for page in PAGES if page.name != "README.zh-CN.md"]
    return [pytest.param(page, id=page.stem) for page in pages if blocks_of(page, language)]


def write_world(world: Path) -> None:
    """What the pages speak of: photos, labels, zips, decisions, a network and a trained run."""
    write_demo_folder(world / "photos", 12, seed=0)
    write_demo_folder(world / "labelled", 3, seed=1)
    new = write_demo_folder(world / "new-by-class", 2, seed=2)
    (world / "new").mkdir()
    for number, path in enumerate(sorted(new.rglob("*.jpg"))):
        shutil.move(path, world / "new" / f"{number}.jpg")
    shutil.rmtree(new)
    for folder, pattern in (("animals", "{label}.{number}.jpg"), ("numbered", "{number}_{label}.jpg")):
        (world / folder).mkdir()
        for number, path in enumerate(sorted((world / "photos").rglob("*.jpg"))):
            shutil.copy(path, world / folder / pattern.format(label=path.parent.name, number=number))
    (world / "unsorted").mkdir()
    rows = ["path,label"]
    for number, path in enumerate(sorted((world / "photos").rglob("*.jpg"))):
        shutil.copy(path, world / f"unsorted/{number}.jpg")
        rows.append(f"{number}.jpg,{path.parent.name}")
    (world / "unsorted/labels.csv").write_text("\n".join([*rows, ""]))
    train_zip, test_zip = write_demo_zips(world / "zips", 8, 4, 3)
    shutil.move(train_zip, world / "animals.zip")
    shutil.move(test_zip, world / "test.zip")
    (world / "sample_submission.csv").write_text("id,label\n" + "".join(f"{number},0.5\n" for number in range(1, 5)))
    shutil.copy(next((world / "photos").rglob("*.jpg")), world / "one.jpg")


def quicker(words: list[str]) -> list[str]:
    """The command with a small network, where it trains on whatever network is the default."""
    is_training = words[1] == "train" and not {"--recipe", "--backbone"} & set(words)
    return [*words, "--backbone", "net.onnx"] if is_training else words


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a `tellapart` command, run in this process."""
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def trained_world(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> tuple[Path, Path]:
    """A folder with everything the pages speak of, never changed, and a cache that holds its vectors."""
    world, cache_dir = tmp_path_factory.mktemp("docs") / "world", tmp_path_factory.mktemp("docs-cache")
    world.mkdir()
    write_world(world)
    shutil.copy(tiny_backbone, world / "net.onnx")
    shutil.copy(tiny_backbone.with_suffix(".json"), world / "net.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_dir))
        patch.chdir(world)
        assert run_command(["tellapart", "train", "photos/"], patch) == 0
        assert run_command(["tellapart", "embed", "photos/", "--out", "vectors.npz"], patch) == 0
        shutil.copytree("runs/photos-transfer", "runs/photos-fixed-transfer")
        photo = csv.DictReader(Path("runs/photos-transfer/split.csv").read_text("utf-8-sig").splitlines()).__next__()
        Path("decisions-1a2b3c4d.csv").write_text(f"content,class,decision\n{photo['content']},{photo['class']},keep\n")
    return world, cache_dir


@pytest.fixture
def world(trained_world: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained world, which is also the working folder."""
    source, cache_dir = trained_world
    copy = tmp_path / "world"
    shutil.copytree(source, copy, copy_function=os.link)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_dir))
    monkeypatch.setattr("typer.launch", lambda address: 0)
    return copy


@pytest.mark.parametrize("page", pages_with("sh"))
def test_every_command_of_the_page_runs(page: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in blocks_of(page, "sh") if not block.is_parsed_only]
    commands = [words for block in blocks for words in commands_of(block) if words[0] == "tellapart"]
    codes = {
        shlex.join(words): run_command(quicker(words), monkeypatch) for words in commands if "--clear" not in words
    }
    assert codes == dict.fromkeys(codes, 0)


@pytest.mark.parametrize("page", pages_with("sh"))
def test_every_command_of_the_page_has_the_flags_it_names(page: Path) -> None:
    group: Any = get_command(app)
    for words in (words for block in blocks_of(page, "sh") for words in commands_of(block) if words[0] == "tellapart"):
        command, rest = group.commands[words[1]], words[2:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[1], rest)


@pytest.mark.parametrize("page", pages_with("sh"))
def test_the_page_asks_for_nothing_else_than_known_commands(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    extras = (REPOSITORY / "pyproject.toml").read_text()
    for words in (words for block in blocks_of(page, "sh") for words in commands_of(block)):
        line = " ".join(words)
        assert line.startswith(("tellapart ", "make ", *SHELL)), line
        assert words[0] != "make" or words[1] in targets, line
        assert all(f"\n{extra} = [" in extras for extra in re.findall(r"\[(\w+)\]", line)), line


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_python_of_the_page_runs(page: Path, world: Path) -> None:
    for block in blocks_of(page, "python"):
        code = compile(block.text, f"{page.name}", "exec")
        exec(compile("", "", "exec") if block.is_parsed_only else code, {"__name__": "__main__"})


@pytest.mark.parametrize("page", pages_with("json"))
def test_the_json_of_the_page_is_what_a_backbone_takes(page: Path, world: Path) -> None:
    assert [block.text.split('"')[1] for block in blocks_of(page, "json")] == ["image_size"]


def test_the_photos_of_the_world_can_be_told_apart_by_name(world: Path) -> None:
    assert len(list((world / "new").iterdir())) == 4
    assert cv2.imread(str(world / "one.jpg")).dtype == np.uint8


@pytest.mark.parametrize(
    "script", ["docs/make_reference.py", "benchmarks/make_results.py"], ids=["reference", "results"]
)
def test_what_is_generated_is_up_to_date(script: str, load_script: Any) -> None:
    pages = load_script(script).pages()
    assert [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text] == []


def test_every_measurement_is_in_a_table(load_script: Any) -> None:
    script = load_script("benchmarks/make_results.py")
    groups = {row["benchmark"].partition(".")[0] for row in script.read_rows(script.BENCHMARKS_DIR / "results.csv")}
    assert groups - set(script.GROUPS) == set()


@pytest.fixture
def load_script() -> Any:
    """A function from the path of a script in the repository to its module."""
    from importlib.util import module_from_spec, spec_from_file_location

    def load(script: str) -> Any:
        spec = spec_from_file_location(Path(script).stem, REPOSITORY / script)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_page_is_linked_from_an_index() -> None:
    docs = REPOSITORY / "docs"
    linked = {docs / "index.md", docs / "decisions/index.md"}
    for index in tuple(linked):
        text = index.read_text(encoding="utf-8")
        linked |= {(index.parent / target).resolve() for target in re.findall(r"\]\(([\w/.-]+\.md)\)", text)}
    assert set(docs.rglob("*.md")) - linked == set()


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_code_that_is_named_exists(page: Path) -> None:
    names = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text(encoding="utf-8"))
    places = (REPOSITORY, REPOSITORY / "src/tellapart")
    assert [name for name in names if not any((place / name).exists() for place in places)] == []


def test_both_readmes_have_the_same_code_commands_tables_and_links() -> None:
    english, chinese = REPOSITORY / "README.md", REPOSITORY / "README.zh-CN.md"

    def outline(page: Path) -> tuple[object, ...]:
        text = page.read_text(encoding="utf-8")
        code = [ast.dump(ast.parse(block.text)) for block in blocks_of(page, "python")]
        commands = [commands_of(block) for block in blocks_of(page, "sh")]
        links = sorted(set(re.findall(r"\]\(([^)]+)\)", text)) - {english.name, chinese.name})
        return code, commands, links, len(re.findall("^## ", text, re.M)), len(re.findall(r"^\| ", text, re.M))

    assert outline(english) == outline(chinese)
