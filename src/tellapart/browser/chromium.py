"""A Chromium of this machine that opens the page of an export and is given photos, as a person would give them.

It is driven by the Chrome DevTools Protocol over a pipe (`--remote-debugging-pipe`), so nothing but the browser has to
be installed. It runs without a window, with a profile of its own that goes away, and finds no host by name.
"""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any

from tellapart.errors import ExportError
from tellapart.translation import gettext as _

# The environment variable names a browser of one's own.
BROWSER_VARIABLE = "TELLAPART_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_MAC_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_ARGUMENTS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability", "--disable-sync",
    "--disable-extensions", "--disable-breakpad", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
# A socket of the browser lies in its folder for temporary files, and the path of a socket may have 103 bytes.
_LONGEST_TEMPORARY_DIR = 40
_OPEN_SECONDS, _PHOTO_SECONDS = 120.0, 30.0
# What a browser that starts has to answer within, and how long a closing one is waited for.
_CALL_SECONDS, _CLOSE_SECONDS = 60.0, 5.0
_ANSWERS = (
    "JSON.stringify(tellapart.rows.filter((row) => row.reason || row.result).map((row) => "
    "({reason: row.reason ?? '', probabilities: row.result?.probabilities ?? [], seconds: row.seconds ?? 0})))"
)
_NUM_ANSWERED = "tellapart.rows.filter((row) => row.reason || row.result).length"


@dataclass(frozen=True)
class BrowserAnswers:
    """What the page has said.

    Attributes:
        browser: name and version.
        probabilities: of each photo, in the order given; `None` where the page could not read it.
        reasons: why, and empty for the others.
        seconds: from file to answer.
    """

    browser: str
    probabilities: tuple[tuple[float, ...] | None, ...]
    reasons: tuple[str, ...]
    seconds: tuple[float, ...]


def find_browser() -> str | None:
    """The path of a Chromium, Chrome or Edge of this machine; `None` where there is none, or it cannot be driven."""
    if not hasattr(os, "posix_spawn"):
        return None
    named = os.environ.get(BROWSER_VARIABLE)
    if named is not None:
        return named if os.access(named, os.X_OK) else None
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    return found or next((path for path in _MAC_PATHS if os.access(path, os.X_OK)), None)


def browser_version(browser: str) -> str | None:
    """Name and version of the browser, such as `Chrome/140.0.7339.80`; `None` where it does not start."""
    try:
        with _open(browser) as call:
            return str(call("Browser.getVersion", {})["product"])
    except ExportError:
        return None


def ask_page(browser: str, page: Path, photos: Sequence[Path]) -> BrowserAnswers:
    """What the page says of each photo, after it has tested itself.

    Args:
        browser: as `find_browser` gives it.
        page: the HTML file, opened as by a double click.
        photos: files, read by the browser itself.

    Raises:
        ExportError: the page does not work in this browser, or the browser does not start.
    """
    with _open(browser) as call:
        product = str(call("Browser.getVersion", {})["product"])
        target = call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = str(call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])

        def evaluate(script: str) -> Any:
            answer = call("Runtime.evaluate", {"expression": script, "returnByValue": True}, session)
            return answer["result"].get("value")

        call("Page.navigate", {"url": page.resolve().as_uri()}, session)
        _wait(lambda: evaluate("globalThis.tellapart?.state.test ?? 'running'") != "running", _OPEN_SECONDS)
        if evaluate("tellapart.state.test") != "passed":
            reason = str(evaluate("tellapart.state.reason"))
            raise ExportError(
                _("the page does not trust itself in {browser}: {reason}").format(browser=product, reason=reason)
            )
        root = call("DOM.getDocument", {"depth": 0}, session)["root"]["nodeId"]
        field = call("DOM.querySelector", {"nodeId": root, "selector": "#files"}, session)["nodeId"]
        if photos:
            files = [str(path.resolve()) for path in photos]
            call("DOM.setFileInputFiles", {"files": files, "nodeId": field}, session)
        _wait(lambda: evaluate(_NUM_ANSWERED) == len(photos), _OPEN_SECONDS + _PHOTO_SECONDS * len(photos))
        answers = json.loads(str(evaluate(_ANSWERS)))
    return BrowserAnswers(
        product,
        tuple(None if one["reason"] else tuple(one["probabilities"]) for one in answers),
        tuple(one["reason"] for one in answers),
        tuple(float(one["seconds"]) for one in answers),
    )


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            raise ExportError(_("the page took longer than {seconds:g} seconds.").format(seconds=seconds))
        time.sleep(0.05)


_Call = Callable[..., dict[str, Any]]


@contextmanager
def _open(browser: str) -> Iterator[_Call]:
    """A function that calls a method of the protocol and gives its result; the browser ends with the block."""
    import fcntl  # Windows, where no browser is driven, has none

    with tempfile.TemporaryDirectory(dir=_temporary_dir(), ignore_cleanup_errors=True) as profile:
        arguments = [browser, *_ARGUMENTS, f"--user-data-dir={profile}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.append("--no-sandbox")  # Chromium refuses to start as root with it
        reading, to_browser = os.pipe()
        from_browser, writing = os.pipe()
        # The browser reads from 3 and writes to 4, so neither end may have such a number before.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (reading, writing)]
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0o600) for number in (1, 2)]
        actions = [*quiet, *((os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends, start=3))]
        try:
            # Reports of crashes and settings of the desktop go where the profile does, not into the user's folders.
            folders = dict.fromkeys(("TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), profile)
            process = os.posix_spawn(browser, arguments, {**os.environ, **folders}, file_actions=actions, setpgroup=0)
        except OSError as exc:
            for end in (to_browser, from_browser):
                os.close(end)
            raise ExportError(
                _("the browser {path!r} does not start: {reason}").format(path=browser, reason=exc.strerror)
            ) from exc
        finally:
            for end in (*ends, reading, writing):
                os.close(end)
        try:
            yield _Pipe(from_browser, to_browser).call
        finally:
            _end(process)
            os.close(to_browser)
            os.close(from_browser)


def _temporary_dir() -> str:
    """Where the browser's files go: where all temporary files do, unless that path is too long for a socket."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_TEMPORARY_DIR else "/tmp"


class _Pipe:
    """Messages to the browser and back, each JSON that ends with a zero byte."""

    def __init__(self, from_browser: int, to_browser: int) -> None:
        self._from, self._to = from_browser, to_browser
        self._number, self._buffer = 0, b""

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """The result of a method.

        Raises:
            ExportError: the browser has ended, or does not answer.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        rest = memoryview(json.dumps(message).encode() + b"\0")
        try:
            while rest:
                rest = rest[os.write(self._to, rest) :]
        except BrokenPipeError as exc:
            raise _ended() from exc
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ExportError(
                        _("the browser refuses {method}: {reason}").format(
                            method=method, reason=answer["error"]["message"]
                        )
                    )
                return dict(answer["result"])

    def _read(self) -> bytes:
        end = time.monotonic() + _CALL_SECONDS
        while b"\0" not in self._buffer:
            if not select([self._from], [], [], max(0.0, end - time.monotonic()))[0]:
                raise ExportError(_("the browser does not answer."))
            data = os.read(self._from, 2**20)
            if not data:
                raise _ended()
            self._buffer += data
        message, _unused, self._buffer = self._buffer.partition(b"\0")
        return message


def _ended() -> ExportError:
    return ExportError(_("the browser ended before it answered."))


def _end(process: int) -> None:
    """Nothing; the browser and all that it has started are over."""
    os.killpg(process, signal.SIGKILL)
    end = time.monotonic() + _CLOSE_SECONDS
    while os.waitpid(process, os.WNOHANG)[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
