"""Whether a quantised variant still is the network that was trained: a measurement, and the bar it has to pass.

Enters: float and variant probabilities of the same windows, of people that were not trained on. Leaves: the
manifest's `Agreement`, or a `TrainingError` that says which bar was missed. Runs no model.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Agreement
from edge.errors import TrainingError
from trainer.evaluate import balanced_accuracy, confusion_matrix, decide_by_person, person_labels

MIN_WINDOWS: Final = 2000
FLOAT_MARGIN: Final = 0.1
LEAST_AGREEMENT_WITH_MARGIN: Final = 0.995
MOST_CHANGE_BY_PERSON: Final = 0.01


def measure_agreement(
    float_probabilities: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    label_index: NDArray[np.int64],
    person_ids: NDArray[np.str_],
) -> Agreement:
    """Agreement of a variant with the float network over ``(n_windows, n_labels)`` probabilities of each.

    ``raw`` counts every window, with Wilson's 95 % interval over windows; ``with_margin`` only those where
    the float network's first class leads its second by `FLOAT_MARGIN` or more (0 where there are none).
    """
    answers, float_answers = np.argmax(probabilities, axis=1), np.argmax(float_probabilities, axis=1)
    same = answers == float_answers
    ranked = np.sort(float_probabilities, axis=1)
    has_margin = ranked[:, -1] - ranked[:, -2] >= FLOAT_MARGIN
    difference = np.abs(probabilities.astype(np.float64) - float_probabilities)
    return Agreement(
        n_windows=len(same),
        raw=float(same.mean()),
        raw_interval_95=wilson_interval_95(int(same.sum()), len(same)),
        with_margin=float(same[has_margin].mean()) if has_margin.any() else 0.0,
        n_windows_with_margin=int(has_margin.sum()),
        max_abs_probability_difference=min(float(difference.max()), 1.0),
        mean_abs_probability_difference=float(difference.mean()),
        balanced_accuracy_by_person=_by_person(probabilities, label_index, person_ids),
        balanced_accuracy_by_person_float=_by_person(float_probabilities, label_index, person_ids),
    )


def require_agreement(variant: str, agreement: Agreement) -> None:
    """`TrainingError` unless the variant may ship: the bars stand at the top of this module."""
    require_enough_windows(agreement.n_windows)
    if agreement.with_margin < LEAST_AGREEMENT_WITH_MARGIN:
        raise TrainingError(
            f"variant {variant} agrees with the float network on {agreement.with_margin:.2%} of the "
            f"{agreement.n_windows_with_margin} windows with a margin of {FLOAT_MARGIN}, "
            f"it needs {LEAST_AGREEMENT_WITH_MARGIN:.1%}"
        )
    change = abs(agreement.balanced_accuracy_by_person - agreement.balanced_accuracy_by_person_float)
    if change > MOST_CHANGE_BY_PERSON:
        raise TrainingError(
            f"variant {variant} moves the balanced accuracy by person by {change:.3f}, from "
            f"{agreement.balanced_accuracy_by_person_float:.3f} to {agreement.balanced_accuracy_by_person:.3f}; "
            f"{MOST_CHANGE_BY_PERSON} is allowed"
        )


def require_enough_windows(n_windows: int) -> None:
    """`TrainingError` where agreement would stand on too few windows: known before the training, so asked before it."""
    if n_windows < MIN_WINDOWS:
        raise TrainingError(
            f"the people held out give {n_windows} windows, the agreement of a variant is measured on {MIN_WINDOWS} or "
            "more: hold out more people (bundle.test_share), or allow each more windows (windows_per_person)"
        )


def wilson_interval_95(n_hits: int, n: int) -> tuple[float, float]:
    """Wilson's score interval for a share; sound at 0 and 1 as well."""
    z = 1.959964
    share, weight = n_hits / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _by_person(
    probabilities: NDArray[np.float32], label_index: NDArray[np.int64], person_ids: NDArray[np.str_]
) -> float:
    _, answers = decide_by_person(probabilities, person_ids)
    truth = person_labels(label_index, person_ids)
    return balanced_accuracy(confusion_matrix(truth, answers, probabilities.shape[1]))
