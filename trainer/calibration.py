"""How far a probability may be believed, and from which one on an answer is given at all.

Enters: probabilities with the truth, of windows or people; for the threshold those of validation people's walks.
Leaves: calibration figures, curves, and the least confidence that goes into the bundle. Confidence is what the edge
has in hand when it decides: the smoothed probability of the held class, by `edge.stream.decision` itself. Nothing here
may see test people before the threshold stands.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from edge.stream.decision import DecisionMaker
from trainer.train_config import DecisionConfig

ROUNDING = 1e-9
"""What two equal shares may differ by: one of ten rows, summed as weights, is 0.10000000000000002."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal width that hold a row, by rising confidence: mean confidence, share right and rows, ``(n,)``."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    n_rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """A point for each confidence that occurs, falling: what is answered from it on, and what of that is wrong.

    ``least_confidence``, ``answered_share`` and ``wrong_share`` have shape ``(n,)``; ``area`` is the mean wrong share
    over all coverages (0 is perfect).
    """

    least_confidence: NDArray[np.float64]
    answered_share: NDArray[np.float64]
    wrong_share: NDArray[np.float64]
    area: float


@dataclass(frozen=True, slots=True)
class RollingRows:
    """Each rolling decision that has a class: its confidence, whether it is right, whose it is, all ``(n,)``."""

    confidence: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    person_ids: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Abstention:
    """The threshold and what it gives on the rows that it was found on; not ``is_met``: the bar is out of reach."""

    least_confidence: float
    answered_share: float
    wrong_share: float
    is_met: bool


def apply_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """``(n_rows, n_labels)`` as `edge.model.Classifier` gives them: to the power of 1 / temperature, sum 1."""
    powers = np.power(probabilities, np.float32(1.0 / temperature))
    scaled: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def reliability(probabilities: NDArray[np.float32], label_index: NDArray[np.int64], n_bins: int = 15) -> Reliability:
    """The leading class's probability against how often it is right; ``(n_rows, n_labels)`` and ``(n_rows,)``."""
    confidence, is_right = _leading(probabilities, label_index)
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    n_rows = np.bincount(bins, minlength=n_bins)
    held = n_rows > 0
    sums = [np.bincount(bins, weights=values, minlength=n_bins) for values in (confidence, is_right)]
    return Reliability(sums[0][held] / n_rows[held], sums[1][held] / n_rows[held], n_rows[held].astype(np.int64))


def expected_calibration_error(
    probabilities: NDArray[np.float32], label_index: NDArray[np.int64], n_bins: int = 15
) -> float:
    """The mean distance of confidence and share right over bins of equal width, 0 to 1, each row weighing the same."""
    bins = reliability(probabilities, label_index, n_bins)
    return float(np.average(np.abs(bins.confidence - bins.accuracy), weights=bins.n_rows))


def risk_coverage(probabilities: NDArray[np.float32], label_index: NDArray[np.int64]) -> RiskCoverage:
    """What is wrong of what is answered, for each least confidence; ``(n_rows, n_labels)`` and ``(n_rows,)``."""
    confidence, is_right = _leading(probabilities, label_index)
    return _risk_coverage(confidence, is_right, np.ones(len(confidence)))


def rolling_decisions(
    probabilities: NDArray[np.float32], decision: DecisionConfig
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The edge's decisions over one walk's windows in order, ``(n_windows, n_labels)``, temperature applied.

    Gives the class held and its smoothed probability for each window from the ``min_windows``-th on.
    """
    maker = DecisionMaker(
        probabilities.shape[1],
        half_life_windows=decision.half_life_windows,
        min_windows=decision.min_windows,
        switch_margin=decision.switch_margin,
        least_confidence=0.0,
    )
    held = [
        (rolling.class_index, rolling.probabilities[rolling.class_index])
        for rolling in map(maker.add, probabilities)
        if rolling.class_index is not None
    ]
    return np.array([index for index, _ in held], np.int64), np.array([value for _, value in held], np.float64)


def rolling_rows(
    probabilities: NDArray[np.float32],
    label_index: NDArray[np.int64],
    person_ids: NDArray[np.str_],
    walk: NDArray[np.int64],
    decision: DecisionConfig,
) -> RollingRows:
    """The rolling decisions of many walks, each begun anew; windows of a walk stand in their order.

    ``probabilities`` is ``(n_windows, n_labels)`` with the temperature applied, the others ``(n_windows,)``.
    """
    confidence, is_right, owners = [], [], []
    for own_walk in np.unique(walk):
        own = np.flatnonzero(walk == own_walk)
        held, own_confidence = rolling_decisions(probabilities[own], decision)
        confidence.append(own_confidence)
        is_right.append(held == label_index[own[0]])
        owners.append(np.repeat(person_ids[own[0]], len(held)))
    return RollingRows(np.concatenate(confidence), np.concatenate(is_right), np.concatenate(owners))


def abstention_threshold(rows: RollingRows, most_wrong_share: float) -> Abstention:
    """The least confidence at which no more than ``most_wrong_share`` of what is answered is wrong.

    People weigh alike, however long they walked. 0 where everything may be answered; where no threshold will do, the
    one with the least wrong share. `TrainingError` where there is no decision at all.
    """
    if len(rows.confidence) == 0:
        raise TrainingError("no walk of the validation people is long enough for a rolling decision: lower min_windows")
    _, person_index, n_rows = np.unique(rows.person_ids, return_inverse=True, return_counts=True)
    curve = _risk_coverage(rows.confidence, rows.is_right, 1.0 / n_rows[person_index])
    is_sound = curve.wrong_share <= most_wrong_share + ROUNDING
    if is_sound[-1]:
        return Abstention(0.0, 1.0, float(curve.wrong_share[-1]), is_met=True)
    sound = np.flatnonzero(is_sound)
    lowest = np.flatnonzero(curve.wrong_share <= curve.wrong_share.min() + ROUNDING)
    place = int(sound[-1] if len(sound) else lowest[-1])
    return Abstention(
        float(curve.least_confidence[place]),
        float(curve.answered_share[place]),
        float(curve.wrong_share[place]),
        is_met=len(sound) > 0,
    )


def _leading(
    probabilities: NDArray[np.float32], label_index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == label_index


def _risk_coverage(
    confidence: NDArray[np.float64], is_right: NDArray[np.bool_], weight: NDArray[np.float64]
) -> RiskCoverage:
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    answered = np.cumsum(weight[order])
    wrong = np.cumsum(np.where(is_right[order], 0.0, weight[order]))
    # No threshold parts rows of the same confidence: a point stands at the last of them.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    answered_share, wrong_share = answered[last] / answered[-1], wrong[last] / answered[last]
    area = float(np.sum(np.diff(answered_share, prepend=0.0) * wrong_share))
    return RiskCoverage(falling[last], answered_share, wrong_share, area)
