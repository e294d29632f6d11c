"""How good probabilities are, by person first and by window second, with intervals that take people as the unit.

Enters: probabilities of windows, their labels and whose they are. Leaves: figures. A person's class is one
answer over all of that person's windows; windows of one person resemble each other, so every interval comes
from drawing people, never windows, with replacement. Nothing is trained or drawn here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.decision import PROBABILITY_FLOOR

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

N_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Confusion matrices have shape ``(n_labels, n_labels)``: rows the truth, columns the answer."""

    n_people: int
    n_windows: int
    balanced_accuracy_by_person: Interval
    accuracy_by_person: Interval
    balanced_accuracy_by_window: Interval
    accuracy_by_window: Interval
    confusion_by_person: Counts
    confusion_by_window: Counts


def decide_by_person(
    probabilities: NDArray[np.float32], person_ids: NDArray[np.str_]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Each person's class: the largest mean log-probability over the person's windows.

    ``probabilities`` has shape ``(n_windows, n_labels)``, ``person_ids`` ``(n_windows,)``. Gives the people,
    sorted, and their class indices, both ``(n_people,)``.
    """
    people, means = mean_log_probabilities(probabilities, person_ids)
    return people, np.argmax(means, axis=1).astype(np.int64)


def mean_log_probabilities(
    probabilities: NDArray[np.float32], person_ids: NDArray[np.str_]
) -> tuple[NDArray[np.str_], Floats]:
    """The people, sorted ``(n_people,)``, and each one's mean log-probabilities ``(n_people, n_labels)``."""
    people, person_index = np.unique(person_ids, return_inverse=True)
    log_p = np.log(np.maximum(probabilities.astype(np.float64), PROBABILITY_FLOOR))
    sums = np.zeros((len(people), probabilities.shape[1]))
    np.add.at(sums, person_index, log_p)
    return people, sums / np.bincount(person_index)[:, np.newaxis]


def confusion_matrix(truth: NDArray[np.int64], answer: NDArray[np.int64], n_labels: int) -> Counts:
    """Counts ``(n_labels, n_labels)``: rows the truth, columns the answer."""
    counts = np.bincount(truth * n_labels + answer, minlength=n_labels**2)
    return counts.reshape(n_labels, n_labels).astype(np.int64)


def balanced_accuracy(confusion: Counts) -> float:
    """The mean recall over the labels that occur."""
    return float(balanced_accuracies(confusion))


def accuracy(confusion: Counts) -> float:
    """The share on the diagonal."""
    return float(accuracies(confusion))


def macro_f1(confusion: Counts) -> float:
    """The mean F1 over the labels that occur."""
    return float(macro_f1s(confusion))


def balanced_accuracies(confusions: Counts | Floats) -> Floats:
    """`balanced_accuracy` of each matrix of a stack ``(..., n_labels, n_labels)``."""
    totals = confusions.sum(axis=-1)
    return _mean_where(np.diagonal(confusions, axis1=-2, axis2=-1) / np.maximum(totals, 1), totals > 0)


def accuracies(confusions: Counts | Floats) -> Floats:
    """`accuracy` of each matrix of a stack ``(..., n_labels, n_labels)``."""
    return divide(np.trace(confusions, axis1=-2, axis2=-1), confusions.sum(axis=(-2, -1)))


def macro_f1s(confusions: Counts | Floats) -> Floats:
    """`macro_f1` of each matrix of a stack ``(..., n_labels, n_labels)``."""
    truth, answered = confusions.sum(axis=-1), confusions.sum(axis=-2)
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    return _mean_where(2 * right / np.maximum(truth + answered, 1), truth > 0)


def _mean_where(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """The mean over the last axis of those that count."""
    return divide(np.where(counted, values, 0).sum(axis=-1), counted.sum(axis=-1))


def divide(part: Floats | Counts, whole: Floats | Counts) -> Floats:
    """Element by element, nan where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def draw_people(truth: NDArray[np.int64], *, n_draws: int = N_DRAWS, seed: int = 0) -> Floats:
    """How often each person is in each draw with replacement within the class: ``(n_draws, n_people)``."""
    generator = np.random.default_rng(seed)
    weights = np.empty((n_draws, len(truth)))
    for label in np.unique(truth):
        own = np.flatnonzero(truth == label)
        weights[:, own] = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=n_draws)
    return weights


def draw_confusions(by_person: Counts | Floats, weights: Floats) -> Floats:
    """Each draw's confusion matrix ``(n_draws, n_labels, n_labels)`` from one a person ``(n_people, ...)``."""
    n_people, n_labels, _ = by_person.shape
    drawn: Floats = (weights @ by_person.reshape(n_people, -1)).reshape(-1, n_labels, n_labels)
    return drawn


def interval_of(value: float, drawn: Floats) -> Interval:
    """A figure with the middle 95 % of what the draws ``(n_draws,)`` gave; draws that left it undefined don't count."""
    lower, upper = np.nanpercentile(drawn, (2.5, 97.5))
    return Interval(value, float(lower), float(upper))


def person_labels(label_index: NDArray[np.int64], person_ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Each person's label ``(n_people,)``, people sorted; `ValueError` where a person has two labels."""
    _, first, person_index = np.unique(person_ids, return_index=True, return_inverse=True)
    labels = label_index[first]
    if (labels[person_index] != label_index).any():
        raise ValueError("a person has windows of two labels")
    return labels


def evaluate(
    probabilities: NDArray[np.float32],
    label_index: NDArray[np.int64],
    person_ids: NDArray[np.str_],
    *,
    seed: int = 0,
) -> Figures:
    """Figures of ``(n_windows, n_labels)`` probabilities; the intervals draw people within their class.

    ``label_index`` and ``person_ids`` have shape ``(n_windows,)``. `ValueError` where a person has two
    labels.
    """
    n_labels = probabilities.shape[1]
    people, person_answers = decide_by_person(probabilities, person_ids)
    truth = person_labels(label_index, person_ids)
    window_answers = np.argmax(probabilities, axis=1)
    by_person = np.zeros((len(people), n_labels, n_labels), np.int64)
    by_person[np.arange(len(people)), truth, person_answers] = 1
    by_window = np.stack(
        [
            confusion_matrix(label_index[own], window_answers[own], n_labels)
            for own in (person_ids == person for person in people)
        ]
    )
    weights = draw_people(truth, seed=seed)

    def with_interval(figure: Callable[[Counts | Floats], Floats], by: Counts) -> Interval:
        return interval_of(float(figure(by.sum(axis=0))), figure(draw_confusions(by, weights)))

    return Figures(
        n_people=len(people),
        n_windows=len(label_index),
        balanced_accuracy_by_person=with_interval(balanced_accuracies, by_person),
        accuracy_by_person=with_interval(accuracies, by_person),
        balanced_accuracy_by_window=with_interval(balanced_accuracies, by_window),
        accuracy_by_window=with_interval(accuracies, by_window),
        confusion_by_person=by_person.sum(axis=0),
        confusion_by_window=by_window.sum(axis=0),
    )


def fit_temperature(probabilities: NDArray[np.float32], label_index: NDArray[np.int64]) -> float:
    """The temperature that makes ``(n_windows, n_labels)`` validation probabilities most likely, within 0.25-8."""
    log_p = np.log(np.maximum(probabilities.astype(np.float64), PROBABILITY_FLOOR))
    rows = np.arange(len(label_index))

    def loss(temperature: float) -> float:
        scaled = log_p / temperature
        return float(np.mean(np.logaddexp.reduce(scaled, axis=1) - scaled[rows, label_index]))

    # A step of 1 %: finer than 300 windows of one person can tell.
    return float(min(np.geomspace(0.25, 8.0, 349), key=loss))
