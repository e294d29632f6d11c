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

_N_DRAWS: Final = 2000


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
    people, person_index = np.unique(person_ids, return_inverse=True)
    log_p = np.log(np.maximum(probabilities.astype(np.float64), PROBABILITY_FLOOR))
    sums = np.zeros((len(people), probabilities.shape[1]))
    np.add.at(sums, person_index, log_p)
    means = sums / np.bincount(person_index)[:, np.newaxis]
    return people, np.argmax(means, axis=1).astype(np.int64)


def confusion_matrix(truth: NDArray[np.int64], answer: NDArray[np.int64], n_labels: int) -> Counts:
    """Counts ``(n_labels, n_labels)``: rows the truth, columns the answer."""
    counts = np.bincount(truth * n_labels + answer, minlength=n_labels**2)
    return counts.reshape(n_labels, n_labels).astype(np.int64)


def balanced_accuracy(confusion: Counts) -> float:
    """The mean recall over the labels that occur."""
    totals = confusion.sum(axis=1)
    occurs = totals > 0
    return float(np.mean(np.diagonal(confusion)[occurs] / totals[occurs]))


def accuracy(confusion: Counts) -> float:
    """The share on the diagonal."""
    return float(np.trace(confusion) / confusion.sum())


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
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    draws = [np.concatenate([generator.choice(group, len(group)) for group in groups]) for _ in range(_N_DRAWS)]

    def with_interval(figure: Callable[[Counts], float], by: Counts) -> Interval:
        lower, upper = np.percentile([figure(by[draw].sum(axis=0)) for draw in draws], (2.5, 97.5))
        return Interval(figure(by.sum(axis=0)), float(lower), float(upper))

    return Figures(
        n_people=len(people),
        n_windows=len(label_index),
        balanced_accuracy_by_person=with_interval(balanced_accuracy, by_person),
        accuracy_by_person=with_interval(accuracy, by_person),
        balanced_accuracy_by_window=with_interval(balanced_accuracy, by_window),
        accuracy_by_window=with_interval(accuracy, by_window),
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
