"""What is done for the rare class: weights in the loss, drawing alike, SMOTE.

Enters: labels and people of training windows. Leaves: weights, probabilities, or synthetic windows. Validation and test
windows never come here. TensorFlow is not imported: a loss leaves as what Keras makes it of.
"""

from typing import Final, Literal

import numpy as np
from imblearn.over_sampling import SMOTE  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from edge.errors import ConfigError, TrainingError
from trainer.train_config import ImbalanceConfig

SMOTE_NEIGHBOURS: Final = 5

Loss = str | dict[str, object]
"""What ``keras.losses.get`` takes."""
CROSS_ENTROPY: Final = "categorical_crossentropy"


def loss_of(config: ImbalanceConfig) -> Loss:
    """The loss to build a network with: cross-entropy, or focal (Lin et al. 2017) with ``focal_gamma`` and no alpha.

    Focal loss counts a window less the surer its right answer is; weights of classes multiply it as they do the other.
    """
    if config.loss == "cross-entropy":
        return CROSS_ENTROPY
    return {"class_name": "CategoricalFocalCrossentropy", "config": {"alpha": 1.0, "gamma": config.focal_gamma}}


def class_weights(
    label_index: NDArray[np.int64],
    n_labels: int,
    mode: Literal["none", "balanced"],
    shares: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """A weight a label ``(n_labels,)``; ``balanced`` makes the labels' sums equal, with a mean of 1 over what is drawn.

    ``shares`` ``(n_windows,)`` are the probabilities of `draw_shares`, where windows are not each drawn once.
    `TrainingError` where a label has no window.
    """
    counts = np.bincount(label_index, minlength=n_labels)
    if (counts == 0).any():
        raise TrainingError(
            f"label {int(np.argmin(counts))} has no training window: a class can't be learned from none"
        )
    if mode == "none":
        return np.ones(n_labels, np.float32)
    drawn = counts / len(label_index) if shares is None else np.bincount(label_index, shares, minlength=n_labels)
    return (1 / (n_labels * drawn)).astype(np.float32)


def draw_shares(label_index: NDArray[np.int64], person_ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """The probability of each window ``(n_windows,)``: classes alike, a class' people alike, a person's windows alike.

    `ConfigError` where windows have no person, as SMOTE's have none.
    """
    if label_index.shape != person_ids.shape:
        raise ConfigError('imbalance: smote and sampling = "balanced" both fill up the rare class: choose one')
    _, label, n_labels = np.unique(label_index, return_inverse=True, return_counts=True)
    # A person with two labels counts once in each.
    _, person = np.unique(person_ids, return_inverse=True)
    pairs, own, n_windows = np.unique(
        np.stack([label, person], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    n_people = np.bincount(pairs[:, 0])
    shares: NDArray[np.float64] = 1 / (len(n_labels) * n_people[label] * n_windows[own.ravel()])
    shares /= shares.sum()
    return shares


def smote(
    coefficients: NDArray[np.float32], label_index: NDArray[np.int64], *, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Synthetic windows ``(n_new, n_coefficients, n_channels)`` and their labels, until every class has as many.

    Each lies on the line between a window and one of its five nearest of the same class (Chawla et al. 2002), by
    Euclidean distance of the scaled coefficients, which for db1 is that of the scaled samples. `TrainingError` where a
    class that needs them has fewer than six windows.
    """
    counts = np.bincount(label_index)
    short = np.flatnonzero((counts <= SMOTE_NEIGHBOURS) & (counts > 0) & (counts < counts.max()))
    if len(short):
        raise TrainingError(
            f"SMOTE: label {short[0]} has {counts[short[0]]} training windows, {SMOTE_NEIGHBOURS + 1} are needed; "
            "use class weights or balanced sampling"
        )
    made = SMOTE(k_neighbors=SMOTE_NEIGHBOURS, random_state=seed)
    flat, labels = made.fit_resample(coefficients.reshape(len(coefficients), -1), label_index)
    n_real = len(coefficients)
    return flat[n_real:].reshape(-1, *coefficients.shape[1:]).astype(np.float32), labels[n_real:].astype(np.int64)
