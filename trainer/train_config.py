"""What a training run may be told, read from ``configs/train/*.toml``: typed, unknown keys are errors."""

from pathlib import Path
from typing import Literal

import msgspec

from edge.errors import ConfigError
from edge.paths import configs_dir
from edge.toml import read_toml


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are errors."""


class NetworkConfig(_Section, frozen=True):
    """The layers, see `trainer.network.NetworkParameters`."""

    filters: tuple[int, ...]
    lstm_units: tuple[int, ...]
    learning_rate: float
    regularisation: float
    input_noise: float


class FitConfig(_Section, frozen=True):
    """How long and how, see `trainer.training.FitSettings`."""

    n_epochs: int
    batch_size: int
    patience_epochs: int
    class_weights: Literal["none", "balanced"]


class SplitConfig(_Section, frozen=True):
    """Shares of the people of each class."""

    validation_share: float
    test_share: float
    seed: int


class SignalConfig(_Section, frozen=True):
    """The signal path that the bundle will ask of the edge."""

    sample_rate_hz: float
    window_samples: int
    hop_samples: int
    max_bridged_gap_ms: float
    max_bridged_share: float


class DecisionConfig(_Section, frozen=True):
    """Parameters of `edge.stream.decision`."""

    half_life_windows: float
    min_windows: int
    switch_margin: float


class TrainConfig(_Section, frozen=True):
    """A whole training run."""

    name: str
    windows_per_person: int
    network: NetworkConfig
    fit: FitConfig
    split: SplitConfig
    signal: SignalConfig
    decision: DecisionConfig


def load_train_config(name: str) -> TrainConfig:
    """A configuration by name, or a TOML file of the user's own by its path."""
    path = Path(name) if name.endswith(".toml") else configs_dir() / "train" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (configs_dir() / "train").glob("*.toml")))
        raise ConfigError(f"--config {name}: there is no {path}; known are {known}, or name a TOML file of your own")
    config = read_toml(path, TrainConfig)
    split = config.split
    if not (0 < split.validation_share < 1 and 0 < split.test_share < 1 - split.validation_share):
        raise ConfigError(f"{path}: split shares must be above 0 and leave people to train on")
    if config.windows_per_person < 1 or config.fit.n_epochs < 1 or config.fit.batch_size < 1:
        raise ConfigError(f"{path}: windows_per_person, fit.n_epochs and fit.batch_size must be 1 or more")
    return config
