"""What the gait figures themselves say: logistic regression, by person, on the parameters that the twins walk by.

The honest mark beside the network: a network on twins can know no more of the class than the figures the twins were
made from.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from firmware_bridge.walker import Figure, GaitParameters


def gait_features(gait: GaitParameters) -> NDArray[np.float64]:
    """Means and deviations of all gait figures: ``(18,)``."""
    figures = [getattr(gait, name) for name in GaitParameters.__dataclass_fields__]
    return np.array([value for figure in figures if isinstance(figure, Figure) for value in (figure.mean, figure.std)])


def logistic_regression(
    train: Sequence[GaitParameters], train_labels: Sequence[int], test: Sequence[GaitParameters]
) -> NDArray[np.float64]:
    """Probabilities ``(n_test, n_labels)``; classes weigh alike, so that the rare one counts."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    model.fit([gait_features(gait) for gait in train], list(train_labels))
    probabilities: NDArray[np.float64] = model.predict_proba([gait_features(gait) for gait in test])
    return probabilities
