"""Precision, recall and F1 of each class, held against the paper's own table and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="needs the extra `train`")

from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score

from trainer.auroc import auroc
from trainer.class_report import class_report, class_table

pytestmark = pytest.mark.train

LABELS = ("robust", "pre-frail", "frail")
FIGURE_4 = np.array([[36202, 2228, 633], [1970, 34258, 2041], [434, 571, 5536]])


def test_the_papers_figure_4_gives_the_papers_table_3() -> None:
    found = class_report(FIGURE_4)
    assert FIGURE_4.sum() == 83_873
    assert round(found.accuracy, 3) == 0.906
    assert [f"{own.precision:.2f}" for own in found.classes] == ["0.94", "0.92", "0.67"]
    assert [f"{own.recall:.2f}" for own in found.classes] == ["0.93", "0.90", "0.85"]
    assert [f"{own.f1:.2f}" for own in found.classes] == ["0.93", "0.91", "0.75"]
    assert round(found.balanced_accuracy, 3) == 0.889


def test_table_3_is_printed_class_by_class() -> None:
    words = [line.split() for line in class_table(FIGURE_4, LABELS).splitlines()]
    assert words == [
        ["class", "precision", "recall", "F1", "support"],
        ["robust", "0.94", "0.93", "0.93", "39063"],
        ["pre-frail", "0.92", "0.90", "0.91", "38269"],
        ["frail", "0.67", "0.85", "0.75", "6541"],
        ["accuracy", "0.906"],
        ["balanced", "accuracy", "0.889"],
        ["macro", "F1", "0.864"],
    ]


def test_a_class_never_answered_has_no_precision_and_one_never_true_no_recall() -> None:
    found = class_report(np.array([[4, 0, 0], [2, 0, 0], [0, 0, 0]]))
    assert [own.precision for own in found.classes] == [pytest.approx(4 / 6), None, None]
    assert [own.recall for own in found.classes] == [1, 0, None]
    assert [own.f1 for own in found.classes] == [pytest.approx(0.8), 0, None]
    assert found.macro_f1 == pytest.approx(0.4)
    assert class_table(np.array([[1, 0], [0, 0]]), ["a", "b"]).splitlines()[2].split() == ["b", "-", "-", "-", "0"]


@given(arrays.arrays(np.int64, (3, 3), elements=st.integers(1, 30)))
def test_scikit_learn_counts_the_same(confusion: NDArray[np.int64]) -> None:
    truth, answer = (np.repeat(side.ravel(), confusion.ravel()) for side in np.indices((3, 3)))
    expected = precision_recall_fscore_support(truth, answer)
    found = class_report(confusion)
    for index, name in enumerate(("precision", "recall", "f1", "support")):
        assert [getattr(own, name) for own in found.classes] == pytest.approx(expected[index])
    assert found.macro_f1 == pytest.approx(f1_score(truth, answer, average="macro"))


@given(st.integers(0, 1000))
def test_auroc_is_that_of_scikit_learn_ties_included(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(3), generator.integers(0, 3, 20)])
    scores = generator.integers(1, 6, (23, 3)).astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr"))


def test_auroc_compares_people_of_one_fold_only_and_is_undefined_where_a_fold_holds_one_class() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    truth = np.array([0, 1, 0, 1])
    assert auroc(scores, truth) == pytest.approx(0.75)
    assert auroc(scores, truth, np.array([0, 0, 1, 1])) == 1
    assert auroc(scores, truth, np.array([0, 1, 0, 1])) is None
