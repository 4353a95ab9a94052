"""The house: a room a subject, a name a thing, no circle of imports, not even of those that only type checkers read."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import tellapart

PACKAGE_DIR = Path(tellapart.__file__).parent
ROOMS = sorted(path.parent for path in PACKAGE_DIR.glob("*/__init__.py"))
# A module for each verb of the command line stands in both, and in the room that trains.
VERB_ROOMS = ("cli", "commands")
SMALLEST_ROOM, LARGEST_ROOM = 3, 16

# Words that do not say what a thing is or what a function does.
VAGUE_MODULES = (
    "album contents described doubtful examined finish outcome pace prepare quiet remember results stray views"
)
VAGUE_FUNCTIONS = "direct lent_to pays recall see settled sort_out turn unit"


def modules(folder: Path = PACKAGE_DIR) -> list[Path]:
    """The Python files below a folder that have a name of their own."""
    return sorted(path for path in folder.rglob("*.py") if not path.stem.startswith("__"))


def definitions(kind: type[ast.ClassDef | ast.FunctionDef]) -> Iterator[tuple[str, str]]:
    """Name and place of every class or function of the package."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield node.name, f"{path.relative_to(PACKAGE_DIR)}:{node.lineno}"


def repeated(named: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that stand in several places."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, place in named:
        places[name].append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def find_circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules that import each other, directly or through others."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        waiting, seen = list(imports[start]), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += imports[name]
        reached[start] = seen
    circles = [{other for other in seen if name in reached[other]} for name, seen in reached.items() if name in seen]
    return [circle for number, circle in enumerate(circles) if circle not in circles[:number]]


def test_no_two_modules_share_a_name_but_those_of_the_verbs() -> None:
    verbs = {path.stem for path in modules(PACKAGE_DIR / "cli")}
    elsewhere = [path for path in modules() if path.parent.name not in VERB_ROOMS]
    commands = [path for path in modules(PACKAGE_DIR / "commands") if path.stem not in verbs]
    named = ((path.stem, str(path.relative_to(PACKAGE_DIR))) for path in elsewhere + commands)
    assert repeated(named) == {}


def test_no_two_classes_share_a_name() -> None:
    assert repeated(definitions(ast.ClassDef)) == {}


def test_no_module_has_a_vague_name() -> None:
    vague = {path.stem for path in modules()} & set(VAGUE_MODULES.split())
    assert not vague | {path.stem for path in modules() if path.stem.startswith("foreign_")}


def test_no_function_has_a_vague_name() -> None:
    vague = VAGUE_FUNCTIONS.split()
    assert [found for found in definitions(ast.FunctionDef) if found[0].strip("_") in vague] == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room.name not in VERB_ROOMS], ids=lambda room: room.name)
def test_a_room_can_be_taken_in_at_a_glance(room: Path) -> None:
    assert SMALLEST_ROOM <= len(modules(room)) <= LARGEST_ROOM


def test_no_modules_import_each_other() -> None:
    graph = grimp.build_graph("tellapart", exclude_type_checking_imports=False)
    rooms = {f"tellapart.{room.name}" for room in ROOMS} | {"tellapart"}
    imports = {name: graph.find_modules_directly_imported_by(name) - rooms for name in graph.modules}
    assert find_circles(imports) == []


def test_a_circle_of_imports_is_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert find_circles(imports) == [{"b", "c"}]
