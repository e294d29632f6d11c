"""How well scores of people order them: the area under the ROC curve, by person, also for thousands of draws at once.

Scores and labels of people go in, areas come out. No threshold is chosen here, and windows are never ranked.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate import Floats, divide

Scores = NDArray[np.float32] | NDArray[np.float64]


def auroc(scores: Scores, truth: NDArray[np.int64], folds: NDArray[np.int64] | None = None) -> float | None:
    """Area under the ROC curve, each label against the rest, mean over labels; None where no label has a rest.

    ``scores`` has shape ``(n_people, n_labels)``, ``truth`` ``(n_people,)``. With ``folds`` ``(n_people,)`` only people
    of the same fold are compared: the networks of two folds need not mean the same by the same score, and a majority
    vote would else seem worse than chance.
    """
    value = aurocs(scores, truth, np.ones((1, len(truth))), folds)[0]
    return None if np.isnan(value) else float(value)


def aurocs(
    scores: Scores,
    truth: NDArray[np.int64],
    weights: Floats,
    folds: NDArray[np.int64] | None = None,
) -> Floats:
    """`auroc` of each weighting ``(n, n_people)`` of the people, such as `draw_people` makes; nan where undefined."""
    by_label = []
    for label in range(scores.shape[1]):
        own, rest = np.flatnonzero(truth == label), np.flatnonzero(truth != label)
        lead = scores[own, label][:, np.newaxis] - scores[rest, label]
        pairs = np.ones_like(lead) if folds is None else (folds[own][:, np.newaxis] == folds[rest]).astype(np.float64)
        won = pairs * ((lead > 0) + 0.5 * (lead == 0))
        n_pairs = ((weights[:, own] @ pairs) * weights[:, rest]).sum(axis=1)
        n_won = ((weights[:, own] @ won) * weights[:, rest]).sum(axis=1)
        by_label.append(divide(n_won, n_pairs))
    stacked = np.stack(by_label, axis=1)
    return divide(np.nansum(stacked, axis=1), (~np.isnan(stacked)).sum(axis=1))
