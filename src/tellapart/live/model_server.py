"""One run behind HTTP for other programs: `tellapart serve` in a process of its own, on or off."""

import re
import threading
from pathlib import Path

from tellapart.errors import OutputError
from tellapart.live.detached_process import DetachedProcess, describe_end, tellapart_command
from tellapart.live.live_project import LiveProject, state_dir
from tellapart.store import to_json_bytes, write_file
from tellapart.translation import current_language
from tellapart.untrusted import read_json, text_of

_SERVE_DIR_NAME, _SERVED_NAME = "serve", "served.json"
_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):[0-9]{1,5}")
# Loading what serves takes some seconds on a busy machine.
_START_SECONDS, _STOP_SECONDS = 60.0, 10.0
_POLL_SECONDS = 0.05


class ModelServer:
    """The server of one run of a project; may be used from several threads.

    Args:
        project: whose run.
    """

    def __init__(self, project: LiveProject) -> None:
        self._folder = state_dir(project) / _SERVE_DIR_NAME
        self._process = DetachedProcess(self._folder)
        self._lock = threading.Lock()
        self._address: str | None = None

    def served(self) -> tuple[Path, str] | None:
        """The folder of the run that is served, also by an earlier Studio, and the address; `None` while none is."""
        if not self._process.is_running():
            return None
        address = self._address or self._find_address()
        try:
            run_dir = Path(text_of(read_json(self._folder / _SERVED_NAME)["run_dir"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if address is None else (run_dir, address)

    def start(self, run_dir: Path) -> str:
        """The address at which the run is served from now on, instead of any other.

        Raises:
            OutputError: nothing can be written into the folder, or the server does not start; the message says why.
        """
        with self._lock:
            self._process.end(_STOP_SECONDS)
            self._address = None
            self._folder.mkdir(parents=True, exist_ok=True)
            write_file(self._folder / _SERVED_NAME, to_json_bytes({"run_dir": str(run_dir)}))
            named = f"{run_dir.name}={run_dir}"
            self._process.start(tellapart_command("serve", named, port=0, language=current_language()))
            self._address = self._wait_for_address()
            return self._address

    def stop(self) -> None:
        """Nothing; no run is served."""
        with self._lock:
            self._process.end(_STOP_SECONDS)
            self._address = None

    def _wait_for_address(self) -> str:
        waiting = threading.Event()
        for _turn in range(round(_START_SECONDS / _POLL_SECONDS)):
            is_running, address = self._process.is_running(), self._find_address()
            if address is not None:
                return address
            if not is_running:
                break
            waiting.wait(_POLL_SECONDS)
        self._process.end(_STOP_SECONDS)
        said = self._process.output().strip().splitlines()
        raise OutputError(said[-1].removeprefix("tellapart: ") if said else describe_end(self._folder))

    def _find_address(self) -> str | None:
        found = _ADDRESS.search(self._process.output())
        return found[0] if found else None
