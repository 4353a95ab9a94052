"""The dial of a model: one class is named from a probability of one's own choice on, to miss fewer of its photos.

Here it is chosen, put in words and obeyed: whatever answers asks `apply_dial`. A classifier with more than two classes
has it for one of them against the rest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.config import DialConfig
from tellapart.errors import ConfigError
from tellapart.measure.number_words import percent, percent_range, quote, round_percent, threshold_text
from tellapart.measure.operating import (
    false_alarm_interval,
    missed_interval,
    num_needed,
    point_at,
    point_for_missed,
    point_without_misses,
)
from tellapart.measure.scores import OperatingCurve
from tellapart.photos.names import class_name as to_class_name
from tellapart.records import Dial
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice


def choose_dial(
    config: DialConfig, class_names: Sequence[str], curves: Sequence[OperatingCurve], stored: Dial | None = None
) -> Dial | None:
    """The dial that the settings ask for, `stored` without settings; `None` for none.

    Where there are too few photos to promise `max_missed`, it is the largest threshold that missed none of them, and
    `describe_dial` says so.

    Args:
        config: the settings.
        class_names: the classes of the model.
        curves: how its classes were told from the rest.
        stored: the dial that the model has.

    Raises:
        ConfigError: there is no such class, or it was not measured.
    """
    if config.chosen is None:
        return None if config.is_off else stored
    setting, number = config.chosen[0], config.chosen[2]
    class_name = check_dial_class(config, class_names)
    if setting == "threshold":
        return Dial(class_name, number)
    curve = _curve_of(curves, class_name)
    if curve is None:
        raise ConfigError(
            _(
                "`max_missed` needs photos of {name}, and of other classes, that the model was measured on, and this "
                "model has none. Give `threshold`, or train again with more photos."
            ).format(name=quote(class_name)),
            field="max_missed",
            value=number,
        )
    point = point_for_missed(curve, number) or point_without_misses(curve)
    return Dial(class_name, point.threshold, number)


def check_dial_class(config: DialConfig, class_names: Sequence[str]) -> str:
    """The class that the settings name, in the form that classes have; empty where they name none.

    Raises:
        ConfigError: it is none of `class_names`.
    """
    if config.chosen is None:
        return ""
    setting, class_name = config.chosen[0], to_class_name(config.chosen[1])
    check_choice(_("the class of `{setting}`").format(setting=setting), class_name, tuple(class_names))
    return class_name


def apply_dial(dial: Dial, class_names: Sequence[str], probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """The class that is answered for each photo: the dial's from its threshold on, else the most probable other one.

    Args:
        dial: its class is one of `class_names`.
        class_names: in the order of the columns.
        probabilities: shape `(n, num_classes)`; not modified.

    Returns:
        Places in `class_names`, int64, shape `(n,)`.
    """
    place = class_names.index(dial.class_name)
    others = np.array(probabilities, np.float64)
    is_reached = others[:, place] >= dial.threshold
    others[:, place] = -1
    return np.where(is_reached, place, others.argmax(axis=1)).astype(np.int64)


def describe_dial(dial: Dial, curves: Sequence[OperatingCurve]) -> str:
    """What the dial does, in a few sentences: what it missed, its false alarms, and whether a promise can be kept."""
    name = quote(dial.class_name)
    threshold = threshold_text(dial.threshold)
    curve = _curve_of(curves, dial.class_name)
    if curve is None:
        return _("A photo is {name} from probability {threshold} on. What that misses was not measured.").format(
            name=name, threshold=threshold
        )
    point = point_at(curve, dial.threshold)
    missed, alarms = point.num_missed / curve.num_photos, point.num_false_alarms / curve.num_others
    said = _(
        "A photo is {name} from probability {threshold} on. Of {num_photos:,} photos of {name} that the model had not "
        "seen, it missed {num_missed:,} ({missed}, 95% interval {missed_range}). Of {num_others:,} others it called "
        "{num_alarms:,} {name} ({alarms}, 95% interval {alarms_range})."
    ).format(
        name=name,
        threshold=threshold,
        num_photos=curve.num_photos,
        num_missed=point.num_missed,
        missed=percent(missed, curve.num_photos),
        missed_range=percent_range(missed_interval(curve, point), curve.num_photos),
        num_others=curve.num_others,
        num_alarms=point.num_false_alarms,
        alarms=percent(alarms, curve.num_others),
        alarms_range=percent_range(false_alarm_interval(curve, point), curve.num_others),
    )
    if dial.max_missed is None or point_for_missed(curve, dial.max_missed) is not None:
        return said
    few = _(
        "Too few photos to promise at most {share} missed: that takes {needed:,} independent photos of {name}, and "
        "there are {found:,}."
    ).format(
        share=round_percent(dial.max_missed),
        needed=num_needed(dial.max_missed),
        name=name,
        found=int(curve.num_independent),
    )
    return f"{said} {few}"


def _curve_of(curves: Sequence[OperatingCurve], class_name: str) -> OperatingCurve | None:
    return next((curve for curve in curves if curve.class_name == class_name), None)
