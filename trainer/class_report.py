"""A confusion matrix as a table of classes, in the shape of the paper's Table 3, with what that table leaves out.

Counts go in, precision, recall and F1 of each class come out, and a text for people. Nothing is estimated here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
