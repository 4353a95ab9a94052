"""The tests of this room need the extra `ray`."""

import os
from importlib.util import find_spec

# Ray's workers are the last to be served by default, and would wait for other tests.
os.environ.setdefault("RAY_worker_niceness", "0")

collect_ignore_glob = [] if find_spec("ray") and find_spec("pyarrow") else ["test_*.py"]
