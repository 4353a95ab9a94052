"""The report as one HTML file that needs nothing else: no network, no fonts, no other files.

The markup, the style and the one script are in `templates/`. Names come from strangers' cameras and file systems: every
text goes through `wording.visible` and jinja2's autoescape, and a Content-Security-Policy allows the style and the
script of the page and nothing else.
"""

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tellapart.measure import number_words
from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import Step, Verdict
from tellapart.page_templates import make_environment
from tellapart.photos.names import group_skipped, printable
from tellapart.records import Dial, Figure, Finding, LabelSuspect, Skipped
from tellapart.report import svg, wording
from tellapart.report.checkup_section import SUSPECTS_KIND, FindingCard, finding_cards, suspect_lines
from tellapart.report.dial_section import card_data, dial_cards
from tellapart.report.model_section import SURE, ModelView, make_view
from tellapart.report.pictures import Album, ReportPhoto, ShownPhoto, judge_map, map_uri
from tellapart.translation import current_language, script_texts

if TYPE_CHECKING:
    import jinja2

_STYLE_NAME, _SCRIPT_NAME, _PAGE_NAME = "style.css", "script.js", "page.html"
_MOST_REASONS, _MOST_PATHS, _MOST_STEPS, _PRINTED_STEPS = 30, 20, 5, 3
_MOST_LEFT_OUT = 200


@dataclass(frozen=True)
class ModelTest:
    """What the page of a test on new photos says besides.

    Attributes:
        model_name: the model, by its folder.
        promise: what the training promised beside what came true; `None` where it promised nothing.
        left_out: photos that are not new to the model, or not meant, and why.
        notes: what should be known about the numbers, a sentence each.
    """

    model_name: str
    promise: str | None
    left_out: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """All that one page shows.

    Attributes:
        source: the photos, as they were named.
        made_on: the day, `2026-11-24`.
        class_counts: photos of each class, in class order.
        num_photos: photos that can be used.
        skipped: files that cannot, and why.
        findings: of the check-up, the weightiest first.
        suspects: labels that are probably wrong, the most suspicious first.
        photos: by row, every photo that anything here refers to.
        measurement: how the model does; `None` in the report of a check-up alone.
        maps: by row, where the model looked for the class it answered, as `pictures.overlay_map` takes it.
        has_maps: whether the model can say where it looked.
        facts: further lines about the training, such as its duration: what, and how much.
        clear: what the check-up looked for and did not find, a sentence each: `No copies were found.`
        figures: what the check-up measured, each beside its threshold.
        verdict: on the model; `None` in the report of a check-up alone.
        steps: what to do next, the costliest neglect first.
        test: of the page of a test on new photos; `None` for any other.
        dial: from which probability on the model answers with one class; `None` where the most probable one wins.
    """

    source: str
    made_on: str
    class_counts: Mapping[str, int]
    num_photos: int
    skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]
    suspects: tuple[LabelSuspect, ...]
    photos: Mapping[int, ReportPhoto]
    measurement: Measurement | None
    maps: Mapping[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    has_maps: bool = True
    facts: tuple[tuple[str, str], ...] = ()
    clear: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    verdict: Verdict | None = None
    steps: tuple[Step, ...] = ()
    test: ModelTest | None = None
    dial: Dial | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in order; labels are numbers into it."""
        return tuple(self.class_counts)


def render_report(report: Report) -> bytes:
    """The page, UTF-8.

    Whatever the texts of the report hold, the page shows it as text. Long lists are cut and say what was left out.
    """
    environment = _make_environment()
    album = Album(report.source, report.photos, report.maps)
    cards = finding_cards(report.findings, album)
    suspects = suspect_lines(report.suspects, album)
    model = make_view(report.measurement, album) if report.measurement else None
    # Decisions about one collection are never taken for those about another.
    key = hashlib.blake2b(
        printable("\n".join([report.source, *report.class_names])).encode(), digest_size=8
    ).hexdigest()
    decisions_name = f"decisions-{key[:8]}.csv"
    dials = dial_cards(report.measurement, report.dial) if report.measurement else ()
    style, script = _source(environment, _STYLE_NAME), _source(environment, _SCRIPT_NAME)
    page = environment.get_template(_PAGE_NAME).render(
        report=report,
        language=current_language(),
        title=wording.title_of(report.class_names, is_checkup=model is None),
        cards=cards,
        num_problems=sum(card.finding.is_problem for card in cards),
        suspects=suspects,
        suspects_kind=SUSPECTS_KIND,
        most_steps=_MOST_STEPS,
        printed_steps=_PRINTED_STEPS,
        sure=SURE,
        left_out=() if report.test is None else group_skipped(report.test.left_out, num_first=_MOST_LEFT_OUT),
        skipped=group_skipped(report.skipped, num_first=_MOST_PATHS, most=_MOST_REASONS),
        model=model,
        dials=dials,
        num_dials=len(report.measurement.operating) if report.measurement else 0,
        pictures=album.pictures(),
        style=style,
        script=script,
        policy=_policy(style, script),
        data=_script_data(report, cards, suspects, model)
        | {
            "key": key,
            "download": decisions_name,
            "is_run": model is not None and report.test is None,
            "dials": card_data(dials),
        }
        | {"large": album.large_pictures(), "maps": _maps(report.maps), "details": album.details()}
        | {"texts": script_texts(str(script))},
        decisions_name=decisions_name,
        fix_command=f"tellapart fix {shlex.quote(printable(report.source))} --decisions {decisions_name} --out cleaned",
    )
    return page.encode("utf-8")


def _make_environment() -> "jinja2.Environment":
    """The environment of all pages with the formats of numbers, names and pictures that a report needs."""
    from markupsafe import Markup, escape

    environment = make_environment("tellapart.report", finalize=_finalize)
    environment.globals["frame"] = {"left": svg.LEFT, "right": svg.RIGHT, "top": svg.TOP, "bottom": svg.BOTTOM}
    environment.filters |= {
        "percent": number_words.percent,
        "percent_range": number_words.percent_range,
        "round_percent": number_words.round_percent,
        "count_photos": number_words.count_photos,
        "count_classes": number_words.count_classes,
        # Always printed where it is set apart anyway, and may be copied.
        "shorten": lambda text, longest: escape(wording.shorten(text, longest)),
        "verbatim": lambda text: escape(wording.visible(text)),
        "parts": lambda text, longest: [escape(part) for part in wording.shorten(text, longest).split("/")],
        "isolate": lambda text: Markup(wording.isolate(text)),
        "figure": number_words.short_number,
        "threshold": number_words.threshold_text,
    }
    return environment


def _finalize(value: object) -> object:
    """What a template prints: texts as `wording.visible`, names from the right set apart; markup as it is."""
    return wording.isolate(wording.visible(value)) if type(value) is str else value


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


def _maps(maps: Mapping[int, NDArray[np.float32]]) -> dict[int, str]:
    """By row, the maps that point at something, as data URIs."""
    clear = {row: activation for row, activation in maps.items() if judge_map(activation) == "clear"}
    uris = {row: map_uri(activation) for row, activation in clear.items()}
    return {row: uri for row, uri in uris.items() if uri is not None}


def _script_data(
    report: Report,
    cards: tuple[FindingCard, ...],
    suspects: Sequence[tuple[LabelSuspect, ShownPhoto]],
    model: ModelView | None,
) -> dict[str, Any]:
    """What the script needs to know of every photo that can be decided on; all texts can be encoded."""
    rows = {row for suspect, _ in suspects for row in suspect.rows}
    rows |= {row for card in cards for group in card.groups for row in group.rows}
    if model is not None:
        answers = (*model.sure_mistakes, *model.other_mistakes, *model.unsure)
        rows |= {row for answer in answers for row in (answer.photo.row, *answer.other_rows)}
    return {
        "classes": [printable(name) for name in report.class_names],
        "shown": [wording.shorten(name, 60) for name in report.class_names],
        "counts": list(report.class_counts.values()),
        "suggested": {
            str(row): [suspect.suggested_label, round(suspect.suggested_probability, 4)]
            for suspect, _ in suspects
            for row in suspect.rows
        },
        "photos": {
            str(row): [photo.content, printable(photo.path), printable(photo.class_name or "")]
            for row, photo in ((row, report.photos[row]) for row in sorted(rows))
        },
    }
