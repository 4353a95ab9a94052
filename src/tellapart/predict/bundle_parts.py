"""The parts of `bundle.json`, from JSON and to it; what is not as it has to be is refused.

Each reader raises what the wrong type or value raises: `KeyError`, `TypeError`, `ValueError` or `AttributeError`.
"""

import itertools
from dataclasses import asdict, astuple, fields, replace
from typing import Any

from tellapart.measure.scores import OperatingCurve, OperatingPoint, SelectivePoint
from tellapart.records import Dial, LayerRecord
from tellapart.translation import gettext as _
from tellapart.untrusted import number_of, short_repr, text_of, whole_of


def read_names(value: Any) -> tuple[str, ...]:
    """The class names: at least two words, each different."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(_("class names {value}, not a list of words").format(value=short_repr(value)))
    if len(value) < 2 or len(set(value)) != len(value):
        raise ValueError(_("class names {value}, not at least two, each different").format(value=short_repr(value)))
    return tuple(value)


def read_layer(value: dict[str, Any]) -> LayerRecord:
    """One layer."""
    shape = tuple(whole_of(side) for side in value["output_shape"])
    return LayerRecord(text_of(value["name"]), text_of(value["kind"]), shape, whole_of(value["num_parameters"]))


def read_points(value: list[dict[str, Any]]) -> tuple[SelectivePoint, ...]:
    """The points in order: the higher the threshold, the fewer photos are answered, and answered wrongly."""
    points = tuple(
        SelectivePoint(
            number_of(point["threshold"], 0, 1),
            num_answered := whole_of(point["num_answered"], 1),
            whole_of(point["num_wrong"], 0, num_answered),
            None if (number := point.get("num_independent")) is None else number_of(number, 1, num_answered),
        )
        for point in value
    )
    for lower, higher in itertools.pairwise(points):
        if lower.threshold >= higher.threshold or lower.num_answered < higher.num_answered:
            raise ValueError(
                _("{value}, not thresholds that rise while fewer photos are answered").format(value=short_repr(value))
            )
    return points


def curve_to_json(curve: OperatingCurve) -> dict[str, Any]:
    """The curve with its points in columns, which takes a third of the room."""
    columns = zip(*(astuple(point) for point in curve.points), strict=True)
    names = (field.name for field in fields(OperatingPoint))
    return asdict(replace(curve, points=())) | {"points": dict(zip(names, map(list, columns), strict=True))}


def read_curve(value: dict[str, Any], class_names: tuple[str, ...]) -> OperatingCurve:
    """The curve in order: the higher the threshold, the more photos are missed, and the fewer false alarms."""
    columns = value["points"]
    num_photos, num_others = whole_of(value["num_photos"], 1), whole_of(value["num_others"], 1)
    points = tuple(
        OperatingPoint(number_of(threshold, 0, 1), whole_of(missed, 0, num_photos), whole_of(alarms, 0, num_others))
        for threshold, missed, alarms in zip(
            columns["threshold"], columns["num_missed"], columns["num_false_alarms"], strict=True
        )
    )
    for lower, higher in itertools.pairwise(points):
        is_rising = lower.threshold < higher.threshold and lower.num_missed <= higher.num_missed
        if not is_rising or lower.num_false_alarms < higher.num_false_alarms:
            raise ValueError(_("an operating curve whose thresholds do not rise with the photos missed"))
    if not points or points[0].num_missed:
        raise ValueError(_("an operating curve that begins with photos missed"))
    return OperatingCurve(
        class_names[class_names.index(value["class_name"])],
        num_photos,
        num_others,
        number_of(value["num_independent"], 1, num_photos),
        number_of(value["num_others_independent"], 1, num_others),
        points,
    )


def read_dial(value: dict[str, Any] | None, class_names: tuple[str, ...]) -> Dial | None:
    """The dial, `None` where there is none."""
    if value is None:
        return None
    share = value["max_missed"]
    return Dial(
        class_names[class_names.index(value["class_name"])],
        number_of(value["threshold"], 0, 1),
        None if share is None else number_of(share, 0, 1),
    )


def read_distances(value: list[Any]) -> tuple[float, ...]:
    """The usual distances, which rise."""
    distances = tuple(number_of(number, 0) for number in value)
    if list(distances) != sorted(distances):
        raise ValueError(_("distances that do not rise"))
    return distances
