"""`tellapart dial`: from which probability on a model answers with one of its classes."""

from tellapart.cli.options import MaxMissed, ModelDir, Threshold
from tellapart.cli.output import make_console, print_line, print_table
from tellapart.translation import gettext as _


def dial(model: ModelDir, threshold: Threshold = None, max_missed: MaxMissed = None) -> None:
    """Set from which probability on the model answers with one class, and print what other thresholds do."""
    from tellapart.commands.dial import set_dial
    from tellapart.measure.number_words import per_thousand, quote, threshold_text
    from tellapart.measure.operating import false_alarm_interval, missed_interval, table_points

    summary = set_dial(model, threshold=threshold, max_missed=max_missed)
    console = make_console()
    print_line(console, summary.sentence)
    if summary.curve is None:
        return
    curve, name = summary.curve, quote(summary.curve.class_name)
    rows = [
        (
            threshold_text(point.threshold),
            per_thousand(point.num_missed / curve.num_photos),
            "\u2013".join(map(per_thousand, missed_interval(curve, point))),
            per_thousand(point.num_false_alarms / curve.num_others),
            "\u2013".join(map(per_thousand, false_alarm_interval(curve, point))),
        )
        for point in table_points(curve)
    ]
    headers = (
        _("threshold"),
        _("missed of 1,000 {name}").format(name=name),
        _("95% interval"),
        _("false alarms of 1,000 others"),
        _("95% interval"),
    )
    print_table(console, headers, rows)
