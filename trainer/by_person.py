"""The folds of a seed put together again: for each person and seed one answer, whichever fold tested that person.

Results of trials go in, arrays of seeds by people come out. Nothing is averaged and nothing is drawn here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.calibration import apply_temperature
from trainer.evaluate import Counts, mean_log_probabilities, person_labels
from trainer.trial import TrialResult

NOT_TESTED = -1


@dataclass(frozen=True, slots=True)
class Pooled:
    """One method under one protocol. Arrays are ``(n_seeds, n_people)`` but for ``truth`` ``(n_people,)``.

    ``answers`` holds the class index, ``folds`` the index into ``fold_names``, both `NOT_TESTED` where a seed didn't
    test that person; ``scores`` ``(n_seeds, n_people, n_labels)`` float32 are the normalised mean probabilities, each
    fold's temperature applied.
    """

    people: NDArray[np.str_]
    truth: NDArray[np.int64]
    seeds: tuple[int, ...]
    fold_names: tuple[str, ...]
    answers: NDArray[np.int64]
    folds: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def n_labels(self) -> int:
        """How many classes there are."""
        return int(self.scores.shape[2])

    def tested(self, seed_index: int) -> NDArray[np.int64]:
        """The people whom a seed tested, as indices."""
        return np.flatnonzero(self.answers[seed_index] != NOT_TESTED)

    def confusions_by_person(self, seed_index: int) -> Counts:
        """One matrix a person ``(n_people, n_labels, n_labels)`` with a single 1, or none where not tested."""
        by_person = np.zeros((len(self.people), self.n_labels, self.n_labels), np.int64)
        tested = self.tested(seed_index)
        by_person[tested, self.truth[tested], self.answers[seed_index, tested]] = 1
        return by_person


def pool_by_person(results: Sequence[TrialResult]) -> Pooled:
    """Put the trials of one method under one protocol together.

    `ValueError` where a seed tests a person twice, a person has two labels, or there is nothing to pool.
    """
    if not results:
        raise ValueError("no results to pool")
    tests = [result.test for result in results]
    ids = np.concatenate([test.person_ids for test in tests])
    people = np.unique(ids)
    truth = person_labels(np.concatenate([test.label_index for test in tests]), ids)
    seeds = tuple(sorted({result.seed for result in results}))
    fold_names = tuple(sorted({result.fold for result in results}))
    shape = (len(seeds), len(people))
    answers, folds = np.full(shape, NOT_TESTED, np.int64), np.full(shape, NOT_TESTED, np.int64)
    scores = np.zeros((*shape, tests[0].probabilities.shape[1]), np.float32)
    for result in results:
        own, means = mean_log_probabilities(result.test.probabilities, result.test.person_ids)
        place = (seeds.index(result.seed), np.searchsorted(people, own))
        if (answers[place] != NOT_TESTED).any():
            raise ValueError(f"seed {result.seed} tests a person twice: {result.fold} and a fold before it")
        likely = np.exp((means - means.max(axis=1, keepdims=True)) / result.temperature)
        answers[place] = np.argmax(means, axis=1)
        folds[place] = fold_names.index(result.fold)
        scores[place] = likely / likely.sum(axis=1, keepdims=True)
    return Pooled(people, truth, seeds, fold_names, answers, folds, scores)


def window_confusions(results: Sequence[TrialResult], pooled: Pooled) -> Counts:
    """By seed and person, their windows counted: ``(n_seeds, n_people, n_labels, n_labels)``."""
    n_people, n_labels = len(pooled.people), pooled.n_labels
    counts = np.zeros((len(pooled.seeds), n_people, n_labels, n_labels), np.int64)
    for result in results:
        test = result.test
        person = np.searchsorted(pooled.people, test.person_ids)
        cell = (person * n_labels + test.label_index) * n_labels + np.argmax(test.probabilities, axis=1)
        own = np.bincount(cell, minlength=n_people * n_labels**2).reshape(n_people, n_labels, n_labels)
        counts[pooled.seeds.index(result.seed)] += own
    return counts


def test_rows(
    results: Sequence[TrialResult],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """All test rows: probabilities as answered, with each fold's temperature, ``(n_rows, n_labels)``, and the truth."""
    tests = [result.test for result in results]
    return (
        np.concatenate([test.probabilities for test in tests]),
        np.concatenate([apply_temperature(result.test.probabilities, result.temperature) for result in results]),
        np.concatenate([test.label_index for test in tests]),
    )
