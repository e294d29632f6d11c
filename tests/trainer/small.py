"""Small networks and easy windows, so that tests of the trainer take seconds. Needs TensorFlow."""

from typing import Any

import msgspec
import numpy as np

from trainer.batches import LabelledWindows
from trainer.network import build_network
from trainer.train_config import NetworkConfig

N_COEFFICIENTS = 16
SMALL = NetworkConfig(filters=(4,), lstm_units=(8,), learning_rate=0.02, regularisation=0.0001)


def small_network(seed: int, lstm_units: tuple[int, ...] = SMALL.lstm_units) -> Any:
    """A network over 16 steps of six channels, three labels."""
    config = msgspec.structs.replace(SMALL, lstm_units=lstm_units)
    return build_network(config, n_coefficients=N_COEFFICIENTS, n_channels=6, n_labels=3, seed=seed)


def easy_windows(n_people: int, per_person: int, *, seed: int, prefix: str) -> LabelledWindows:
    """People of three classes whose channels lie at different levels, with noise between people and windows."""
    generator = np.random.default_rng(seed)
    label_index = np.arange(n_people) % 3
    level = (label_index - 1.0)[:, np.newaxis] * [1, 1, 0, -1, 0, 1] + 0.2 * generator.normal(size=(n_people, 6))
    noise = generator.normal(size=(n_people, per_person, N_COEFFICIENTS, 6))
    coefficients = level[:, np.newaxis, np.newaxis] + noise
    return LabelledWindows(
        coefficients.reshape(-1, N_COEFFICIENTS, 6).astype(np.float32),
        np.repeat(label_index, per_person),
        np.repeat([f"{prefix}{person:03d}" for person in range(n_people)], per_person),
    )
