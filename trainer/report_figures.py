"""The parts of a report that hold figures of methods: tables and pictures, each under the name of its protocol.

A summary and results go in, pieces of HTML come out. By person everywhere but in the one part that says otherwise.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from edge.page import bullets, heading, paragraph, table
from trainer import report_plots as plots
from trainer.class_report import class_report
from trainer.difference import named
from trainer.evaluate import Interval
from trainer.page import picture
from trainer.summary import Row, Summary
from trainer.trial import NETWORK, TrialResult

_BY_PERSON: Final = (
    "A person's class is the one with the largest mean log-probability over that person's windows. A figure is the "
    "mean over the seeds; its 95 % interval comes from drawing people, within their class, with replacement, the same "
    "ones for all seeds. AUROC is one class against the rest, people of one fold compared with each other, mean over "
    "classes."
)


def main(summary: Summary) -> Iterator[str]:
    """The main table, protocol by protocol, and its picture."""
    yield heading("By person")
    yield paragraph(f"{_BY_PERSON} Chance is a balanced accuracy of {summary.chance:.3f}.")
    header = ("method", "balanced accuracy (95 %)", "accuracy", "macro F1", "AUROC", "people")
    for name, rows in _by_protocol(summary):
        cells = [
            (
                row.method,
                _interval(row.balanced_accuracy),
                _interval(row.accuracy),
                _interval(row.macro_f1),
                "-" if row.auroc is None else _interval(row.auroc),
                str(row.n_people),
            )
            for row in rows
        ]
        yield table(f"{name}: figures by person", header, cells)
        seeds = list(dict.fromkeys(seed.seed for row in rows for seed in row.seeds))
        each = [
            (
                row.method,
                *({seed.seed: f"{seed.balanced_accuracy:.3f}" for seed in row.seeds}.get(s, "-") for s in seeds),
            )
            for row in rows
        ]
        yield table(
            f"{name}: balanced accuracy by person, seed by seed", ("method", *(f"seed {seed}" for seed in seeds)), each
        )
    caption = "Balanced accuracy by person of every method under every protocol, with 95 % intervals over people"
    yield picture(plots.svg(plots.draw_balanced_accuracies(summary)), caption)


def claims(summary: Summary) -> Iterator[str]:
    """Paired differences in words, wins and losses alike."""
    if summary.differences:
        yield heading("What may be claimed")
        yield paragraph(
            "Differences on the same folds, drawing the same people for both. With many comparisons, one interval in "
            "twenty excludes 0 by chance; seeds are not drawn."
        )
        yield bullets(difference.sentence for difference in summary.differences)


def classes(summary: Summary) -> Iterator[str]:
    """Confusion matrices by person, and precision, recall and F1 of each class."""
    yield heading("Class by class, by person")
    header = ("method", "class", "precision", "recall", "F1", "people × seeds")
    for name, rows in _by_protocol(summary):
        cells = []
        for row in rows:
            found = class_report(np.array(row.confusion))
            for label, own in zip(summary.labels, found.classes, strict=True):
                shares = ("-" if x is None else f"{x:.2f}" for x in (own.precision, own.recall, own.f1))
                cells.append((row.method, label, *shares, str(own.support)))
        yield picture(
            plots.svg(plots.draw_confusions(rows, summary.labels)), f"{name}: confusion by person, all seeds counted"
        )
        yield table(f"{name}: each class, by person, all seeds counted", header, cells)


def by_window(summary: Summary) -> Iterator[str]:
    """The figures that other work reports."""
    if not any(row.by_window for row in summary.rows):
        return
    yield heading("By window")
    yield paragraph(
        "Windows of one person overlap and resemble each other: these figures are for comparison with work that "
        "reports them, a new person meets those by person. Methods that answer once a walk or a person have none. "
        "Intervals draw people here too."
    )
    header = ("method", "balanced accuracy (95 %)", "accuracy (95 %)", "windows in the first seed")
    for name, rows in _by_protocol(summary):
        cells = [
            (row.method, _interval(own.balanced_accuracy), _interval(own.accuracy), f"{own.n_windows:,}")
            for row in rows
            if (own := row.by_window) is not None
        ]
        if cells:
            yield table(f"{name}: figures by window", header, cells)


def training(results: Sequence[TrialResult]) -> Iterator[str]:
    """The curves of the main network; those of its variants are in the run's folder."""
    trained = [result for result in results if result.method == NETWORK]
    if trained:
        yield heading("Training")
    for name in dict.fromkeys(_protocol_name(result) for result in trained):
        own = [result for result in trained if _protocol_name(result) == name]
        figure = plots.draw_training(own)
        if figure is not None:
            caption = (
                f"{name}, {NETWORK}: loss and accuracy by window, epoch by epoch, a line for each of {len(own)} folds"
            )
            yield picture(plots.svg(figure), caption)


def trust(summary: Summary, results: Sequence[TrialResult]) -> Iterator[str]:
    """Calibration before and after temperature, and what abstaining brings."""
    yield heading("How far a probability may be believed")
    header = ("method", "calibration error as answered", "with temperature", "rows are", "risk-coverage area by person")
    colours = plots.method_colours(summary)
    for name, rows in _by_protocol(summary):
        cells = [
            (
                row.method,
                f"{row.trust.error_as_answered:.3f}",
                f"{row.trust.error_with_temperature:.3f}",
                f"{row.unit}s",
                f"{row.trust.risk_area:.3f}",
            )
            for row in rows
        ]
        yield table(f"{name}: expected calibration error, and risk over coverage", header, cells)
        by_method = {
            row.method: [result for result in results if _protocol_name(result) == name and result.method == row.method]
            for row in rows
        }
        if network := by_method.get(NETWORK):
            caption = f"{name}, {NETWORK}: reliability by window, before and after temperature"
            yield picture(plots.svg(plots.draw_reliability(network)), caption)
        caption = f"{name}: share wrong against share answered, by person"
        if all(by_method.values()):
            yield picture(plots.svg(plots.draw_risk_coverage(by_method, colours)), caption)


def people(summary: Summary) -> Iterator[str]:
    """How often each person was answered rightly, those most often mistaken first."""
    yield heading("Person by person")
    for name, rows in _by_protocol(summary):
        own = [{person.person_id: person for person in row.people} for row in rows]
        known = {person_id: person for by_id in reversed(own) for person_id, person in by_id.items()}
        cells = [
            (
                person_id,
                known[person_id].label,
                *(
                    f"{by_id[person_id].n_right} of {by_id[person_id].n_tested}" if person_id in by_id else "-"
                    for by_id in own
                ),
            )
            for person_id in sorted(known, key=lambda i: (known[i].n_right / known[i].n_tested, i))
        ]
        header = ("person", "class", *(row.method for row in rows))
        yield table(f"{name}: in how many seeds a person was answered rightly", header, cells)


def _by_protocol(summary: Summary) -> list[tuple[str, list[Row]]]:
    names = dict.fromkeys(row.protocol_name for row in summary.rows)
    return [(name, [row for row in summary.rows if row.protocol_name == name]) for name in names]


def _protocol_name(result: TrialResult) -> str:
    return named(result.protocol, result.note if result.protocol == "transfer" else "")


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})"
