"""A confusion matrix as a table of classes, in the shape of the paper's Table 3, with what that table leaves out.

Counts go in, precision, recall and F1 of each class come out, and a text for people. Nothing is estimated here.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import ConfigError
from trainer.evaluate import Counts, accuracy, balanced_accuracy, macro_f1


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class. ``precision`` is None where it was never the answer, ``recall`` where it never was the truth."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class ClassReport:
    """Figures of each class, in the labels' order, and of all together; ``macro_f1`` over the classes that occur."""

    classes: tuple[ClassFigures, ...]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


def class_report(confusion: Counts) -> ClassReport:
    """Precision, recall, F1 and support of each class of a confusion matrix ``(n_labels, n_labels)``, truth down."""
    right, truth, answered = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)

    def share(part: int, whole: int) -> float | None:
        return float(part / whole) if whole else None

    classes = tuple(
        ClassFigures(share(hit, given), share(hit, own), share(2 * hit, own + given), int(own))
        for hit, own, given in zip(right, truth, answered, strict=True)
    )
    return ClassReport(classes, accuracy(confusion), balanced_accuracy(confusion), macro_f1(confusion))


def class_table(confusion: Counts, labels: Sequence[str]) -> str:
    """The paper's Table 3 as text: a line a class, accuracy and, which the paper lacks, balanced accuracy below."""
    found = class_report(confusion)
    width = max(len("balanced accuracy"), *(len(label) for label in labels))
    lines = [f"{'class':<{width}}  precision  recall    F1  support"]
    for label, own in zip(labels, found.classes, strict=True):
        precision, recall, f1 = ("-" if x is None else f"{x:.2f}" for x in (own.precision, own.recall, own.f1))
        lines.append(f"{label:<{width}}  {precision:>9}  {recall:>6}  {f1:>4}  {own.support:>7}")
    for name, value in (
        ("accuracy", found.accuracy),
        ("balanced accuracy", found.balanced_accuracy),
        ("macro F1", found.macro_f1),
    ):
        lines.append(f"{name:<{width}}  {value:>9.3f}")
    return "\n".join(lines)


def read_counts(path: Path) -> tuple[Counts, tuple[str, ...]]:
    """A confusion matrix ``(n_labels, n_labels)`` and its labels from a CSV file; `ConfigError` where it is none.

    The first line names the answers, after a cell that is not read; every other one begins with its truth::

        truth,robust,pre-frail,frail
        robust,36202,2228,633
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: no CSV text: {error}") from error
    labels = tuple(cell.strip() for cell in lines[0][1:]) if lines else ()
    truths = tuple(line[0].strip() for line in lines[1:])
    if len(labels) < 2 or truths != labels:
        raise ConfigError(
            f"{path}: the first line must name two or more classes, and a line a class follow in the same order; "
            f"found answers {', '.join(labels) or 'none'} and truths {', '.join(truths) or 'none'}"
        )
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line[1:]]
        if len(cells) != len(labels) or not all(cell.isascii() and cell.isdigit() for cell in cells):
            raise ConfigError(f"{path}, line {number}: needs {len(labels)} whole numbers, found {', '.join(cells)}")
    counts = np.array([[int(cell) for cell in line[1:]] for line in lines[1:]], np.int64)
    if counts.sum() == 0:
        raise ConfigError(f"{path}: every count is 0")
    return counts, labels
