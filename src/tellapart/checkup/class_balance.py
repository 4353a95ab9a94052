"""Findings about how many photos each class has."""

from collections.abc import Mapping

from tellapart.checkup.finding import Judgement, judgement, make_figure
from tellapart.checkup.thresholds import CheckConfig
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding
from tellapart.translation import gettext as _


def judge_balance(photos: PhotoSet, thresholds: CheckConfig) -> Judgement:
    """A class with far more photos than another; its figure has a ratio for each class."""
    counts = {name: number for name, number in photos.counts().items() if number}
    if len(counts) < 2:
        return Judgement()
    ratios = [max(counts.values()) / number for number in counts.values()]
    num_found = sum(ratio > thresholds.imbalance for ratio in ratios)
    figure = make_figure("imbalance", ratios, thresholds.imbalance, num_found, is_low_worst=False)
    return judgement(_find_imbalance(counts) if num_found else None, figure=figure)


def _find_imbalance(counts: Mapping[str, int]) -> Finding:
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    return Finding(
        "imbalance",
        _("{num_largest:,} photos of {largest!r}, {num_smallest:,} of {smallest!r}").format(
            num_largest=counts[largest], largest=largest, num_smallest=counts[smallest], smallest=smallest
        ),
        _("Classes are weighted equally, but small classes are learned less well. Adding photos of them helps most."),
        sum(counts.values()),
        (),
        (),
        is_problem=False,
    )


def judge_counts(photos: PhotoSet, thresholds: CheckConfig) -> Judgement:
    """Classes with few photos; its figure has the number of photos of each class."""
    counts = {name: number for name, number in photos.counts().items() if number}
    if photos.labels is None:
        return Judgement()
    few = [name for name, number in counts.items() if number < thresholds.few]
    figure = make_figure("few", list(counts.values()), thresholds.few, len(few), is_low_worst=True)
    if not few:
        return judgement(None, figure=figure)
    rows = {name: list[int]() for name in few}
    for row, label in enumerate(photos.labels.tolist()):
        if (name := photos.class_names[label]) in rows:
            rows[name].append(row)
    finding = Finding(
        "few_photos",
        _("Fewer than {num:,} photos of {names}").format(num=thresholds.few, names=name_some(few)),
        _("Enough for training, too few to measure accuracy: its interval will be wide. Add photos of these classes."),
        sum(counts[name] for name in few),
        tuple(map(tuple, rows.values())),
        tuple(few),
        is_problem=False,
    )
    return judgement(finding, figure=figure)
