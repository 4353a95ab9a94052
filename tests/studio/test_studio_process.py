"""`tellapart studio` as a process: it says where it is, keeps others out, ends at once, and survives any kill."""

import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

Draw = Callable[..., bytes]
MAIN = "from tellapart.cli.entry import main; import sys; sys.argv[0] = 'tellapart'; main()"
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "NAME":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#(\S+)")


class Client:
    """A page that talks to a process."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._cookie = ""
        with self.connect("POST", "/api/session", json.dumps({"token": token}).encode()) as answer:
            self._cookie = str(answer.getheader("set-cookie")).partition(";")[0]

    @contextmanager
    def connect(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, path, body, {"Cookie": self._cookie, "Content-Type": "application/json"})
            with connection.getresponse() as answer:
                yield answer

    def ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        with self.connect(method, path, body) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, found
        return found

    def do(self, verb: str, **fields: Any) -> dict[str, Any]:
        return self.ask("POST", "/api/commands", json.dumps({"do": verb, **fields}).encode())

    def add(self, data: bytes, to: str, name: str) -> dict[str, Any]:
        return self.ask("POST", f"/api/uploads?class={to}&name={quote(name)}", data)

    def places(self) -> dict[str, str]:
        """Where each photo is, by its content: a class, unsorted or the bin."""
        classes = {one["name"]: one["id"] for one in self.ask("GET", "/api/project")["classes"]}
        chosen = classes | {"unsorted": "unsorted", "bin": "bin"}
        found: dict[str, str] = {}
        for name, identity in chosen.items():
            for photo in self.ask("GET", f"/api/photos?class={identity}")["photos"]:
                assert photo["digest"] not in found
                found[photo["digest"]] = name
        return found

    def photos(self, chosen: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"/api/photos?class={chosen}")["photos"]
        return found

    def classes(self) -> dict[str, str]:
        return {one["name"]: one["id"] for one in self.ask("GET", "/api/project")["classes"]}

    def wait_until_seen(self) -> None:
        while self.ask("GET", "/api/project")["num_unseen"]:
            time.sleep(0.02)


@contextmanager
def studio(folder: Path, *words: str) -> Iterator[tuple[Client, "subprocess.Popen[str]", str]]:
    """A page, the process and what it said, which is killed after the block."""
    command = [sys.executable, "-c", MAIN, "studio", str(folder), "--no-browser", *words]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder.parent / "cache")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = ADDRESS.search(said)
            assert found, said + process.stderr.read()
            yield Client(int(found[1]), found[2]), process, said
        finally:
            process.kill()


def test_a_studio_keeps_others_out_and_ends_at_once(folder: Path, draw: Draw) -> None:
    with studio(folder, "--port", "0") as (client, process, said):
        address = ADDRESS.search(said)
        assert address is not None
        client.do("add_class", name="cat")
        command = [sys.executable, "-c", MAIN, "studio", str(folder), "--no-browser"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert address[0] in second.stderr
        with client.connect("GET", "/api/events") as events:
            process.send_signal(signal.SIGTERM)
            _output, errors = process.communicate(timeout=20)  # though a page still listens
            assert events.read().startswith(b": open")
    assert (process.returncode, errors) == (143, "tellapart: stopped.\n")


@pytest.mark.parametrize("name", ["segno", "fastapi"])
def test_what_is_not_installed_is_said_in_one_line(name: str, folder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT.replace("NAME", name) + MAIN, "studio", str(folder), "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"Studio needs {name}" in done.stderr
    assert "tellapart[studio]" in done.stderr


class Person:
    """Does random things, one at a time, and knows what each has to leave behind.

    Attributes:
        expected: where each photo is, after all that was answered.
        possible: where each may also be, if what was not answered has been done.
        num_answered: commands that were answered.
    """

    def __init__(self, draw: Draw, seed: int) -> None:
        self._draw, self._random = draw, random.Random(seed)
        self._num_drawn = seed * 100_000
        self.expected: dict[str, str] = {}
        self.possible: dict[str, str] = {}
        self.num_answered = 0

    def act(self, client: Client) -> None:
        """Nothing; one thing was asked for and answered, or the connection has broken."""
        classes = client.classes()
        names = sorted(classes)
        kind = self._random.choice(["add", "add", "add", "label", "label", "bin", "restore", "class", "delete"])
        ours = sorted(digest for digest, place in self.expected.items() if place != "bin")
        binned = sorted(digest for digest, place in self.expected.items() if place == "bin")
        self.possible = dict(self.expected)
        if kind == "add" and names:
            self._num_drawn += 1
            data, name = self._draw(self._num_drawn, size=(60, 80)), self._random.choice(names)
            self.possible[hashlib.blake2b(data, digest_size=20).hexdigest()] = name
            client.add(data, classes[name], f"{self._num_drawn % 3}.png")
        elif kind == "label" and ours and names:
            name = self._random.choice(names)
            some = self._random.sample(ours, min(len(ours), self._random.randint(1, 5)))
            self.possible |= dict.fromkeys(some, name)
            client.do("label", photos=self._ids(client, some), **{"class": classes[name]})
        elif kind == "bin" and ours:
            some = self._random.sample(ours, min(len(ours), 2))
            self.possible |= dict.fromkeys(some, "bin")
            client.do("bin", photos=self._ids(client, some))
        elif kind == "restore" and binned and names:
            name = self._random.choice(names)
            self.possible[binned[0]] = name
            client.do("label", photos=self._ids(client, binned[:1]), **{"class": classes[name]})
        elif kind == "delete" and len(names) > 3:
            name = self._random.choice(names)
            self.possible |= {digest: "bin" for digest, place in self.expected.items() if place == name}
            client.do("delete_class", **{"class": classes[name]})
        else:
            client.do("add_class", name=f"class {self._random.randrange(10**6)}")
        self.expected = dict(self.possible)
        self.num_answered += 1

    def check(self, client: Client) -> None:
        """Nothing, if what was answered is there, and what was not answered is whole or not there."""
        client.wait_until_seen()
        found = client.places()
        assert found in (self.expected, self.possible)
        self.expected = found

    def _ids(self, client: Client, digests: list[str]) -> list[str]:
        chosen = ["unsorted", "bin", *client.classes().values()]
        known = {photo["digest"]: photo["id"] for one in chosen for photo in client.photos(one)}
        return [known[digest] for digest in digests]


def survive_kills(num: int, folder: Path, draw: Draw, seed: int) -> Person:
    """The person who has gone on after each of the kills."""
    moments = random.Random(seed)
    person = Person(draw, seed)
    for number in range(num + 1):
        with studio(folder, "--port", "0") as (client, process, _said):
            person.check(client)
            assert not list((folder / ".tellapart/incoming").iterdir())
            assert not list(folder.glob("*/.tellapart-*"))
            if number == num:
                break
            for _ in range(moments.randint(1, 6)):
                person.act(client)
            kill = threading.Timer(moments.uniform(0, 0.3), process.kill)
            kill.start()
            with suppress(ConnectionError, http.client.HTTPException, json.JSONDecodeError):
                while process.poll() is None:
                    person.act(client)
            process.wait()
    return person


def test_a_killed_studio_has_all_that_was_answered(folder: Path, draw: Draw) -> None:
    assert survive_kills(3, folder, draw, seed=1).num_answered >= 3


@pytest.mark.soak
def test_a_studio_survives_many_kills(folder: Path, draw: Draw) -> None:
    kills = min(50, int(os.environ.get("TELLAPART_TEST_KILLS", "50")))
    assert survive_kills(kills, folder, draw, seed=2).num_answered >= kills
