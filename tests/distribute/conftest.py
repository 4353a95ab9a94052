"""The tests of this room need the extra `ray`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("ray") and find_spec("pyarrow") else ["test_*.py"]
