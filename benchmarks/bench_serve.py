"""What `tellapart serve` costs beside `predict`, and how long a photo takes at 70% and at 300% of what it can do.

The client shares the cores of the server, so costs are CPU time, and rates are those of both together. Arrivals are
random (Poisson) and do not wait for answers, as those of many users do.
"""

import asyncio
import json
import random
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from recording import (
    Measurement,
    isolated_environment,
    link_photos,
    make_parser,
    record,
    run_tellapart,
    tellapart_command,
)

_HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n"
_NUM_CLIENTS = 4  # of the measurement of capacity; more than cores


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        process: for its CPU time and memory.
        log_path: its log, JSON lines.
    """

    port: int
    process: psutil.Process
    log_path: Path

    def cpu_seconds(self) -> float:
        """CPU time it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


async def ask(server: Server, photo: bytes) -> tuple[int, float]:
    """Status and wall seconds of one request, on a connection of its own; status 0 where it was lost."""
    begun = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_HEAD.format(len(photo)).encode() + photo)
        answer = await reader.read()
        writer.close()
        return int(answer.split(None, 2)[1]), time.perf_counter() - begun
    except (OSError, IndexError):
        return 0, time.perf_counter() - begun


async def ask_in_turn(server: Server, photos: Sequence[bytes]) -> float:
    """Photos a second, asked by a few clients, each of which waits for its answer."""
    waiting = list(photos)

    async def work() -> None:
        while waiting:
            status, _ = await ask(server, waiting.pop())
            assert status == 200, status

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_NUM_CLIENTS)))
    return len(photos) / (time.perf_counter() - begun)


async def ask_at(server: Server, photos: Sequence[bytes], rate: float, seconds: float) -> list[tuple[int, float]]:
    """Status and seconds of each request, which arrive at random, so many a second."""
    generator, running = random.Random(0), []
    begun = due = time.perf_counter()
    while due < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.append(asyncio.create_task(ask(server, generator.choice(photos))))
        due += generator.expovariate(rate)
    return list(await asyncio.gather(*running))


def predict_cpu_ms(model_dir: Path, photos_dir: Path, num_photos: int, few_dir: Path, cache_dir: Path) -> float:
    """CPU milliseconds of `predict` a photo, without its start: that of two photos is taken away."""

    def cpu_of(folder: Path) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_tellapart(["predict", model_dir, folder], cache_dir)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return 1000 * (cpu_of(photos_dir) - cpu_of(few_dir)) / (num_photos - 2)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def refusal_ms(log_path: Path) -> list[float]:
    """Milliseconds that each refusal with 503 took in the server."""
    lines = [json.loads(line) for line in log_path.read_text().splitlines()]
    return [line["ms"] for line in lines if line.get("status") == 503]


def measure(server: Server, photos: Sequence[bytes], predict_ms: float, seconds: float) -> list[Measurement]:
    """The cost of a photo, the capacity, and what happens at 70% and at 300% of it."""
    asyncio.run(ask_in_turn(server, photos))  # warms caches of both
    before, memory = server.cpu_seconds(), server.process.memory_info().rss
    capacity = asyncio.run(ask_in_turn(server, photos))
    cpu_ms = 1000 * (server.cpu_seconds() - before) / len(photos)
    calm = asyncio.run(ask_at(server, photos, 0.7 * capacity, seconds))
    crowded = asyncio.run(ask_at(server, photos, 3 * capacity, seconds))
    time.sleep(1)  # the log is written by a thread of its own
    refused = refusal_ms(server.log_path)
    calm_ms = [1000 * wall for _, wall in calm]
    answered = sum(status == 200 for status, _ in crowded) / seconds / capacity
    lost = sum(status not in (200, 503) for status, _ in crowded)
    grown = (server.process.memory_info().rss - memory) / 1e6
    return [
        Measurement("serve.cpu", (cpu_ms,), "ms"),
        Measurement("serve.cpu_ratio", (cpu_ms / predict_ms,), "ratio"),
        Measurement("serve.capacity", (capacity,), "photos/s"),
        Measurement("serve.70.p50", (percentile(calm_ms, 0.5),), "ms"),
        Measurement("serve.70.p99", (percentile(calm_ms, 0.99),), "ms"),
        Measurement("serve.70.not_answered", (float(sum(status != 200 for status, _ in calm)),), "photos"),
        Measurement("serve.300.answered_ratio", (answered,), "ratio"),
        Measurement("serve.300.refusal_p99", (percentile(refused or [0.0], 0.99),), "ms"),
        Measurement("serve.300.lost", (float(lost),), "photos"),
        Measurement("serve.memory_growth", (grown,), "MB"),
    ]


def main() -> None:
    """Trains a model unless one is given, and measures once; `--runs` repeats all but the training."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--model", type=Path, help="a model folder (default: one is trained first)")
    parser.add_argument("--num-photos", type=int, default=400, help="photos that are sent (default 400)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each load (default 60)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        cache_dir, many_dir, few_dir = work_dir / "cache", work_dir / "many", work_dir / "few"
        num_photos = link_photos(arguments.photos, arguments.num_photos, many_dir)
        link_photos(arguments.photos, 2, few_dir)
        model_dir = arguments.model or work_dir / "model"
        if arguments.model is None:
            run_tellapart(["train", many_dir, "--out", model_dir], cache_dir)
        photos = [path.read_bytes() for path in sorted(many_dir.iterdir())]
        runs = [run_once(model_dir, photos, work_dir, cache_dir, arguments.seconds) for _ in range(arguments.runs)]
    assert num_photos == len(photos)
    record(
        [Measurement(one.benchmark, tuple(run[number].values[0] for run in runs), one.unit)
         for number, one in enumerate(runs[0])],
        arguments.results,
    )  # fmt: skip


def run_once(
    model_dir: Path, photos: Sequence[bytes], work_dir: Path, cache_dir: Path, seconds: float
) -> list[Measurement]:
    """All measurements, of a server of its own."""
    predict_ms = predict_cpu_ms(model_dir, work_dir / "many", len(photos), work_dir / "few", cache_dir)
    log_path = work_dir / "log"
    with log_path.open("wb") as log:
        command = [*tellapart_command(), "serve", f"m={model_dir}", "--port", "0"]
        environment = isolated_environment(cache_dir)
        with subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
                if found is None:
                    raise SystemExit(f"the server did not start: {process.stderr.read()}")
                return measure(
                    Server(int(found[1]), psutil.Process(process.pid), log_path), photos, predict_ms, seconds
                )
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
