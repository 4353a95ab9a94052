import ast
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

import tellapart

PACKAGE_DIR = Path(tellapart.__file__).parent
HEAVY = ("cv2", "keras", "matplotlib", "numpy", "onnx", "onnxruntime", "pandas", "PIL", "scipy", "sklearn", "torch")


def run(code: str) -> str:
    """What `code` prints in a fresh interpreter that finds this very package."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_DIR.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_for_type_checkers() -> dict[str, str]:
    """Name to module of the imports that only type checkers read."""
    tree = ast.parse((PACKAGE_DIR / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {str(alias.asname): str(node.module) for node in imports for alias in node.names}


def test_the_public_names_are_sorted_and_stand_once() -> None:
    assert tellapart.__all__ == sorted(set(tellapart.__all__))


def test_type_checkers_see_every_public_name_from_the_module_it_is_loaded_from() -> None:
    assert names_for_type_checkers() == tellapart._HOME_OF
    assert sorted([*tellapart._HOME_OF, "__version__"]) == tellapart.__all__


@pytest.mark.slow
@pytest.mark.skipif(find_spec("keras") is None, reason="the part that learns is not installed")
def test_every_public_name_resolves_and_says_that_it_is_public() -> None:
    code = (
        "import tellapart; names = [name for name in tellapart.__all__ if name != '__version__']; "
        "found = [getattr(tellapart, name) for name in names]; "
        "print([one for one, name in zip(found, names) if (one.__module__, one.__name__) != ('tellapart', name)])"
    )

    assert run(code) == "[]"


@pytest.mark.slow
def test_no_public_name_is_hidden_by_a_room_of_the_same_name() -> None:
    rooms = {path.name for path in PACKAGE_DIR.iterdir() if path.is_dir()} | {p.stem for p in PACKAGE_DIR.glob("*.py")}

    assert rooms & set(tellapart.__all__) == set()


def test_the_version_is_that_of_the_installation() -> None:
    assert tellapart.__version__ == version("tellapart")


def test_the_public_names_are_listed_for_completion() -> None:
    assert dir(tellapart) == tellapart.__all__


def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(AttributeError, match="module 'tellapart' has no attribute 'trian'"):
        _ = tellapart.trian


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert run(f"import sys, tellapart; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_settings_and_errors_load_nothing_heavy() -> None:
    code = (
        "import sys, tellapart; tellapart.ClassicConfig(); tellapart.SourceConfig(); tellapart.ConfigError; "
        f"tellapart.Skipped; print([name for name in {HEAVY} if name in sys.modules])"
    )

    assert run(code) == "[]"


def test_loading_a_model_needs_no_keras() -> None:
    code = "import sys, tellapart; tellapart.load; print([name for name in ('keras', 'torch') if name in sys.modules])"

    assert run(code) == "[]"


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE_DIR / "py.typed").is_file()
