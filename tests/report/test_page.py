"""The page as a file: what it says, that nothing in it can break or inject, and that it stays small."""

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.measure.intervals import wilson_interval
from tellapart.measure.measurement import Method, measure
from tellapart.measure.number_words import percent, percent_range
from tellapart.measure.scores import SelectivePoint
from tellapart.records import Finding, LabelSuspect, Skipped
from tellapart.report.page import Report, render_report
from tellapart.report.pictures import MOST_DETAIL_BYTES, MOST_LARGE_BYTES, MOST_PICTURE_BYTES, Album, ReportPhoto
from tellapart.report.print_summary import make_print_summary

MakeReport = Callable[..., Report]
VOID = frozenset("area base br col hr img input link meta source wbr".split())
BLOCKS = frozenset("dd div dt h1 h2 h3 h4 li p td th".split())
HOSTILE_NAMES = (
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert('2')>",
    'it\'s "quoted", & more',
    "two\nlines\rand\ttab",
    "turned \u202egpj.exe",
    "🐈‍⬛ кошка 猫",
    "{{ 7 * 7 }} {% raw %}",
    "broken \udcff name",
)


class Page(HTMLParser):
    """A parsed page: its elements in order, its text, and whether every element was closed where it should be."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrongly_closed: list[str] = []
        self.scripts: list[str] = []
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]
        self.texts += [" "] if tag in BLOCKS else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        opened = self.open.pop() if self.open else ""
        self.wrongly_closed += [] if opened == tag else [f"{opened} by {tag}"]

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        self.scripts += [data] if inside == "script" else []
        self.texts += [] if inside in ("script", "style") else [data]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self) -> dict:
        return json.loads(self.scripts[-1])


def render(report: Report) -> Page:
    return Page(render_report(report))


@pytest.fixture(scope="module")
def page(make_report: MakeReport) -> Page:
    return render(make_report())


@pytest.fixture(scope="module")
def hostile_page(make_report: MakeReport) -> Page:
    return render(make_report(HOSTILE_NAMES, num_photos=160, error=0.15, source="my <photos>\n\udcff"))


def bad_finding(title: str, num_photos: int, examples: tuple[tuple[int, ...], ...]) -> Finding:
    return Finding("near", title, "Why.", num_photos, examples, ("",) * len(examples), is_problem=True)


# What it says.


def test_the_verdict_comes_first_with_its_reasons(make_report: MakeReport) -> None:
    report = make_report(findings=())
    text = render(report).text
    assert report.verdict is not None
    verdict = report.verdict
    assert f"{verdict.word} {verdict.advice} {verdict.sentence} {' '.join(verdict.reasons)} Accuracy" in text


def test_the_word_has_a_colour_and_stands_in_letters_too(page: Page) -> None:
    (box,) = [one for one in page.named("div") if (one.get("class") or "").startswith("verdict")]
    assert box["class"] in ("verdict green", "verdict amber", "verdict red")


def test_the_head_says_accuracy_balanced_accuracy_and_the_constant_answer(make_report: MakeReport) -> None:
    report = make_report()
    assert report.measurement is not None
    one = report.measurement.evaluation
    assert (
        f"Accuracy {percent(one.accuracy)} (95% interval {percent_range(one.interval_95)})."
        f" Balanced accuracy {percent(one.balanced_accuracy)}."
        f" Always answering cat gets {percent(one.constant_accuracy)}. Tested on 400 photos" in render(report).text
    )


def test_cross_validation_says_which_model_the_number_is_for(make_report: MakeReport) -> None:
    text = render(make_report(method="cross-validation")).text
    assert "95% interval about" in text
    assert "Tested by cross-validation, with models trained on part of the photos. Yours was trained on all" in text


def test_what_costs_most_is_to_be_done_first(make_report: MakeReport) -> None:
    report = make_report()
    titles = [step.title for step in report.steps]
    text = render(report).text
    places = [text.index(f"{title}.", text.index("Do this first")) for title in titles]
    assert places == sorted(places)
    assert [step.cost for step in report.steps] == sorted((step.cost for step in report.steps), reverse=True)


def test_copies_share_a_card_among_the_mistakes(make_report: MakeReport) -> None:
    labels, predicted = np.arange(400) % 2, np.arange(400) % 2
    predicted[:14:2] = 1
    groups = np.where((np.arange(400) < 14) & (labels == 0), 0, np.arange(400))
    shares = np.where(np.eye(2)[predicted] > 0, 0.9, 0.1).astype(np.float32)
    found = measure(np.arange(400), labels, shares, ("cat", "dog"), Method("hold-out"), groups)
    text = render(make_report(measurement=found, maps={})).text
    assert "Wrong with a probability of 80% or more." in text
    assert "is cat (7 photos: copies or one burst)" in text


def test_copies_share_a_tile_and_a_decision_in_the_check_up(make_report: MakeReport) -> None:
    dark = Finding(
        "too_dark", "8 very dark photos", "Why.", 8, ((3, 5, 7, 9, 11, 13, 15), (2,)), ("", ""), False, "", True
    )
    page = render(make_report(findings=(dark,)))
    tiles = page.text.partition("8 very dark photos")[2].partition("</article>")[0]
    assert tiles.count("copies or one burst") == 1
    assert "(7 photos: copies or one burst)" in tiles
    together = [attrs["data-together"] for _tag, attrs in page.elements if "data-together" in attrs]
    assert "3 5 7 9 11 13 15" in together


def test_mistakes_below_the_stated_probability_are_not_called_sure(make_report: MakeReport) -> None:
    labels, predicted = np.arange(400) % 2, np.arange(400) % 2
    predicted[0] = 1
    shares = np.where(np.eye(2)[predicted] > 0, 0.7, 0.3).astype(np.float32)
    found = measure(np.arange(400), labels, shares, ("cat", "dog"), Method("hold-out"))
    text = render(make_report(measurement=found, maps={})).text
    assert "Sure and wrong" not in text
    assert "Wrong with a probability below 80%." in text


def test_problems_come_before_what_is_good_to_know(page: Page) -> None:
    assert page.text.index("One of the labels is wrong.") < page.text.index("They stay on one side of the split.")


def test_what_was_not_found_is_said(page: Page) -> None:
    assert "No photo is out of focus." in page.text


def test_examples_that_are_not_shown_are_counted(page: Page) -> None:
    assert "and 39 more" in page.text


def test_skipped_files_stand_under_their_reason(page: Page) -> None:
    assert "2 files left out" in page.text
    assert "1 the file ends too early cut.jpg" in page.text


def test_a_report_of_a_check_up_alone_has_no_numbers(make_report: MakeReport) -> None:
    page = render(make_report(measurement=None))
    assert "Fix 2 problems before training." in page.text
    assert "Log-loss" not in page.text


def test_a_clean_collection_is_called_clean(make_report: MakeReport) -> None:
    page = render(make_report(measurement=None, findings=(), suspects=(), skipped=(), clear=()))
    assert "No problems found in the photos." in page.text


def test_photos_without_labels_can_be_shown(make_report: MakeReport) -> None:
    photos = {row: ReportPhoto(f"{row}.jpg", "0" * 40, None, np.zeros((9, 9, 3), np.uint8)) for row in range(400)}
    page = render(make_report(measurement=None, photos=photos, class_counts={}, suspects=()))
    assert "400 photos in my photos." in page.text
    assert not [one for one in page.named("div") if one.get("class") == "decide"]


def test_a_model_without_mistakes_is_said_to_have_none(make_report: MakeReport) -> None:
    labels = np.arange(400) % 2
    perfect = measure(np.arange(400), labels, np.eye(2, dtype=np.float32)[labels], ("cat", "dog"), Method("hold-out"))
    text = render(make_report(measurement=perfect)).text
    assert "The model made no mistake on 400 photos." in text
    assert "The model was right on 100% of 400 photos it had not seen." in text


def test_not_sure_is_offered_with_what_it_costs(make_report: MakeReport) -> None:
    report = make_report()
    points = (SelectivePoint(0.0, 400, 20), SelectivePoint(0.9, 300, 2), SelectivePoint(0.99, 100, 0))
    text = render(replace(report, measurement=replace(report.measurement, selective=points))).text
    assert "at most 5% 75.0% 2 of 300 0.900" in text
    assert "at most 0.5% too often wrong to promise this" in text


def test_a_promise_that_takes_more_photos_says_so(make_report: MakeReport) -> None:
    report = make_report()
    points = (SelectivePoint(0.0, 150, 0),)
    text = render(replace(report, measurement=replace(report.measurement, selective=points))).text
    assert "at most 0.5% too few photos to promise this" in text


def test_a_class_without_photos_is_said_to_have_none(make_report: MakeReport) -> None:
    report = make_report(("cat", "dog", "owl"), num_photos=300)
    lost = replace(
        report.measurement.evaluation.per_class[2], num_photos=0, recall=None, precision=None, recall_interval_95=None
    )
    evaluation = replace(report.measurement.evaluation, per_class=(*report.measurement.evaluation.per_class[:2], lost))
    text = render(replace(report, measurement=replace(report.measurement, evaluation=evaluation))).text
    assert "owl 0 no photos never said" in text


def test_what_a_leak_would_have_looked_like_is_said(page: Page) -> None:
    assert "accuracy would have looked like 99.1%" in page.text


@pytest.mark.parametrize("missing", ["curve", "leak_accuracy"])
def test_what_was_not_measured_is_left_out(make_report: MakeReport, missing: str) -> None:
    report = make_report()
    method = replace(report.measurement.method, **{missing: None})
    page = render(replace(report, measurement=replace(report.measurement, method=method)))
    assert not page.wrongly_closed


NO_MAPS = "There are no heat maps."
MAPS_OF_NOTHING = {"coarse": np.eye(2), "flat": np.ones((7, 7))}


def test_heat_maps_have_a_legend(page: Page) -> None:
    assert "What spoke for its answer, in this photo: yellow a little, red the most." in page.text
    assert NO_MAPS not in page.text


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("coarse", "sees a photo as too few places"),
        ("flat", "The model uses no place in these photos more than others."),
    ],
)
def test_maps_that_show_nothing_are_said_to(make_report: MakeReport, state: str, reason: str) -> None:
    report = make_report()
    maps = {row: MAPS_OF_NOTHING[state].astype(np.float32) for row in report.maps}
    page = render(replace(report, maps=maps))
    assert f"{NO_MAPS} " in page.text
    assert reason in page.text
    assert page.data()["maps"] == {}
    assert not [one for one in page.named("svg") if str(one.get("class")).endswith("heat")]


def test_a_flat_map_among_others_is_said_at_its_photo(make_report: MakeReport) -> None:
    report = make_report()
    first = next(iter(report.maps))
    page = render(replace(report, maps=report.maps | {first: np.ones((7, 7), np.float32)}))
    assert page.text.count("The model uses no place in this photo more than others.") >= 1
    assert NO_MAPS not in page.text
    assert str(first) not in page.data()["maps"]


def test_a_model_that_cannot_show_where_it_looked_is_said_to(make_report: MakeReport) -> None:
    text = render(make_report(maps={}, has_maps=False)).text
    assert f"{NO_MAPS} This model cannot show where it looked." in text
    assert "yellow a little" not in text


@pytest.mark.parametrize("num_classes", [2, 4, 5, 12, 20, 21, 60])
def test_the_sheet_for_printing_has_at_most_20_classes(make_report: MakeReport, num_classes: int) -> None:
    report = make_report([f"class {number}" for number in range(num_classes)], num_photos=300, error=0.2)
    assert report.measurement is not None
    summary = make_print_summary(report.measurement, Album(report.source, report.photos, {}))
    assert len(summary.rows) == min(20, num_classes)
    assert summary.num_more == num_classes - len(summary.rows)
    assert {len(row.photos) for row in summary.rows} == {3}
    assert {len(row.cells) for row in summary.rows} == {0 if summary.num_more else num_classes}
    assert {photo.class_name for row in summary.rows[:1] for photo in row.photos} == {summary.rows[0].score.class_name}


def test_the_sheet_for_printing_shows_no_photo_and_its_copy(make_report: MakeReport) -> None:
    report = make_report(num_photos=60, error=0.0)
    assert report.measurement is not None
    copied = replace(report.measurement, groups=np.arange(60) // 20)
    summary = make_print_summary(copied, Album(report.source, report.photos, {}))
    assert [len(row.photos) for row in summary.rows] == [3, 3]
    assert all(len({photo.row // 20 for photo in row.photos}) == 3 for row in summary.rows)


# That it holds together.


@pytest.mark.parametrize("num_classes", [2, 3, 13, 21, 100, 200])
def test_any_number_of_classes_makes_a_sound_page(make_report: MakeReport, num_classes: int) -> None:
    page = render(make_report([f"class {number}" for number in range(num_classes)], num_photos=600, error=0.2))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    links = {str(one["href"])[1:] for _, one in page.elements if str(one.get("href", "")).startswith("#")}
    assert not page.wrongly_closed
    assert not page.open
    assert max(ids.values()) == 1
    assert links <= set(ids)


def test_headings_leave_out_no_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in itertools.pairwise(levels))


def test_every_picture_has_a_text_in_its_place(page: Page) -> None:
    drawings = [one for one in page.named("svg") if one.get("aria-hidden") != "true"]
    assert len(drawings) > 60
    assert all(one["role"] == "img" and one["aria-label"] for one in drawings)


def test_every_table_header_says_what_it_heads(page: Page) -> None:
    assert all(one.get("scope") in ("row", "col") for one in page.named("th"))


def test_a_photo_that_is_shown_often_is_embedded_once(page: Page) -> None:
    pictures = [one["href"] for one in page.named("image")]
    assert len(pictures) == len(set(pictures))
    assert len(page.named("use")) > len(pictures)


# That nothing gets in or out.


def test_the_policy_allows_this_style_and_script_and_nothing_from_anywhere(make_report: MakeReport) -> None:
    data = render_report(make_report()).decode()
    page = Page(data.encode())
    policy = next(one["content"] for one in page.named("meta") if "http-equiv" in one) or ""
    style = data[data.index("<style>") + 7 : data.index("</style>")]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, page.scripts[0])]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'" in policy


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    addresses = [str(one[name]) for _, one in page.elements for name in ("src", "href", "srcset") if name in one]
    assert addresses
    assert all(address.startswith(("#", "data:image/")) for address in addresses)


def test_no_element_has_a_style_or_a_handler_of_its_own(hostile_page: Page) -> None:
    names = {name for _, attributes in hostile_page.elements for name in attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]


def test_hostile_names_add_no_element(hostile_page: Page) -> None:
    assert not hostile_page.wrongly_closed
    assert len(hostile_page.named("script")) == 2
    assert not hostile_page.named("img")


@pytest.mark.parametrize(
    "shown",
    [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror=alert('2')>",
        'it\'s "quoted", & more',
        "two\\nlines\\rand\\ttab",
        "turned \\u202egpj.exe",
        "🐈‍⬛ кошка 猫",
        "{{ 7 * 7 }} {% raw %}",
        "broken \\xff name",
        "my <photos>\\n\\xff",
    ],
    ids=ascii,
)
def test_hostile_names_are_shown_for_what_they_are(hostile_page: Page, shown: str) -> None:
    assert shown in hostile_page.text


def test_the_script_is_given_names_as_they_are(hostile_page: Page) -> None:
    assert hostile_page.data()["classes"] == [name.replace("\udcff", "\\xff") for name in HOSTILE_NAMES]


def test_nothing_turns_the_direction_of_the_page(hostile_page: Page) -> None:
    attributes = [str(value) for _, one in hostile_page.elements for value in one.values()]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", hostile_page.text + "".join(attributes))


@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=40))
def test_no_text_breaks_the_page(make_report: MakeReport, text: str) -> None:
    base = make_report(measurement=None)
    photo = replace(base.photos[0], path=text, class_name=text)
    report = replace(
        base,
        source=text,
        class_counts={text: 1, f"{text}2": 2},
        skipped=(Skipped(text, text),),
        findings=(Finding("near", text, text, 1, ((0,),), (text,), is_problem=True),),
        suspects=(LabelSuspect(0, 0, 1, 0.1, 0.9),),
        photos={0: photo},
        facts=((text, text),),
        clear=(text,),
    )
    page = render(report)
    assert not page.wrongly_closed
    assert len(page.named("script")) == 2


# That it stays small.


def test_long_lists_are_cut_and_say_so(make_report: MakeReport) -> None:
    suspects = tuple(LabelSuspect(row, 0, 1, 0.1, 0.9) for row in range(237))
    skipped = tuple(Skipped(f"{number}.txt", "not a photo") for number in range(57))
    text = render(make_report(suspects=suspects, skipped=skipped)).text
    assert "and 37 more, less suspicious." in text
    assert "19.txt and 37 more" in text


def test_a_finding_shows_some_of_a_large_group(make_report: MakeReport) -> None:
    text = render(make_report(findings=(bad_finding("60 alike", 60, (tuple(range(60)),)),))).text
    assert "and 52 more of this group" in text
    assert "and 37 more" not in text


def test_many_noisy_photos_stay_under_15_megabytes(make_report: MakeReport) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (210, 210, 3), np.uint8)
    suspects = tuple(LabelSuspect(row, 0, 1, 0.1, 0.9) for row in range(200))
    findings = tuple(
        bad_finding(f"finding {number}", 24, tuple((row,) for row in range(number * 24, number * 24 + 24)))
        for number in range(10)
    )
    report = make_report(
        image=lambda row: np.roll(noise, row, 0), suspects=suspects, findings=findings, measurement=None
    )
    large = np.random.default_rng(1).integers(0, 256, (760, 1020, 3), np.uint8)
    photos = {
        row: replace(photo, large=large if row < 90 else None, detail=large[:640, :640] if row < 40 else None)
        for row, photo in report.photos.items()
    }
    data = render_report(replace(report, photos=photos))
    assert (MOST_PICTURE_BYTES + MOST_LARGE_BYTES + MOST_DETAIL_BYTES) / 2 < len(data) < 15_000_000


def test_the_same_report_gives_the_same_bytes(make_report: MakeReport) -> None:
    assert render_report(make_report()) == render_report(make_report())


def test_the_template_engine_is_loaded_for_a_page_only() -> None:
    code = (
        "import sys, tellapart.report.page; print([name for name in ('jinja2', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_class_has_an_interval_of_its_own(make_report: MakeReport) -> None:
    report = make_report()
    assert report.measurement is not None
    score = report.measurement.evaluation.per_class[0]
    assert score.recall is not None
    low, high = wilson_interval(round(score.recall * score.num_photos), score.num_photos)
    assert percent_range((low, high), score.num_photos) in render_report(report).decode()
