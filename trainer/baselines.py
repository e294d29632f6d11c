"""What simpler methods make of the same folds: the marks that the network is quoted beside.

A store and a fold go in; what a method answers for validation and test comes out. Each learns from the fold's training
side alone and may look at validation to choose; labels of the test side are copied into the answers and never read.
People weigh alike within their class, classes weigh alike.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

from edge.errors import TrainingError
from trainer.gait_features import RHYTHM, features_of
from trainer.minirocket import N_KERNELS, fit_minirocket
from trainer.protocols import Fold
from trainer.store import WindowStore
from trainer.trial import Answers

Indices = NDArray[np.int64]


def balanced_weights(label_index: Indices, subject: Indices) -> NDArray[np.float64]:
    """A weight a row, ``(n,)``, mean 1: the same sum for each class, in a class for each person."""
    _, person, n_rows = np.unique(subject, return_inverse=True, return_counts=True)
    people_of_class = np.bincount(label_index, weights=1.0 / n_rows[person])
    sums = n_rows[person] * people_of_class[label_index]
    weights: NDArray[np.float64] = 1.0 / sums
    weights /= weights.mean()
    return weights


def majority(store: WindowStore, fold: Fold, *, seed: int) -> tuple[Answers, Answers]:
    """The shares of the classes among training people, for everybody."""
    del seed
    people = np.unique(store.subject[fold.train])
    shares = np.bincount(store.label_index[people], minlength=len(store.labels)) / len(people)

    def answers(windows: Indices) -> Answers:
        walks = np.unique(store.walk[windows])
        return _of_walks(store, walks, np.tile(shares, (len(walks), 1)))

    return answers(fold.validation), answers(fold.test)


def gait_speed(store: WindowStore, fold: Fold, *, seed: int) -> tuple[Answers, Answers]:
    """Logistic regression on cadence and stride time with their squares; even odds where a walk has no rhythm."""
    del seed
    rhythm = features_of(store).columns(RHYTHM)
    walks, label_index, weights = _training_walks(store, fold)
    told = np.isfinite(rhythm[walks]).all(axis=1)
    _require_classes(store, label_index[told], "a walk with a rhythm")
    model = make_pipeline(
        PolynomialFeatures(2, include_bias=False), StandardScaler(), LogisticRegression(max_iter=1000)
    )
    model.fit(rhythm[walks[told]], label_index[told], logisticregression__sample_weight=weights[told])

    def answers(windows: Indices) -> Answers:
        own = np.unique(store.walk[windows])
        probabilities = np.full((len(own), len(store.labels)), 1 / len(store.labels))
        found = np.isfinite(rhythm[own]).all(axis=1)
        if found.any():
            probabilities[found] = model.predict_proba(rhythm[own[found]])
        return _of_walks(store, own, probabilities)

    return answers(fold.validation), answers(fold.test)


def hand_features(store: WindowStore, fold: Fold, *, seed: int) -> tuple[Answers, Answers]:
    """Gradient boosting on the figures of `trainer.gait_features`."""
    values = features_of(store).values
    walks, label_index, weights = _training_walks(store, fold)
    _require_classes(store, label_index, "a training walk")
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=8,
        # One recording a person leaves a hundred rows or fewer: leaves of 20 could not part them at all.
        min_samples_leaf=max(2, min(20, len(walks) // 50)),
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    )
    # A thousand rows are too few to share out: threads would wait for each other, and for other trials' threads.
    with threadpool_limits(1, user_api="openmp"):
        model.fit(values[walks], label_index, sample_weight=weights)

    def answers(windows: Indices) -> Answers:
        own = np.unique(store.walk[windows])
        return _of_walks(store, own, model.predict_proba(values[own]))

    return answers(fold.validation), answers(fold.test)


def minirocket(store: WindowStore, fold: Fold, *, seed: int, n_kernels: int = N_KERNELS) -> tuple[Answers, Answers]:
    """MiniRocket's kernels on windows, a ridge on what they give, see `trainer.minirocket`."""
    _require_classes(store, store.labels_of(fold.train), "a training window")
    weights = [
        balanced_weights(store.labels_of(windows), store.subject[windows]) for windows in (fold.train, fold.validation)
    ]
    model = fit_minirocket(store, fold.train, weights[0], fold.validation, weights[1], seed=seed, n_kernels=n_kernels)

    def answers(windows: Indices) -> Answers:
        return Answers(
            "window", model.probabilities(store, windows), store.labels_of(windows), store.person_ids(windows)
        )

    return answers(fold.validation), answers(fold.test)


BaselineFunction = Callable[..., tuple[Answers, Answers]]
"""``(store, fold, *, seed)`` to the answers for validation and test."""

BASELINES: Final[dict[str, BaselineFunction]] = {
    "majority": majority,
    "gait-speed": gait_speed,
    "hand-features": hand_features,
    "minirocket": minirocket,
}


def _training_walks(store: WindowStore, fold: Fold) -> tuple[Indices, Indices, NDArray[np.float64]]:
    walks = np.unique(store.walk[fold.train])
    subject = store.walk_subject[walks]
    label_index = store.label_index[subject]
    return walks, label_index, balanced_weights(label_index, subject)


def _of_walks(store: WindowStore, walks: Indices, probabilities: NDArray[Any]) -> Answers:
    subject = store.walk_subject[walks]
    people = np.array(store.subject_ids)[subject]
    return Answers("walk", probabilities.astype(np.float32), store.label_index[subject], people)


def _require_classes(store: WindowStore, label_index: Indices, what: str) -> None:
    missing = sorted(set(range(len(store.labels))) - set(label_index.tolist()))
    if missing:
        raise TrainingError(f"nobody who is {store.labels[missing[0]]} has {what}: a class can't be learned from none")
