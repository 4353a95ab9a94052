"""Every command and the README's Python, watched by their system calls: no network, and files only where they belong.

Python's audit hooks miss what native libraries do, such as ONNX Runtime's telemetry; strace does not.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tellapart.browser.chromium import find_browser
from tellapart.demo.drawing import write_demo_folder
from tellapart.export.target import TARGETS
from tellapart.predict.bundle import Bundle, write_bundle

REPOSITORY_DIR = Path(__file__).parents[1]
WATCHED = "network,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,truncate"
# Seconds for all commands together; strace and busy machines make them slow.
TIMEOUT_SECONDS = 900
# All in one process, for each start costs seconds. `demo` looks at its photos with the smallest network, and int8
# answers whether or not it is faster here.
DRIVER = r"""
import shlex, sys
from tellapart.cli.app import main
from tellapart.commands import demo
from tellapart.config import TransferConfig
from tellapart.predict import int8_export

demo.run_demo.__defaults__ = (TransferConfig(backbone="efficientnet-lite0@64"), None)
int8_export._check_worth = lambda claim, run_dir: None
for line in sys.stdin.read().split("\0")[0].splitlines():
    sys.argv = ["tellapart", *shlex.split(line)]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise SystemExit(f"{line!r} ended with {stop.code}") from stop
"""
COMMANDS = """
show photos --out out/show
check photos --html out/check.html --json out/check.json
train photos --out out/transfer --backbone efficientnet-lite0@64
train photos --out out/scratch --recipe scratch --image-size 32x48 --epochs 1
train photos --out out/classic --recipe classic --image-size 46x48 --epochs 1
predict out/transfer new --csv out/answers.csv --grid out/answers.png --heatmap --sort-into out/sorted
evaluate out/transfer labelled --json out/scores.json
export out/transfer --to onnx-int8 --accept-difference
predict out/transfer new --runtime int8 --csv out/int8.csv
export out/classic --to openvino --out out/openvino
compare photos --out out/compare --recipes transfer,classic --epochs 1
tune photos --out out/tune --recipe classic --trials 3 --image-size 46x48 --epochs 1
embed photos --out out/vectors.npz --backbone efficientnet-lite0@64
fix photos --out out/fixed --drop-copies
report out/transfer
summary out/transfer
demo --out out/demo
cache
cache --clear
"""
# The server in this process, asked from a thread of it, with an environment that asks its libraries to report.
SERVER_DRIVER = r"""
import http.client, os, signal, socket, sys, threading, time
os.environ |= {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://198.51.100.7:4318"}
from tellapart.cli.entry import main

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
statuses = []

def request(method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body)
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)

def ask():
    while not statuses:
        try:
            request("GET", "/healthz")
        except ConnectionRefusedError:
            time.sleep(0.05)
    for path in ("/", "/docs", "/openapi.json", "/static/page.js", "/models", "/metrics", "/v2/models/m"):
        request("GET", path)
    with open("photo.jpg", "rb") as file:
        request("POST", "/predict?heatmap=1", file.read())
    request("POST", "/predict", b"no photo")
    os.kill(os.getpid(), signal.SIGTERM)

def end(code):
    sys.stderr.write(f"{code} {statuses}")
    os._exit(0 if (code, statuses) == (143, [200] * 9 + [415]) else 1)

asking = threading.Thread(target=ask, daemon=True)
import tellapart.cli.entry
tellapart.cli.entry.end_with = end
sys.argv = ["tellapart", "serve", "m=model", "--port", str(port)]
asking.start()
main()
"""
# Studio in this process, used from a thread of it as a page uses it.
STUDIO_DRIVER = r"""
import http.client, json, os, re, signal, sys, threading
import tellapart.cli.entry, tellapart.studio.launch
from tellapart.cli.entry import main

class Page:
    cookie = ""

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body, {"Cookie": self.cookie, "Content-Type": "application/json"})
        answer = connection.getresponse()
        statuses.append(answer.status)
        self.cookie = (answer.getheader("set-cookie") or self.cookie).partition(";")[0]
        return answer.read()

statuses, page = [], Page()

def use(launched):
    port, token = re.search(r":(\d+)/#(.*)", launched.address).groups()
    page.port = int(port)
    page.ask("POST", "/api/session", json.dumps({"token": token}))
    for path in ("/", "/static/main.js", "/api/project", "/api/photos?class=unsorted"):
        page.ask("GET", path)
    chosen = json.loads(page.ask("GET", "/api/project"))["classes"][0]["id"]
    with open("photo.jpg", "rb") as file:
        added = json.loads(page.ask("POST", "/api/uploads?name=a.jpg&class=" + chosen, file.read()))["added"]
    page.ask("GET", "/photo/" + added[0])
    page.ask("POST", "/api/commands", json.dumps({"do": "bin", "photos": added}))
    page.ask("POST", "/api/commands", json.dumps({"do": "undo"}))
    os.kill(os.getpid(), signal.SIGTERM)

def end(code):
    sys.stderr.write(f"{code} {statuses}")
    os._exit(0 if (code, statuses) == (143, [204] + [200] * 9) else 1)

start = tellapart.studio.launch.Launched

def launch(*values):
    launched = start(*values)
    threading.Timer(1, use, [launched]).start()
    return launched

tellapart.studio.launch.Launched = launch
tellapart.cli.entry.end_with = end
sys.argv = ["tellapart", "studio", "photos", "--no-browser", "--port", "0"]
main()
"""
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which logs system calls, is not installed"),
]


def watch(script: str, work_dir: Path, standard_input: str = "") -> list[str]:
    """The system calls of a Python script run in a fresh HOME, a line a call, the processes that it starts included."""
    kept = {"PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name in kept}  # no CI, no proxies, no settings
    environment |= {"HOME": str(work_dir / "home"), "TMPDIR": str(work_dir / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    log = work_dir / "calls.log"
    command = [
        "strace",
        "-f",
        "--seccomp-bpf",  # only the calls below stop the process
        "-qq",
        "-y",
        "-s",
        "4096",
        "-o",
        log,
        "-e",
        f"trace={WATCHED}",
        sys.executable,
        "-c",
        script,
    ]
    done = subprocess.run(
        command,
        cwd=work_dir,
        env=environment,
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return join_calls(log.read_text(errors="replace").splitlines())


UNFINISHED = re.compile(r"(?P<process>\d+)\s+(?P<call>.*) <unfinished \.\.\.>")
RESUMED = re.compile(r"(?P<process>\d+)\s+<\.\.\. \w+ resumed>(?P<rest>.*)")


def join_calls(lines: list[str]) -> list[str]:
    """The calls of a log of strace without process numbers, each that another one interrupted put together again."""
    begun: dict[str, str] = {}
    calls = []
    for line in lines:
        if unfinished := UNFINISHED.fullmatch(line):
            begun[unfinished["process"]] = unfinished["call"]
        elif resumed := RESUMED.fullmatch(line):
            calls.append(begun.pop(resumed["process"], "") + resumed["rest"])
        else:
            calls.append(line.partition(" ")[2].lstrip())
    return calls + list(begun.values())


ADDRESS = re.compile(r'inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"|sin6?_port=htons\((\d+)\)')
LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+")
DNS_PORT = "53"


def find_network_calls(calls: list[str]) -> list[str]:
    """The calls that reach, or prepare to reach, beyond this machine; asking for an address by name is one.

    A netlink socket speaks with the kernel alone, of the addresses of this machine. One for datagrams is nothing as
    long as it is given no address: to connect it, or to send by it, takes one.
    """
    found = []
    for call in calls:
        if "sa_family=AF_NETLINK" in call:
            continue
        name = call.partition("(")[0]
        parts = ADDRESS.findall(call)
        hosts = [v4 or v6 for v4, v6, _ in parts if v4 or v6]
        is_foreign = any(not LOOPBACK.fullmatch(host) for host in hosts)
        is_lookup = any(port == DNS_PORT for *_, port in parts)
        is_other_family = name == "socket" and not re.match(r"socket\(AF_(UNIX|LOCAL|INET|INET6|NETLINK),", call)
        if is_foreign or is_lookup or is_other_family:
            found.append(call)
    return found


SOCKET = re.compile(r"\w+\(\d+<(socket:\[\d+\])>")
# Chromium connects a socket for datagrams to it to learn whether there is a route by IPv6. That sends nothing.
PROBED = '"2001:4860:4860::8888"'


def without_questions_to_the_kernel(calls: list[str]) -> list[str]:
    """The calls without the kernel's answers about addresses of this machine, and sockets that sent nothing."""
    socket_of = [match[1] if (match := SOCKET.match(call)) else "" for call in calls]
    sent_by = {one for one, call in zip(socket_of, calls, strict=True) if call.startswith("send")}
    silent = {one for one, call in zip(socket_of, calls, strict=True) if PROBED in call} - sent_by - {""}
    others = [call for call, one in zip(calls, socket_of, strict=True) if one not in silent]
    return [call for call in others if not re.match(r"recv.*nlmsg_type=RTM_NEW", call)]


CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>(?:[^>\\]|\\.)*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')


def find_written_paths(calls: list[str], work_dir: Path) -> set[Path]:
    """What was made, renamed or opened to be written, by calls that succeeded; nobody changes the working folder."""
    paths = set()
    for call in calls:
        match = CALL.match(call)
        if match is None or int(match["result"]) < 0:
            continue
        is_reading = match["name"] in ("open", "openat") and not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", call)
        if is_reading or match["name"] not in WATCHED.split(","):
            continue
        made = list(PATH.finditer(match["arguments"]))
        for found in made[1:] if match["name"].startswith("symlink") else made:  # the first is what the link says
            paths.add(Path(os.path.normpath(Path(found["folder"] or work_dir) / found["path"])))
    return paths


def list_stray(paths: set[Path], work_dir: Path, outputs: tuple[str, ...]) -> list[str]:
    """Those outside of the outputs, the cache folder, the folders of Matplotlib and Keras, and temporary ones."""
    home = work_dir / "home"
    folders = [work_dir / name for name in (*outputs, "tmp")]
    folders += [home / name for name in (".cache/tellapart", ".cache/matplotlib", ".config/matplotlib", ".keras")]
    folders += [Path("/dev"), Path("/proc")]
    made_on_the_way = {home / ".cache", home / ".config"}
    return sorted(
        str(path)
        for path in paths - made_on_the_way
        if not any(path == folder or folder in path.parents for folder in folders)
    )


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A folder with an empty HOME, an empty folder for temporary files and one for outputs."""
    for name in ("home", "tmp", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def photos_dir(work_dir: Path) -> Path:
    """The same folder, with labelled photos and new ones in it."""
    for seed, (name, number) in enumerate((("photos", 10), ("labelled", 3), ("new", 2))):
        write_demo_folder(work_dir / name, number, seed=seed)
    return work_dir


def test_no_command_uses_the_network_or_writes_elsewhere(photos_dir: Path) -> None:
    calls = watch(DRIVER, photos_dir, COMMANDS.strip())
    assert find_network_calls(calls) == []
    paths = find_written_paths(calls, photos_dir)
    assert {photos_dir / "out/answers.csv", photos_dir / "out/demo/demo.json"} <= paths
    assert list_stray(paths, photos_dir, ("out",)) == []


def test_the_python_of_the_readme_uses_no_network_and_writes_only_its_run(photos_dir: Path) -> None:
    blocks = PYTHON_BLOCK.findall((REPOSITORY_DIR / "README.md").read_text(encoding="utf-8"))
    assert blocks
    calls = watch("\n".join(blocks), photos_dir)
    assert find_network_calls(calls) == []
    assert list_stray(find_written_paths(calls, photos_dir), photos_dir, ("runs",)) == []


def test_a_server_answers_its_own_machine_and_writes_nothing(work_dir: Path, map_bundle: Bundle) -> None:
    write_bundle(work_dir / "model", map_bundle)
    shutil.copy(next(write_demo_folder(work_dir / "photos", 1, seed=0).rglob("*.jpg")), work_dir / "photo.jpg")
    calls = watch(SERVER_DRIVER, work_dir)
    assert find_network_calls(calls) == []
    assert any(call.startswith("accept") for call in calls)
    assert list_stray(find_written_paths(calls, work_dir), work_dir, ()) == []


def test_studio_answers_its_own_machine_and_writes_into_its_folder(work_dir: Path) -> None:
    shutil.copy(next(write_demo_folder(work_dir / "new", 1, seed=1).rglob("*.jpg")), work_dir / "photo.jpg")
    write_demo_folder(work_dir / "photos", 2, seed=0)
    calls = watch(STUDIO_DRIVER, work_dir)
    assert find_network_calls(calls) == []
    assert any(call.startswith("accept") for call in calls)
    assert list_stray(find_written_paths(calls, work_dir), work_dir, ("photos",)) == []


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_no_export_uses_the_network_or_writes_elsewhere(target: str, photos_dir: Path) -> None:
    missing = [module for module in TARGETS[target].needs if find_spec(module) is None]
    if missing or (TARGETS[target].takes_files and find_browser() is None):
        pytest.skip(f"{missing or 'a browser'} is not installed")
    commands = (
        "train photos --out out/classic --recipe classic --image-size 46x48 --epochs 1",
        f"export out/classic --to {target} --out out/export --accept-difference",
    )
    calls = watch(DRIVER, photos_dir, "\n".join(commands))
    assert find_network_calls(without_questions_to_the_kernel(calls)) == []
    paths = find_written_paths(calls, photos_dir)
    assert photos_dir / "out/export" in paths
    # Where the folder for temporary files has too long a name, a browser's profile is in another one, and goes away.
    stray = [Path(path) for path in list_stray(paths, photos_dir, ("out",))]
    assert [path for path in stray if path.exists() or not path.is_relative_to("/tmp")] == []


RAY_COMMANDS = """
predict model photos/list.csv --engine ray --workers 1 --out out/answers
embed photos/list.csv --engine ray --workers 1 --backbone efficientnet-lite0@64 --out out/vectors
"""


@pytest.mark.soak
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_ray_calls_nobody_and_leaves_no_files(work_dir: Path, map_bundle: Bundle) -> None:
    write_bundle(work_dir / "model", map_bundle)
    photos = sorted(write_demo_folder(work_dir / "photos", 3, seed=0).rglob("*.jpg"))
    (work_dir / "photos" / "list.csv").write_text("\n".join(["path", *map(str, photos)]))
    calls = watch(DRIVER, work_dir, RAY_COMMANDS.strip())
    assert find_network_calls(calls) == []
    paths = find_written_paths(calls, work_dir)
    assert {work_dir / "out/answers/_parts.json", work_dir / "out/vectors/_parts.json"} <= paths
    of_ray = ("/tmp/ray-", "/dev/shm/")  # the folder of its sockets, which goes with it, and shared memory
    assert [path for path in list_stray(paths, work_dir, ("out",)) if not path.startswith(of_ray)] == []
    assert not (work_dir / "home/.ray").exists()


def test_a_name_that_is_looked_up_would_be_found(work_dir: Path) -> None:
    code = (
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError): socket.create_connection(('198.51.100.7', 443), timeout=0.05)\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('tellapart.invalid', 443)\n"
        "socket.create_server(('127.0.0.1', 0)).close()\n"
    )
    found = find_network_calls(watch(code, work_dir))
    assert any("198.51.100.7" in call for call in found)
    assert not any("127.0.0.1" in call and "htons(53)" not in call for call in found)


def test_a_datagram_would_be_found(work_dir: Path) -> None:
    code = (
        "import contextlib\n"
        "from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket\n"
        "socket(AF_INET, SOCK_DGRAM).close()\n"
        "with contextlib.suppress(OSError): socket(AF_INET, SOCK_DGRAM).sendto(b'a', ('198.51.100.7', 9))\n"
        "with contextlib.suppress(OSError): socket(AF_INET6, SOCK_DGRAM).connect(('2001:db8::7', 9))\n"
        "with contextlib.suppress(OSError): socket(AF_INET, SOCK_DGRAM).sendmsg([b'a'], (), 0, ('198.51.100.8', 9))\n"
    )
    found = find_network_calls(watch(code, work_dir))
    reached = re.findall(r'"(198[\d.]+|2001[\da-f:]+)"', " ".join(found))
    assert list(dict.fromkeys(reached)) == ["198.51.100.7", "2001:db8::7", "198.51.100.8"]


def test_a_file_written_elsewhere_would_be_found(work_dir: Path) -> None:
    code = (
        "import os, threading\n"
        "threading.Thread(target=lambda: open('elsewhere.txt', 'w').close()).start()\n"
        "os.mkdir('out/fine')\n"
    )
    paths = find_written_paths(watch(code, work_dir), work_dir)
    assert list_stray(paths, work_dir, ("out",)) == [str(work_dir / "elsewhere.txt")]
    assert work_dir / "out/fine" in paths


@pytest.mark.parametrize(
    ("sent", "is_found"), [((), False), (('sendto(7<socket:[12]>, "x", 1, 0, NULL, 0) = 1',), True)]
)
def test_a_socket_is_a_question_to_the_kernel_only_if_nothing_is_sent_by_it(
    sent: tuple[str, ...], is_found: bool
) -> None:
    connect = 'connect(7<socket:[12]>, {sa_family=AF_INET6, inet_pton(AF_INET6, "2001:4860:4860::8888", &a)}, 28) = 0'
    answer = 'recvmsg(8<socket:[13]>, {nlmsg_type=RTM_NEWADDR, inet_addr("10.0.0.2")}, 0) = 76'
    left = find_network_calls(without_questions_to_the_kernel([connect, answer, *sent]))
    assert left == ([connect] if is_found else [])


def test_interrupted_calls_are_put_together() -> None:
    lines = [
        '12  openat(AT_FDCWD</a>, "x", O_WRONLY|O_CREAT <unfinished ...>',
        '13  mkdir("/b", 0777) = -1 EEXIST (File exists)',
        "12  <... openat resumed>, 0666) = 3</a/x>",
    ]
    calls = join_calls(lines)
    assert calls == [
        'mkdir("/b", 0777) = -1 EEXIST (File exists)',
        'openat(AT_FDCWD</a>, "x", O_WRONLY|O_CREAT, 0666) = 3</a/x>',
    ]
    assert find_written_paths(calls, Path("/")) == {Path("/a/x")}
