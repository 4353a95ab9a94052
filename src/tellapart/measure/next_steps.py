"""What to do next, ranked by what it costs not to: everything that was found, the model's own result included."""

from collections.abc import Collection, Sequence

from tellapart.measure.measurement import HOLD_OUT, NEW_PHOTOS, Method
from tellapart.measure.number_words import count_photos, quote, quote_some
from tellapart.measure.scores import Evaluation, Step, Verdict
from tellapart.measure.verdict import FEWEST_GROUPS, GUESSING, TOO_FEW, num_found, weakest_class
from tellapart.records import Finding
from tellapart.translation import gettext as _

# Photos of a class with which its recall is known to some 15 points.
_GOOD_NUMBER = 30
# A class or a file costs too little to be named below this share of all answers.
_LEAST_COST = 0.005


def rank_steps(
    verdict: Verdict | None,
    evaluation: Evaluation | None,
    findings: Sequence[Finding],
    num_photos: int,
    method: Method | None = None,
    num_skipped: int = 0,
) -> tuple[Step, ...]:
    """What to do, the costliest neglect first; each with an action that is possible today.

    The cost is the share of all answers that may be wrong, or unknown, because of it: 1 for a model that guesses or
    that nothing is known of; for a class that is missed its share of misses over the number of classes, without the
    labels in doubt, which may be why; for a class that is known badly half of what its recall may lose; for a problem
    of the photos the share of photos it concerns.

    Args:
        verdict: on the model; `None` where only photos were checked.
        evaluation: of the model, if it was measured.
        findings: of the check-up.
        num_photos: of the check-up.
        method: how it was measured, and whether more photos would help.
        num_skipped: photos that could not be used.
    """
    steps = [
        Step(finding.kind, finding.title, finding.action, finding.num_photos / max(1, num_photos))
        for finding in findings
        if finding.is_problem
    ]
    if num_skipped >= _LEAST_COST * (num_skipped + num_photos):
        steps.append(
            Step(
                "skipped",
                _("{photos} could not be used").format(photos=count_photos(num_skipped)),
                _("The report lists the reasons. Save these photos again as JPEG or PNG, or delete them."),
                num_skipped / (num_skipped + num_photos) / 2,
            )
        )
    if verdict is not None:
        in_doubt = sum(step.cost for step in steps if step.kind == "label_suspects")
        steps += _steps_of_model(verdict, evaluation, method, in_doubt)
    return tuple(sorted(steps, key=lambda step: -step.cost))


def _steps_of_model(
    verdict: Verdict, evaluation: Evaluation | None, method: Method | None, in_doubt: float
) -> list[Step]:
    if evaluation is None:
        action = _("Add photos until each class has {num}, of different moments. Then train again.")
        return [Step("too_few", _("Every class has only one photo"), action.format(num=_GOOD_NUMBER), 1.0)]
    if verdict.word == TOO_FEW:
        few = [score for score in evaluation.per_class if score.num_groups < FEWEST_GROUPS]
        names = quote_some([score.class_name for score in sorted(few, key=lambda score: score.num_groups)])
        return [_more_to_test_with(names, method)]
    if verdict.word == GUESSING:
        action = _(
            "Can you tell the classes apart in these photos? Then add at least twice as many photos. If not, take"
            " closer or sharper photos, or merge the classes."
        )
        return [Step("guessing", _("Look at the model's mistakes"), action, 1.0)]
    steps = []
    weakest = weakest_class(evaluation)
    if weakest is not None and weakest.recall is not None:
        cost = (1 - weakest.recall) / len(evaluation.per_class)
        if cost >= _LEAST_COST:
            missed = weakest.num_photos - num_found(weakest)
            action = _("The model missed {missed:,} of {num:,}. Add photos like those, or check their labels.").format(
                missed=missed, num=weakest.num_photos
            )
            title = _("Add photos of {names}").format(names=quote(weakest.class_name))
            steps.append(Step("weak_class", title, action, max(0.0, cost - in_doubt)))
    steps += _badly_known(evaluation, {step.title for step in steps})
    curve = None if method is None else method.curve
    if curve is not None and curve.gain >= _LEAST_COST:
        action = _("{sentence} Photograph more, then train again.").format(sentence=curve.sentence)
        steps.append(Step("more_photos", _("Add photos of all classes"), action, curve.gain))
    return steps


def _badly_known(evaluation: Evaluation, titles: Collection[str]) -> list[Step]:
    """The step for the class of few photos that may be found far less often than it looks, if there is one.

    Args:
        evaluation: of the model.
        titles: of other steps; none is named twice.
    """
    few = [
        (score.recall - score.recall_interval_95[0], score)
        for score in evaluation.per_class
        if score.recall is not None and score.recall_interval_95 is not None and score.num_groups < _GOOD_NUMBER
    ]
    if not few:
        return []
    loss, score = max(few, key=lambda pair: pair[0])
    title = _("Add photos of {names}").format(names=quote(score.class_name))
    action = _("There are only {num} to test with. With {good} you know how often it is found.").format(
        num=score.num_groups, good=_GOOD_NUMBER
    )
    return [] if title in titles else [Step("few_of_class", title, action, loss / len(evaluation.per_class) / 2)]


def _more_to_test_with(names: str, method: Method | None) -> Step:
    """What to do where a class has too few photos to test with; that depends on where these come from."""
    title = _("Add photos of {names}").format(names=names)
    action = _("Take {num} or more of each, of different moments. Then train again.").format(num=_GOOD_NUMBER)
    if method is not None and method.name == NEW_PHOTOS:
        title = _("Test with more photos of {names}").format(names=names)
        action = _("Take {num} or more of each that are not in the training photos. Then evaluate again.").format(
            num=_GOOD_NUMBER
        )
    elif method is not None and method.is_given:
        title = _("Put photos of {names} into the validation folder").format(names=names)
        action = _("It needs {num} or more of each that have no copy in training. Then train again.").format(
            num=_GOOD_NUMBER
        )
    elif method is not None and method.name == HOLD_OUT:
        action = _("Only a part of the photos is for testing. Add photos until that part has {num} of each.").format(
            num=FEWEST_GROUPS
        )
    return Step("too_few", title, action, 1.0)
