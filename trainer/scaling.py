"""Outlier limits and scaler, learned from the training people's samples alone.

Samples at the bundle's rate go in, person by person; limits, mean and deviation a channel come out. People count
alike, however long they walked: each gives the same number of samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import DatasetError
from firmware_bridge.channels import N_CHANNELS, Samples

# The paper removes outliers and does not say how. Beyond the outermost 0.02 % on either side lie the saturated and
# broken samples; heel strikes, which carry the gait, stay inside.
OUTLIER_TAIL: Final = 0.0002
SAMPLES_A_PERSON: Final = 20_000


@dataclass(frozen=True, slots=True)
class Scaling:
    """Arrays of shape ``(6,)``, float32, in the channels' units."""

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


def learn_scaling(people: Iterable[Samples], *, seed: int) -> Scaling:
    """Limits as quantiles, then mean and standard deviation of what lies within them; ``(n, 6)`` samples a person."""
    rng = np.random.default_rng(seed)
    chosen = [
        samples[np.sort(rng.choice(len(samples), SAMPLES_A_PERSON, replace=False))]
        if len(samples) > SAMPLES_A_PERSON
        else samples
        for samples in people
    ]
    everything = np.concatenate(chosen).astype(np.float64)
    lower = np.quantile(everything, OUTLIER_TAIL, axis=0)
    upper = np.quantile(everything, 1.0 - OUTLIER_TAIL, axis=0)
    inside = np.clip(everything, lower, upper)
    deviation = inside.std(axis=0)
    if len(deviation) != N_CHANNELS or not np.all(deviation > 0):
        raise DatasetError("a channel never changes in all training people: these are no recordings of walking")
    lower, upper, mean, deviation = (
        values.astype(np.float32) for values in (lower, upper, inside.mean(axis=0), deviation)
    )
    return Scaling(lower, upper, mean, deviation)
