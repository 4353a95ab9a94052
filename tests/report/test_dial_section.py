"""What the page shows of thresholds agrees with the photos it was measured on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tellapart.measure.intervals import grouped_interval
from tellapart.measure.measurement import Measurement
from tellapart.measure.number_words import per_thousand
from tellapart.records import Dial
from tellapart.report.dial_section import card_data, dial_cards
from tellapart.report.page import Report, render_report
from tellapart.report.svg import TradeOffPlot

MakeReport = Callable[..., Report]


def measured(make_report: MakeReport, **settings: object) -> Measurement:
    measurement = make_report(**settings).measurement
    assert measurement is not None
    return measurement


def points_of(text: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_each_stop_says_what_its_threshold_does(make_report: MakeReport) -> None:
    measurement = measured(make_report, counts=(300, 60), error=0.1)
    card = dial_cards(measurement)[0]
    assert card.class_name == "dog"
    shares, is_dog = measurement.probabilities[:, 1].astype(np.float64), measurement.labels == 1
    for stop in card.stops:
        is_called = shares >= float(stop.threshold)
        assert stop.missed == per_thousand((~is_called[is_dog]).mean())
        assert stop.false_alarms == per_thousand(is_called[~is_dog].mean())
        bounds = grouped_interval(~is_called[is_dog])
        assert stop.missed_range == "\u2013".join(map(per_thousand, bounds))


def test_the_slider_begins_at_the_threshold_of_the_model(make_report: MakeReport) -> None:
    cards = dial_cards(measured(make_report), Dial("dog", 0.123))
    assert [(card.class_name, card.stops[card.start].threshold) for card in cards] == [("dog", "0.123"), ("cat", "0.5")]


def test_a_page_says_for_how_many_classes_it_shows_thresholds(make_report: MakeReport) -> None:
    names = tuple(f"kind {number}" for number in range(14))
    said = "Thresholds are shown for 12 of 14 classes: those that are found least."
    assert said in render_report(make_report(names)).decode()
    assert "Thresholds are shown for" not in render_report(make_report(names[:12])).decode()


def test_a_rare_class_comes_first(make_report: MakeReport) -> None:
    cards = dial_cards(measured(make_report, counts=(30, 300)))
    assert [card.class_name for card in cards] == ["cat", "dog"]


def test_the_marks_are_on_the_curves(make_report: MakeReport) -> None:
    card = dial_cards(measured(make_report, error=0.2))[0]
    assert {stop.roc for stop in card.stops} <= set(points_of(card.roc.line))
    assert {stop.precision_recall for stop in card.stops[5:-8]} <= set(points_of(card.precision_recall.line))


def test_the_curve_of_found_against_false_alarms_goes_from_corner_to_corner(make_report: MakeReport) -> None:
    line = points_of(dial_cards(measured(make_report, error=0.2))[0].roc.line)
    assert (line[0], line[-1]) == (TradeOffPlot.place(0, 0), TradeOffPlot.place(1, 1))
    assert line == sorted(line, key=lambda point: (point[0], -point[1]))


def test_a_band_keeps_a_width_where_nothing_is_wrong(make_report: MakeReport) -> None:
    measurement = measured(make_report, error=0.0)
    perfect = replace(measurement, probabilities=np.eye(2, dtype=np.float32)[measurement.labels])
    heights = [y for _, y in points_of(dial_cards(perfect)[0].precision_recall.band)]
    assert max(heights) - min(heights) > 0.5


def test_copies_widen_the_intervals(make_report: MakeReport) -> None:
    measurement = measured(make_report, error=0.1)
    grouped = replace(measurement, groups=np.arange(400) // 8)
    once, copies = (dial_cards(one)[0] for one in (measurement, grouped))
    assert copies.num_independent < once.num_independent == once.num_photos
    assert [stop.missed for stop in copies.stops] == [stop.missed for stop in once.stops]
    assert [stop.missed_range for stop in copies.stops] != [stop.missed_range for stop in once.stops]


def test_shares_that_cannot_be_promised_have_no_threshold(make_report: MakeReport) -> None:
    card = dial_cards(measured(make_report, counts=(300, 25)))[0]
    assert [row.threshold is None for row in card.promises] == [True, True, False, False]


def test_no_more_than_12_classes_have_a_card(make_report: MakeReport) -> None:
    names = tuple(f"class {number}" for number in range(30))
    assert len(dial_cards(measured(make_report, names=names, num_photos=600))) == 12


def test_the_page_has_the_table_without_its_script(make_report: MakeReport) -> None:
    page = render_report(make_report(counts=(300, 60), error=0.1)).decode()
    section = page.split('<section id="dial"')[1].split("</section>")[0]
    assert section.count("<tr>") >= 2 * 13
    assert 'class="dial-slider" data-script hidden' in section
    assert "This model has no threshold" in section


def test_the_page_says_the_threshold_of_the_model(make_report: MakeReport) -> None:
    page = render_report(replace(make_report(), dial=Dial("dog", 0.25))).decode()
    assert "from probability 0.25 on." in page


@pytest.mark.parametrize("name", ["</script><b>owl", "a=b's \u202edog"])
def test_a_name_reaches_the_script_whole(make_report: MakeReport, name: str) -> None:
    cards = dial_cards(measured(make_report, names=("cat", name)))
    assert {card["name"] for card in card_data(cards)} == {"cat", name}
    assert "<b>owl" not in render_report(make_report(("cat", name))).decode()


def test_a_page_without_photos_to_measure_on_has_no_thresholds(make_report: MakeReport) -> None:
    assert b'<section id="dial"' not in render_report(make_report(measurement=None))
