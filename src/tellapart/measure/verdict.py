"""The verdict on a model, decided by rules: a word, a sentence for the first screen, and the reasons.

The rules stand in the order in which they win. All that is said is said here.
"""

from collections.abc import Sequence

from tellapart.measure.number_words import count, percent, percent_range, quote, quote_some
from tellapart.measure.scores import ClassScore, Evaluation, Verdict
from tellapart.records import Finding

GOOD, WITH_CARE = "Good", "Usable with care"
GUESSING, TOO_FEW = "Not better than guessing", "Too few photos to know"
ADVICE = {
    GOOD: "You can use it on photos like these.",
    WITH_CARE: "Check its answers where a mistake costs something.",
    GUESSING: "Do not use it yet.",
    TOO_FEW: "Do not rely on it yet.",
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
        said = "How often it is right is unknown, because no class has 2 different photos."
        return _verdict(TOO_FEW, said, (said,))
    lead = _lead(evaluation)
    rules = (
        (TOO_FEW, _too_few(evaluation)),
        (GUESSING, _guessing(evaluation)),
        (WITH_CARE, (*_below_constant(evaluation), *_missed(evaluation), *_doubtful(findings, num_photos))),
    )
    reasons = tuple(reason for _, found in rules for reason in found)
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
    bounds = f"{'about ' if is_approximate else ''}{percent_range(evaluation.interval_95, num)}"
    return (
        f"Accuracy {percent(evaluation.accuracy, num)} (95% interval {bounds})."
        f" Balanced accuracy {percent(evaluation.balanced_accuracy, num)}."
        f" Always answering {quote(evaluation.constant_class)} gets {percent(evaluation.constant_accuracy, num)}."
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
        said = "as promised"
    elif own > high:
        said = "better than promised"
    elif evaluation.interval_95[1] < low:
        said = "worse than promised. These photos differ from those it was trained on"
    else:
        said = "less than promised, but that may be chance"
    return f"Training promised {percent_range(promised, num_promised)}. Here it is {percent(own, num)}: {said}."


def num_found(score: ClassScore) -> int:
    """Photos of a class that it recognised."""
    return round((score.recall or 0.0) * score.num_photos)


def _verdict(word: str, sentence: str, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(word, COLOURS[word], sentence, ADVICE[word], reasons)


def _lead(evaluation: Evaluation) -> str:
    score = leading_class(evaluation)
    if score is None:
        share = percent(evaluation.accuracy, evaluation.num_photos)
        bounds = percent_range(evaluation.interval_95, evaluation.num_photos)
        photos = count(evaluation.num_photos, "photo")
        return f"It was right on {share} of {photos} it had not seen. On similar photos expect {bounds}."
    names = [one.class_name for one in evaluation.per_class]
    label = names.index(score.class_name)
    num_called = sum(row[label] for row in evaluation.confusion_matrix) - evaluation.confusion_matrix[label][label]
    num_others = evaluation.num_photos - score.num_photos
    present = [one.class_name for one in evaluation.per_class if one.num_photos and one is not score]
    others = f"photos of {quote(present[0])}" if len(present) == 1 else "other photos"
    name, share = quote(score.class_name), percent(num_called / num_others, num_others)
    return (
        f"Of {count(score.num_photos, 'photo')} of {name} it found {_found(score)}. Of {num_others:,} {others} it"
        f" called {num_called:,} {name} ({share})."
    )


def _found(score: ClassScore) -> str:
    assert score.recall is not None and score.recall_interval_95 is not None
    low, high = (percent(bound, score.num_photos) for bound in score.recall_interval_95)
    return f"{num_found(score):,} ({percent(score.recall, score.num_photos)}, between {low} and {high})"


def _too_few(evaluation: Evaluation) -> tuple[str, ...]:
    few = [score for score in evaluation.per_class if score.num_groups < FEWEST_GROUPS]
    missing = [score.class_name for score in few if not score.num_photos]
    tested = [score for score in few if score.num_photos]
    reasons = []
    if missing:
        reasons.append(f"There are no photos of {quote_some(missing)} to test with.")
    if len(tested) == 1:
        photos = count(tested[0].num_groups, "independent photo")
        reasons.append(
            f"There are only {photos} of {quote(tested[0].class_name)} to test with, and it takes {FEWEST_GROUPS}."
        )
    elif tested:
        names = quote_some([score.class_name for score in sorted(tested, key=lambda score: score.num_groups)])
        reasons.append(f"There are fewer than {FEWEST_GROUPS} independent photos to test with of each of {names}.")
    return tuple(reasons)


def _guessing(evaluation: Evaluation) -> tuple[str, ...]:
    chance = 1 / len(evaluation.per_class)
    if evaluation.balanced_interval_95[0] > chance:
        return ()
    num = evaluation.num_photos
    low, high = (percent(bound, num) for bound in evaluation.balanced_interval_95)
    return (
        f"Guessing finds {percent(chance, num)} of each class. It found {percent(evaluation.balanced_accuracy, num)}"
        f" (balanced accuracy, between {low} and {high}).",
    )


def _below_constant(evaluation: Evaluation) -> tuple[str, ...]:
    if evaluation.accuracy >= evaluation.constant_accuracy:
        return ()
    own, constant = (
        percent(share, evaluation.num_photos) for share in (evaluation.accuracy, evaluation.constant_accuracy)
    )
    return (f"Always answering {quote(evaluation.constant_class)} is right more often: {constant} instead of {own}.",)


def _missed(evaluation: Evaluation) -> tuple[str, ...]:
    missed = [
        score
        for score in evaluation.per_class
        if score.recall_interval_95 is not None and score.recall_interval_95[0] < _LEAST_RECALL
    ]
    if not missed:
        return ()
    if len(missed) == 1:
        return (f"It may miss half of {quote(missed[0].class_name)}: it found {_found(missed[0])}.",)
    names = quote_some([score.class_name for score in sorted(missed, key=lambda score: score.recall or 0.0)])
    return (f"It may miss half of each of {names}.",)


def _doubtful(findings: Sequence[Finding], num_photos: int) -> tuple[str, ...]:
    reasons = []
    of_kind = {finding.kind: finding for finding in findings}
    if "shortcuts" in of_kind:
        reasons.append(f"{of_kind['shortcuts'].title}. The model may have learned that instead.")
    if "leak" in of_kind:
        reasons.append(f"{of_kind['leak'].title}.")
    # Of two copies in two classes one has a wrong label.
    num_doubtful = sum(of_kind[kind].num_photos for kind in ("label_suspects",) if kind in of_kind)
    num_doubtful += of_kind["cross_class"].num_photos // 2 if "cross_class" in of_kind else 0
    if num_photos and num_doubtful >= _MOST_DOUBT * num_photos:
        share = percent(num_doubtful / num_photos, num_photos)
        reasons.append(f"{count(num_doubtful, 'photo')} of {num_photos:,} may have a wrong label ({share}).")
    return tuple(reasons)


def _good(evaluation: Evaluation) -> tuple[str, ...]:
    weakest = min(
        (score for score in evaluation.per_class if score.recall_interval_95 is not None),
        key=lambda score: (score.recall_interval_95 or (0.0, 0.0))[0],
    )
    constant = percent(evaluation.constant_accuracy, evaluation.num_photos)
    return (
        f"It beats always answering {quote(evaluation.constant_class)}, which is right on {constant}.",
        f"It finds every class. The hardest is {quote(weakest.class_name)}: it found {_found(weakest)} of"
        f" {weakest.num_photos:,}.",
    )
