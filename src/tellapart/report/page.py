"""The report as one HTML file that needs nothing else: no network, no fonts, no other files.

The markup, the style and the one script are in `templates/`. Names come from strangers' cameras and file systems: every
text goes through `wording.visible` and jinja2's autoescape, and a Content-Security-Policy allows the style and the
script of the page and nothing else.
"""

import base64
import hashlib
import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tellapart.measure.metrics import wilson_interval
from tellapart.photos.names import printable
from tellapart.records import ClassScore, Evaluation
from tellapart.report import svg, wording
from tellapart.report.embedded_pictures import Album
from tellapart.report.matrix import Matrix, make_matrix
from tellapart.report.report_data import Report, Results
from tellapart.report.sections import (
    SUSPECTS_KIND,
    AnswerCard,
    FindingCard,
    SuspectLine,
    answer_cards,
    finding_cards,
    skipped_groups,
    suspect_lines,
)
from tellapart.report.svg import CurvePlot, ReliabilityPlot, Ruler, curve_plot, make_ruler, reliability_plot
from tellapart.report.wording import NotSure, not_sure_offer, not_sure_table

if TYPE_CHECKING:
    import jinja2

_STYLE_NAME, _SCRIPT_NAME, _PAGE_NAME = "style.css", "script.js", "page.html"
_MOST_CLASSES_IN_ORDER = 12


@dataclass(frozen=True)
class ResultsView:
    """What the page shows of the results, worked out.

    Attributes:
        ruler: the interval beside guessing.
        baseline_label, baseline: the most frequent class, and how often always naming it would be right.
        even_log_loss: the log-loss of giving every class the same chance, in nats.
        num_mistakes: all there are, of which `mistakes` are the surest.
        weakest: the class that is missed most, or `None`.
        class_order: the classes as the table lists them: the worst first where they are many.
        matrix, reliability, curve: figures; `None` where there is nothing to draw.
        not_sure: the table, and the line of it that the head mentions.
        mistakes, unsure: photos with what the model said.
    """

    ruler: Ruler
    baseline_label: int
    baseline: float
    even_log_loss: float
    num_mistakes: int
    weakest: int | None
    class_order: tuple[int, ...]
    matrix: Matrix
    reliability: ReliabilityPlot | None
    curve: CurvePlot | None
    not_sure: tuple[NotSure, ...]
    offer: NotSure | None
    mistakes: tuple[AnswerCard, ...]
    unsure: tuple[AnswerCard, ...]


def render_report(report: Report) -> bytes:
    """The page, UTF-8.

    Whatever the texts of the report hold, the page shows it as text. Long lists are cut and say what was left out.
    """
    environment = _make_environment()
    album = Album(report.source, report.photos, report.results.heatmaps if report.results else {})
    cards = finding_cards(report, album)
    suspects = suspect_lines(report, album)
    results = _results_view(report.results, album) if report.results else None
    style, script = _source(environment, _STYLE_NAME), _source(environment, _SCRIPT_NAME)
    page = environment.get_template(_PAGE_NAME).render(
        report=report,
        title=wording.title_of(report),
        cards=cards,
        num_problems=sum(card.finding.is_problem for card in cards),
        suspects=suspects,
        suspects_kind=SUSPECTS_KIND,
        skipped=skipped_groups(report.skipped),
        results=results,
        pictures=album.pictures(),
        style=style,
        script=script,
        policy=_policy(style, script),
        data=_script_data(report, cards, suspects, results),
        fix_command=f"tellapart fix {shlex.quote(printable(report.source))} --decisions decisions.csv --out cleaned",
    )
    return page.encode("utf-8")


def _recall_interval(score: ClassScore) -> tuple[float, float]:
    """The 95 % interval of the share of a class that is found."""
    assert score.recall is not None
    return wilson_interval(round(score.recall * score.num_photos), score.num_photos)


def _make_environment() -> "jinja2.Environment":
    """The one jinja2 environment: escapes everything, knows only our templates, and no name that is not given."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tellapart.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["frame"] = {"left": svg.LEFT, "right": svg.RIGHT, "top": svg.TOP, "bottom": svg.BOTTOM}
    environment.filters |= {
        "recall_interval": _recall_interval,
        "percent": wording.percent,
        "round_percent": wording.round_percent,
        "count": wording.count,
        "shorten": wording.shorten,
    }
    return environment


def _finalize(value: object) -> object:
    """What a template prints: texts as `wording.visible`, everything else, and markup, as it is."""
    return wording.visible(value) if type(value) is str else value


def _source(environment: "jinja2.Environment", name: str) -> Any:
    """A template's text as markup that needs no escaping; it is ours, and holds no value."""
    from markupsafe import Markup

    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that allows this style, this script and embedded pictures only."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';"
        " base-uri 'none'; form-action 'none'"
    )


def _results_view(results: Results, album: Album) -> ResultsView:
    evaluation = results.evaluation
    label, baseline = wording.baseline_of(evaluation)
    not_sure = not_sure_table(results)
    return ResultsView(
        ruler=make_ruler(evaluation.accuracy, evaluation.interval_95, baseline),
        baseline_label=label,
        baseline=baseline,
        even_log_loss=math.log(max(1, len(evaluation.per_class))),
        num_mistakes=_num_mistakes(evaluation),
        weakest=wording.weakest_class(evaluation),
        class_order=_class_order(results),
        matrix=make_matrix(evaluation, results.examples, album),
        reliability=reliability_plot(results.reliability) if results.reliability.bins else None,
        curve=curve_plot(results.curve) if results.curve and results.curve.measured else None,
        not_sure=not_sure,
        offer=not_sure_offer(results, not_sure),
        mistakes=answer_cards(results.mistakes, album),
        unsure=answer_cards(results.unsure, album),
    )


def _num_mistakes(evaluation: Evaluation) -> int:
    counts = evaluation.confusion_matrix
    return sum(map(sum, counts)) - sum(row[label] for label, row in enumerate(counts))


def _class_order(results: Results) -> tuple[int, ...]:
    scores = results.evaluation.per_class
    if len(scores) <= _MOST_CLASSES_IN_ORDER:
        return tuple(range(len(scores)))
    recalls = [2.0 if score.recall is None else score.recall for score in scores]
    return tuple(sorted(range(len(scores)), key=recalls.__getitem__))


def _script_data(
    report: Report,
    cards: tuple[FindingCard, ...],
    suspects: tuple[SuspectLine, ...],
    results: ResultsView | None,
) -> dict[str, Any]:
    """What the script needs to know of every photo that can be decided on; all texts can be encoded."""
    shown = [line.photo for line in suspects]
    shown += [photo for card in cards for group in card.groups for photo in group.photos]
    if results is not None:
        shown += [answer.photo for answer in (*results.mistakes, *results.unsure)]
    return {
        "key": hashlib.blake2b(printable(report.source).encode(), digest_size=8).hexdigest(),
        "classes": [printable(name) for name in report.class_names],
        "shown": [wording.shorten(name, 60) for name in report.class_names],
        "photos": {
            str(photo.row): [photo.content, printable(photo.path), printable(photo.class_name or "")]
            for photo in sorted(shown, key=lambda photo: photo.row)
        },
    }
