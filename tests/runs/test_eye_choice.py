from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.config import SourceConfig, TransferConfig
from tellapart.errors import ConfigError
from tellapart.images.facts_table import FactsTable
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_photos
from tellapart.runs import eye_choice
from tellapart.runs.eye_choice import EyeChoice, choose_eyes
from tellapart.runs.job import TrainJob
from tellapart.watcher import Watcher

QUICK, DEFAULT, MIRRORED = "efficientnet-lite0", "efficientnet-lite0@288", "efficientnet-lite0@288+mirrored"
Floats = NDArray[np.float32]


@pytest.fixture
def photos(paint: Callable[..., Any], tmp_path: Path) -> PhotoSet:
    for number in range(80):
        paint(f"photos/{'cat' if number % 2 else 'dog'}/{number}.png", "red", (24, 24))
    return open_photos(tmp_path / "photos")


@pytest.fixture
def choose(photos: PhotoSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., EyeChoice]:
    """The choice where each network's embeddings tell the classes apart by a distance; others tell nothing."""

    def choose(
        distances: dict[str, float], settings: dict[str, Any] | None = None, *, has_larger: bool = False
    ) -> EyeChoice:
        def look(some: PhotoSet, eyes: list[Any], **_: object) -> SeenPhotos:
            assert some.labels is not None
            generator = np.random.default_rng(0)
            found: list[Floats] = []
            for eye in eyes:
                name = eye.embedder.name + ("+mirrored" if eye.is_mirrored else "")
                away = distances.get(name, 0.0) * np.eye(2, 16)[some.labels]
                found.append((away + generator.normal(0, 1, away.shape) + 3).astype(np.float32))
            digests = tuple(f"{row:064x}" for row in range(len(some)))
            return SeenPhotos(some, digests, FactsTable(0), found[0], further_embeddings=tuple(found[1:]))

        monkeypatch.setattr(eye_choice, "look_at", look)
        monkeypatch.setattr(
            eye_choice, "start_backbone", lambda name, *_: SimpleNamespace(embedder=SimpleNamespace(name=name))
        )
        monkeypatch.setattr(eye_choice, "find_groups", lambda digests, facts: ())
        real = eye_choice.find_packaged
        monkeypatch.setattr(
            eye_choice,
            "find_packaged",
            lambda name: None if real(name) is None else SimpleNamespace(cost=real(name).cost, is_installed=has_larger),
        )
        config = TransferConfig(**(settings or {}))
        job = TrainJob(photos, tmp_path / "run", config, SourceConfig(), None, Watcher(), 0.0)
        return choose_eyes(job, config)

    return choose


def test_the_cheapest_is_taken_where_all_are_as_good(choose: Callable[..., EyeChoice]) -> None:
    choice = choose({DEFAULT: 2.0, MIRRORED: 2.0})
    assert choice.chosen == DEFAULT
    assert [tried.name for tried in choice.tried] == [DEFAULT, MIRRORED]


def test_a_costlier_one_is_taken_where_it_is_clearly_better(choose: Callable[..., EyeChoice]) -> None:
    choice = choose({DEFAULT: 0.5, MIRRORED: 6.0})
    assert choice.chosen == MIRRORED
    assert (choice.tried[1].gain or 0) > 0.1
    assert choice.cost == pytest.approx(2 * (288 / 224) ** 2)


@pytest.mark.parametrize(("eyes", "num_tried"), [("auto", 3), ("best", 4)])
def test_the_larger_network_is_tried_where_it_is_installed(
    choose: Callable[..., EyeChoice], eyes: str, num_tried: int
) -> None:
    choice = choose({"efficientnet-lite2": 6.0}, {"eyes": eyes}, has_larger=True)
    assert choice.chosen == "efficientnet-lite2"
    assert len(choice.tried) == num_tried


@pytest.mark.parametrize(
    ("settings", "chosen", "cost"),
    [
        ({"eyes": "quick"}, QUICK, 1.0),
        ({"eyes": "efficientnet-lite0@112"}, "efficientnet-lite0@112", 0.25),
        ({"backbone": "mine.onnx"}, "mine.onnx", None),
        ({"backbone": QUICK}, QUICK, 1.0),
    ],
    ids=["quick", "named", "own file", "backbone"],
)
def test_without_a_choice_nothing_is_tried(
    choose: Callable[..., EyeChoice], settings: dict[str, str], chosen: str, cost: float | None
) -> None:
    choice = choose({}, settings)
    assert (choice.chosen, choice.cost, choice.tried) == (chosen, cost, ())


def test_few_photos_are_no_ground_for_a_choice(
    choose: Callable[..., EyeChoice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eye_choice, "_FEWEST_TO_CHOOSE", 81)
    choice = choose({MIRRORED: 6.0})
    assert (choice.chosen, choice.tried) == (DEFAULT, ())


def test_what_is_no_network_of_ours_is_refused(choose: Callable[..., EyeChoice]) -> None:
    with pytest.raises(ConfigError, match=r"`eyes` 'sharp' is not known. Give auto, quick, best, or .*`backbone`"):
        choose({}, {"eyes": "sharp"})


def test_eyes_and_a_backbone_are_not_given_together() -> None:
    with pytest.raises(ConfigError, match="Give one of them"):
        replace(TransferConfig(backbone="mine.onnx"), eyes="best")
