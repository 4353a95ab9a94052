"""The verdict on a model, decided by rules: a word, a sentence for the first screen, and the reasons.

The rules stand in the order in which they win. All that is said is said here.
"""

from collections.abc import Sequence

from tellapart.measure.number_words import count_photos, percent, percent_range, quote, quote_some
from tellapart.measure.scores import ClassScore, Evaluation, Verdict
from tellapart.records import Finding
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext

# Programs compare these words, so they are English in every file; where a person reads one, it is translated.
GOOD, WITH_CARE = gettext_noop("Good"), gettext_noop("Usable with care")
GUESSING, TOO_FEW = gettext_noop("Not better than guessing"), gettext_noop("Too few photos to know")
ADVICE = {
    GOOD: gettext_noop("You can use the model on photos like these."),
    WITH_CARE: gettext_noop("Check its answers where a mistake costs something."),
    GUESSING: gettext_noop("Do not use the model yet."),
    TOO_FEW: gettext_noop("Do not rely on the model yet."),
}
COLOURS = {GOOD: "green", WITH_CARE: "amber", GUESSING: "red", TOO_FEW: "red"}
# Independent photos of a class from which its recall is worth saying: of 10 right ones the interval is 72 to 100 %.
FEWEST_GROUPS = 10
# A class with fewer photos than the largest by this factor leads the page.
_IMBALANCE = 3
_LEAST_RECALL = 0.5
# Labels in doubt from which the numbers themselves are in doubt.
_MOST_DOUBT = 0.02


def judge(evaluation: Evaluation | None, findings: Sequence[Finding] = (), num_photos: int = 0) -> Verdict:
    """The verdict on a model.

    In this order: too few photos to know, if a class has fewer than 10 independent photos; not better than guessing, if
    the lower bound of the balanced accuracy is at most one over the number of classes; usable with care, if it is right
    less often than the best constant answer, the lower bound of a recall is under one half, the photos have a shortcut
    or a leak, or 2 % of the labels are in doubt; else good.

    Args:
        evaluation: of photos the model has not seen; `None` where there were none.
        findings: of the check-up of the photos.
        num_photos: of the check-up.
    """
    if evaluation is None:
        said = _("The accuracy is unknown, because no class has 2 different photos.")
        return _verdict(TOO_FEW, said, (said,))
    lead = _lead(evaluation)
    rules = (
        (TOO_FEW, _too_few(evaluation)),
        (GUESSING, _guessing(evaluation)),
        (WITH_CARE, (*_below_constant(evaluation), *_missed(evaluation), *_doubtful(findings, num_photos))),
    )
    reasons = tuple(reason for rule in rules for reason in rule[1])
    word = next((word for word, found in rules if found), GOOD)
    return _verdict(word, lead, reasons or _good(evaluation))


def leading_class(evaluation: Evaluation) -> ClassScore | None:
    """The class that the first screen is about: of those far smaller than the largest, the one found least."""
    largest = max(score.num_photos for score in evaluation.per_class)
    rare = [
        score for score in evaluation.per_class if score.recall is not None and score.num_photos * _IMBALANCE < largest
    ]
    return min(rare, key=lambda score: (score.recall or 0.0, score.num_photos), default=None)


def weakest_class(evaluation: Evaluation) -> ClassScore | None:
    """The class whose photos are most often missed; `None` where every class is found as well as the others."""
    known = [score for score in evaluation.per_class if score.recall is not None]
    if len({score.recall for score in known}) < 2:
        return None
    return min(known, key=lambda score: score.recall or 0.0)


def describe_accuracy(evaluation: Evaluation, *, is_approximate: bool = False) -> str:
    """Accuracy, balanced accuracy and the best constant answer, in three short sentences.

    Args:
        evaluation: of photos the model has not seen.
        is_approximate: whether it comes from cross-validation, whose interval is approximate.
    """
    num = evaluation.num_photos
    said = _(
        "Accuracy {accuracy} (95% interval {interval}). Balanced accuracy {balanced}. Always answering {name} gets"
        " {constant}."
    )
    if is_approximate:
        said = _(
            "Accuracy {accuracy} (95% interval about {interval}). Balanced accuracy {balanced}. Always answering {name}"
            " gets {constant}."
        )
    return said.format(
        accuracy=percent(evaluation.accuracy, num),
        interval=percent_range(evaluation.interval_95, num),
        balanced=percent(evaluation.balanced_accuracy, num),
        name=quote(evaluation.constant_class),
        constant=percent(evaluation.constant_accuracy, num),
    )


def compare_with_promise(promised: tuple[float, float], evaluation: Evaluation, num_promised: int) -> str:
    """What the training promised of new photos beside what came true, in two sentences.

    Args:
        promised: the 95 % interval of the accuracy in training.
        evaluation: of photos the model has not seen.
        num_promised: photos that the promise rests on.
    """
    low, high = promised
    own, num = evaluation.accuracy, evaluation.num_photos
    if low <= own <= high or evaluation.interval_95[0] <= high < own:
        said = _("Training promised {promised}. Here it is {own}: as promised.")
    elif own > high:
        said = _("Training promised {promised}. Here it is {own}: better than promised.")
    elif evaluation.interval_95[1] < low:
        said = _(
            "Training promised {promised}. Here it is {own}: worse than promised. These photos differ from those it was"
            " trained on."
        )
    else:
        said = _("Training promised {promised}. Here it is {own}: less than promised, but that may be chance.")
    return said.format(promised=percent_range(promised, num_promised), own=percent(own, num))


def num_found(score: ClassScore) -> int:
    """Photos of a class that it recognised."""
    return round((score.recall or 0.0) * score.num_photos)


def _verdict(word: str, sentence: str, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(word, COLOURS[word], sentence, _(ADVICE[word]), reasons)


def _lead(evaluation: Evaluation) -> str:
    score = leading_class(evaluation)
    if score is None:
        share = percent(evaluation.accuracy, evaluation.num_photos)
        bounds = percent_range(evaluation.interval_95, evaluation.num_photos)
        said = _("The model was right on {share} of {photos} it had not seen. On similar photos expect {bounds}.")
        return said.format(share=share, photos=count_photos(evaluation.num_photos), bounds=bounds)
    names = [one.class_name for one in evaluation.per_class]
    label = names.index(score.class_name)
    num_called = sum(row[label] for row in evaluation.confusion_matrix) - evaluation.confusion_matrix[label][label]
    num_others = evaluation.num_photos - score.num_photos
    present = [one.class_name for one in evaluation.per_class if one.num_photos and one is not score]
    if len(present) == 1:
        said = _(
            "Of {photos} of {name} the model found {found}. Of {num_others:,} photos of {other} it called"
            " {num_called:,} {name} ({share})."
        )
    else:
        said = _(
            "Of {photos} of {name} the model found {found}. Of {num_others:,} other photos it called {num_called:,}"
            " {name} ({share})."
        )
    return said.format(
        photos=count_photos(score.num_photos),
        name=quote(score.class_name),
        found=_found(score),
        num_others=num_others,
        other=quote(present[0]) if present else "",
        num_called=num_called,
        share=percent(num_called / num_others, num_others),
    )


def _found(score: ClassScore) -> str:
    assert score.recall is not None and score.recall_interval_95 is not None
    low, high = (percent(bound, score.num_photos) for bound in score.recall_interval_95)
    return _("{num:,} ({share}, between {low} and {high})").format(
        num=num_found(score), share=percent(score.recall, score.num_photos), low=low, high=high
    )


def _too_few(evaluation: Evaluation) -> tuple[str, ...]:
    few = [score for score in evaluation.per_class if score.num_groups < FEWEST_GROUPS]
    missing = [score.class_name for score in few if not score.num_photos]
    tested = [score for score in few if score.num_photos]
    reasons = []
    if missing:
        reasons.append(_("There are no photos of {names} to test with.").format(names=quote_some(missing)))
    if len(tested) == 1:
        reasons.append(
            ngettext(
                "There is only {num:,} independent photo of {name} to test with. It takes {num_needed}.",
                "There are only {num:,} independent photos of {name} to test with. It takes {num_needed}.",
                tested[0].num_groups,
            ).format(num=tested[0].num_groups, name=quote(tested[0].class_name), num_needed=FEWEST_GROUPS)
        )
    elif tested:
        names = quote_some([score.class_name for score in sorted(tested, key=lambda score: score.num_groups)])
        said = _("There are fewer than {num_needed} independent photos of each of {names} to test with.")
        reasons.append(said.format(num_needed=FEWEST_GROUPS, names=names))
    return tuple(reasons)


def _guessing(evaluation: Evaluation) -> tuple[str, ...]:
    chance = 1 / len(evaluation.per_class)
    if evaluation.balanced_interval_95[0] > chance:
        return ()
    num = evaluation.num_photos
    low, high = (percent(bound, num) for bound in evaluation.balanced_interval_95)
    return (
        _(
            "Guessing finds {chance} of each class. The model found {found} (balanced accuracy, between {low} and"
            " {high})."
        ).format(chance=percent(chance, num), found=percent(evaluation.balanced_accuracy, num), low=low, high=high),
    )


def _below_constant(evaluation: Evaluation) -> tuple[str, ...]:
    if evaluation.accuracy >= evaluation.constant_accuracy:
        return ()
    own, constant = (
        percent(share, evaluation.num_photos) for share in (evaluation.accuracy, evaluation.constant_accuracy)
    )
    said = _("Always answering {name} is right more often: {constant} instead of {own}.")
    return (said.format(name=quote(evaluation.constant_class), constant=constant, own=own),)


def _missed(evaluation: Evaluation) -> tuple[str, ...]:
    missed = [
        score
        for score in evaluation.per_class
        if score.recall_interval_95 is not None and score.recall_interval_95[0] < _LEAST_RECALL
    ]
    if not missed:
        return ()
    if len(missed) == 1:
        said = _("The model may miss half of {name}. It found {found}.")
        return (said.format(name=quote(missed[0].class_name), found=_found(missed[0])),)
    names = quote_some([score.class_name for score in sorted(missed, key=lambda score: score.recall or 0.0)])
    return (_("The model may miss half of each of {names}.").format(names=names),)


def _doubtful(findings: Sequence[Finding], num_photos: int) -> tuple[str, ...]:
    reasons = []
    of_kind = {finding.kind: finding for finding in findings}
    if "shortcuts" in of_kind:
        said = _("{finding}. The model may have learned that instead.")
        reasons.append(said.format(finding=of_kind["shortcuts"].title))
    if "leak" in of_kind:
        reasons.append(_("{finding}.").format(finding=of_kind["leak"].title))
    # Of two copies in two classes one has a wrong label.
    num_doubtful = sum(of_kind[kind].num_photos for kind in ("label_suspects",) if kind in of_kind)
    num_doubtful += of_kind["cross_class"].num_photos // 2 if "cross_class" in of_kind else 0
    if num_photos and num_doubtful >= _MOST_DOUBT * num_photos:
        share = percent(num_doubtful / num_photos, num_photos)
        said = ngettext(
            "{num:,} photo of {num_photos:,} may have a wrong label ({share}).",
            "{num:,} photos of {num_photos:,} may have a wrong label ({share}).",
            num_doubtful,
        )
        reasons.append(said.format(num=num_doubtful, num_photos=num_photos, share=share))
    return tuple(reasons)


def _good(evaluation: Evaluation) -> tuple[str, ...]:
    weakest = min(
        (score for score in evaluation.per_class if score.recall_interval_95 is not None),
        key=lambda score: (score.recall_interval_95 or (0.0, 0.0))[0],
    )
    constant = percent(evaluation.constant_accuracy, evaluation.num_photos)
    return (
        _("The model beats always answering {name}, which is right on {constant}.").format(
            name=quote(evaluation.constant_class), constant=constant
        ),
        _("The model finds every class. The hardest is {name}: it found {found} of {num:,}.").format(
            name=quote(weakest.class_name), found=_found(weakest), num=weakest.num_photos
        ),
    )
