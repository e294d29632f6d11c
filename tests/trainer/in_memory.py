"""Training windows that are coefficients in memory, where a test needs no store."""

import numpy as np

from trainer.batches import EpochSource, LabelledWindows, epoch_source
from trainer.imbalance import smote
from trainer.train_config import ImbalanceConfig


def array_source(
    train: LabelledWindows, n_labels: int, imbalance: ImbalanceConfig | None = None, *, seed: int = 0
) -> EpochSource:
    """Nothing can be augmented, the rest is as for a store."""
    imbalance = imbalance or ImbalanceConfig()
    coefficients, label_index = train.coefficients, train.label_index
    if imbalance.smote:
        synthetic, synthetic_label_index = smote(coefficients, label_index, seed=seed)
        coefficients = np.concatenate([coefficients, synthetic])
        label_index = np.concatenate([label_index, synthetic_label_index])
    return epoch_source(label_index, train.person_ids, n_labels, imbalance, lambda rows, _: coefficients[rows])
