"""How long, how dear and where the jam: 10 million and 1 billion photos embedded on a cluster, and a head fitted.

A simulation of `tellapart train --engine ray`. A core takes the next block of photos, asks the bucket for them, decodes
and embeds them, and writes a part; the bucket, the network of each machine and the process that hands out blocks serve
all of them, each no faster than it can. Then one machine reads the embeddings twice and fits the head. What a photo
takes is measured (the newest rows of `results.csv`); what machines can and cost is assumed, in `ASSUMED`. Some machines
are slow, and some are taken away. Each row is the median of several draws.

A second table is the plan for lists that `bench_cluster.py` worked through, beside what they took.
"""

import csv
import heapq
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from make_results import BENCHMARKS_DIR, read_rows
from recording import write_simulation
from tellapart.randomness import named_generator

HEADER = (
    *("photos", "kind", "machines", "hours", "core_hours", "read_tb", "parts_tb", "head_hours", "compute_usd"),
    *("requests_usd", "storage_usd_a_month", "busiest", "its_share", "second", "its_share_too", "n"),
)
CHECKED_HEADER = ("photos", "workers", "planned_core_s", "measured_core_s", "measured_by_planned", "core_ms_a_photo")
CHECKED_PATH = BENCHMARKS_DIR / "tables/scale-checked.csv"
NUM_PHOTOS, MACHINES = (10_000_000, 1_000_000_000), (1, 10, 100, 1_000)
# Kind of photo to its bytes, and to the benchmark that says how many of them two cores predict in a second.
KINDS = {"small (25 KB)": 25e3, "phone (3 MB)": 3e6}
_BLOCK = 4096
_CORES_MEASURED = 2
# A shorter list says nothing about a photo: the start of Ray differs by seconds from run to run.
_SHORTEST_TOLD = 10_000


@dataclass(frozen=True)
class Assumed:
    """What is not measured here; prices are list prices of large clouds, rounded, in US dollars.

    Attributes:
        cores: of a machine; memory is 4 GB a core.
        core_hour: price; 0.04 on demand, a third of it where machines may be taken away.
        network: bytes a second of a machine.
        latency: seconds to the first byte of a request; a core has `at_once` of them under way.
        at_once: requests under way for each core.
        bucket_requests: a second, of the whole bucket: ten prefixes of 5,500.
        bucket_bytes: a second, of the whole bucket.
        blocks_a_second: that one process hands out and takes in.
        request: price of reading an object.
        gigabyte_month: price of keeping the parts.
        embedding: bytes of a photo in a part.
        noise: standard deviation of the logarithm of the time of a block.
        slow_share, slow_times: machines that are slower, and how many times.
        lost_an_hour: share of blocks under way that are lost with their machine, in an hour.
    """

    cores: int = 16
    core_hour: float = 0.04
    network: float = 1.25e9
    latency: float = 0.05
    at_once: int = 8
    bucket_requests: float = 55_000
    bucket_bytes: float = 12.5e9
    blocks_a_second: float = 200
    request: float = 4e-7
    gigabyte_month: float = 0.023
    embedding: float = 5.3e3
    noise: float = 0.15
    slow_share: float = 0.02
    slow_times: float = 2.0
    lost_an_hour: float = 0.01


ASSUMED = Assumed()


@dataclass(frozen=True)
class Measured:
    """Core-seconds of a photo, from `results.csv`: the cores of the measured machine over its photos a second.

    Attributes:
        decode: by kind of photo.
        network: to embed it.
        ray: to hand it out by Ray, and to take its row back.
        stream: to add its vector to the sums.
    """

    decode: dict[str, float]
    network: float
    ray: float
    stream: float


@dataclass
class Server:
    """Something that serves one after another; times in seconds.

    Attributes:
        free_at: when it can begin with the next.
        busy: for how long it has worked.
    """

    free_at: float = 0.0
    busy: float = 0.0

    def serve(self, asked_at: float, seconds: float) -> float:
        """When it has served what was asked for then and takes so long."""
        self.free_at = max(self.free_at, asked_at) + seconds
        self.busy += seconds
        return self.free_at


def read_measured() -> Measured:
    """The newest figures."""
    newest = {row["benchmark"]: float(row["median"]) for row in read_rows(BENCHMARKS_DIR / "results.csv")}
    streams = [value for name, value in newest.items() if name.startswith("stream_fit") and name.endswith("stream_cpu")]
    kinds = zip(KINDS, ("reading.small.stream", "reading.phone.stream"), strict=True)
    decode = {kind: _CORES_MEASURED / newest[name] for kind, name in kinds}
    network = newest["serve.cpu"] / 1e3  # with the default network; the photo is small, so decoding is hardly in it
    lists = read_lists()
    ray = photo_seconds(lists["ray1"], max(lists["ray1"])) - photo_seconds(lists["alone"], max(lists["alone"]))
    return Measured(decode, network, ray, streams[-1] / 1e6)


def simulate(
    num_photos: int, kind: str, machines: int, measured: Measured, draw: int
) -> tuple[float, dict[str, float]]:
    """Hours until all photos are embedded, and the share of that time that each kind of server was busy."""
    numbers = named_generator(draw, "scale", num_photos // 1_000_000, list(KINDS).index(kind), machines)
    num_blocks = -(-num_photos // _BLOCK)
    bytes_in, bytes_out = KINDS[kind] * _BLOCK, ASSUMED.embedding * _BLOCK
    work = (
        (measured.decode[kind] + measured.network + measured.ray)
        * _BLOCK
        * numbers.lognormal(0, ASSUMED.noise, num_blocks)
    )
    waiting = ASSUMED.latency * _BLOCK / ASSUMED.at_once
    is_slow = numbers.random(machines) < ASSUMED.slow_share
    is_lost = numbers.random(num_blocks)
    bucket, driver = Server(), Server()
    links, busy = [Server() for _machine in range(machines)], 0.0
    cores = [(0.0, machine) for machine in range(machines) for _core in range(ASSUMED.cores)]
    heapq.heapify(cores)
    bucket_seconds = max(_BLOCK / ASSUMED.bucket_requests, (bytes_in + bytes_out) / ASSUMED.bucket_bytes)
    ended = 0.0
    for block in range(num_blocks):
        now, machine = heapq.heappop(cores)
        handed = driver.serve(now, 1 / ASSUMED.blocks_a_second)
        here = max(bucket.serve(handed, bucket_seconds), handed + waiting)
        here = max(here, links[machine].serve(handed, (bytes_in + bytes_out) / ASSUMED.network))
        seconds = work[block] * (ASSUMED.slow_times if is_slow[machine] else 1.0)
        if is_lost[block] < ASSUMED.lost_an_hour * seconds / 3600:
            seconds *= 2  # done again from the beginning
        busy += seconds
        # Photos of a block are read while others of it are decoded and embedded.
        done = max(here, handed + seconds)
        ended = max(ended, done)
        heapq.heappush(cores, (done, machine))
    shares = {
        "bucket": bucket.busy / ended,
        "handing out": driver.busy / ended,
        "network of a machine": max(link.busy for link in links) / ended,
        "cores": busy / (ended * machines * ASSUMED.cores),
    }
    return ended / 3600, shares


def head_hours(num_photos: int, measured: Measured) -> float:
    """Hours of the machine that fits the head: it reads all embeddings twice, and both looks take its cores."""
    reading = 2 * num_photos * ASSUMED.embedding / ASSUMED.network
    return (reading + num_photos * measured.stream / ASSUMED.cores) / 3600


def table(num_draws: int) -> Iterator[tuple[object, ...]]:
    """The rows: of so many draws each."""
    measured = read_measured()
    for num_photos, kind, machines in itertools.product(NUM_PHOTOS, KINDS, MACHINES):
        draws = [simulate(num_photos, kind, machines, measured, draw) for draw in range(num_draws)]
        hours = statistics.median(hours for hours, _shares in draws)
        shares = {name: statistics.median(found[name] for _hours, found in draws) for name in draws[0][1]}
        of_head = head_hours(num_photos, measured)
        shares["head on one machine"] = of_head / (hours + of_head)
        first, second = sorted(shares, key=lambda name: -shares[name])[:2]
        core_hours = hours * machines * ASSUMED.cores + of_head * ASSUMED.cores
        parts = num_photos * ASSUMED.embedding
        yield (
            *(num_photos, kind, machines, f"{hours:.3g}", f"{core_hours:.0f}"),
            *(f"{num_photos * KINDS[kind] / 1e12:.3g}", f"{parts / 1e12:.3g}", f"{of_head:.3g}"),
            *(f"{core_hours * ASSUMED.core_hour:.0f}", f"{num_photos * ASSUMED.request:.0f}"),
            f"{parts / 1e9 * ASSUMED.gigabyte_month:.1f}",
            *(first, f"{shares[first]:.2f}", second, f"{shares[second]:.2f}", num_draws),
        )


def read_lists() -> dict[str, dict[int, float]]:
    """Core-seconds of the lists that `bench_cluster.py` worked through: way to number of photos to seconds."""
    found: dict[str, dict[int, float]] = {}
    for row in read_rows(BENCHMARKS_DIR / "results.csv"):
        if row["benchmark"].startswith("cluster.") and row["benchmark"].endswith(".cpu"):
            _group, way, num_photos, _cpu = row["benchmark"].split(".")
            found.setdefault(way, {})[int(num_photos)] = float(row["median"])
    return found


def photo_seconds(lists: dict[int, float], num_photos: int) -> float:
    """What a photo of a list took, the start taken off, which is what the shortest list took."""
    fewest = min(lists)
    return (lists[num_photos] - lists[fewest]) / (num_photos - fewest)


def checked() -> Iterator[tuple[object, ...]]:
    """The plan beside the measurements, both in seconds of a core.

    The plan knows what Ray takes to start, from the shortest lists, and what a photo takes, from the longest list and
    one worker.
    """
    lists = read_lists()
    longest = max(lists["ray1"])
    photo = photo_seconds(lists["ray1"], longest)
    for way, found in sorted(lists.items()):
        for num_photos in sorted(found)[1:]:
            if way == "alone" or (way, num_photos) == ("ray1", longest):
                continue
            planned = found[min(found)] + (num_photos - min(found)) * photo
            shown = (f"{planned:.1f}", f"{found[num_photos]:.1f}", f"{found[num_photos] / planned:.2f}")
            taken = f"{1000 * photo_seconds(found, num_photos):.2f}" if num_photos >= _SHORTEST_TOLD else ""
            yield (num_photos, way.removeprefix("ray"), *shown, taken)


if __name__ == "__main__":
    write_simulation(__doc__, "scale.csv", HEADER, table, num_draws=3)
    with CHECKED_PATH.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([CHECKED_HEADER, *checked()])
