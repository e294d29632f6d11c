"""What a training run may be told, read from ``configs/train/*.toml``: typed, unknown keys are errors."""

from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.errors import ConfigError
from edge.manifest import decision_problems, name_problems, window_problems
from edge.paths import configs_dir
from edge.stream.screen import Mounting, ScreenSpec, screen_problems
from edge.toml import read_toml

ProtocolName = Literal["window", "person", "transfer"]
# scikit-learn's and numpy's older generator take no larger ones.
_HIGHEST_SEED: Final = 2**32 - 1


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are errors."""


class NetworkConfig(_Section, frozen=True):
    """The layers, see `trainer.network.build_network`; the defaults are the best network of the paper."""

    filters: tuple[int, ...] = (54,)
    lstm_units: tuple[int, ...] = (29, 95, 94, 46)
    learning_rate: float = 0.0268
    regularisation: float = 0.0004
    input_noise: float = 0.0
    haar_blocks: bool = False

    def __post_init__(self) -> None:
        if not self.filters or not self.lstm_units or min(*self.filters, *self.lstm_units) < 1:
            raise ValueError("network.filters and network.lstm_units need one layer or more, of one unit or more")
        if not self.learning_rate > 0 or not self.regularisation >= 0 or not self.input_noise >= 0:
            raise ValueError("network.learning_rate must be above 0, regularisation and input_noise 0 or more")


class FitConfig(_Section, frozen=True):
    """How long and how, see `trainer.training.fit`."""

    n_epochs: int = 25
    batch_size: int = 64
    patience_epochs: int = 3
    schedule: Literal["constant", "cosine"] = "constant"
    fresh_windows: bool = False

    def __post_init__(self) -> None:
        if self.n_epochs < 1 or self.batch_size < 1 or self.patience_epochs < 1:
            raise ValueError("fit.n_epochs, fit.batch_size and fit.patience_epochs must be 1 or more")


class ImbalanceConfig(_Section, frozen=True):
    """What is done for the rare class, see `trainer.imbalance`; all off is the paper."""

    class_weights: Literal["none", "balanced"] = "none"
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    focal_gamma: float = 2.0
    sampling: Literal["all", "balanced"] = "all"
    smote: bool = False

    def __post_init__(self) -> None:
        if not self.focal_gamma >= 0:
            raise ValueError("imbalance.focal_gamma must be 0 or more")


class AugmentConfig(_Section, frozen=True):
    """How far each training window is changed anew in each epoch, see `trainer.augment`; all 0 is off.

    Each is a standard deviation, but ``mirror``, the share of windows that become those of the other foot.
    """

    rotation_deg: float = 0.0
    gain: float = 0.0
    acc_bias_m_s2: float = 0.0
    gyr_bias_rad_s: float = 0.0
    time_stretch: float = 0.0
    acc_noise_m_s2: float = 0.0
    gyr_noise_rad_s: float = 0.0
    mirror: float = 0.0

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        if bad := [name for name, value in values.items() if not value >= 0]:
            raise ValueError(f"augment.{bad[0]} must be 0 or more")
        if self.mirror > 1 or self.time_stretch > 0.3 or self.gain > 0.5 or self.rotation_deg > 45:
            raise ValueError("augment: mirror to 1, time_stretch to 0.3, gain to 0.5, rotation_deg to 45 at most")

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all."""
        return any(getattr(self, name) > 0 for name in self.__struct_fields__)


class ProtocolConfig(_Section, frozen=True):
    """Who is trained on and who is tested, see `trainer.protocols`; each protocol is run for each seed.

    ``window``: windows at random. ``person``: ``n_folds`` folds of people. ``transfer``: from one device to the other
    (``transfer_by`` is ``device`` or the name of a trait).
    """

    run: tuple[ProtocolName, ...] = ("person",)
    seeds: tuple[int, ...] = (1,)
    n_folds: int = 5
    validation_share: float = 0.2
    window_shares: tuple[float, float, float] = (0.75, 0.125, 0.125)
    transfer_by: str = "device"

    def __post_init__(self) -> None:
        if self.n_folds < 2 or not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("protocol.n_folds must be 2 or more, protocol.seeds one or more different numbers")
        if not all(0 <= seed <= _HIGHEST_SEED for seed in self.seeds):
            raise ValueError(f"protocol.seeds must be within 0-{_HIGHEST_SEED}")
        if len(set(self.run)) != len(self.run):
            raise ValueError("protocol.run must name each protocol once")
        if not 0 < self.validation_share < 0.5:
            raise ValueError("protocol.validation_share must be above 0 and below 0.5")
        if not min(self.window_shares) > 0 or not abs(sum(self.window_shares) - 1) <= 1e-9:
            raise ValueError("protocol.window_shares must be three shares above 0 that make 1")


class BundleConfig(_Section, frozen=True):
    """The people who make the bundle: validation and test shares of each class, the rest is trained on."""

    validation_share: float = 0.15
    test_share: float = 0.2
    seed: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.validation_share < 1 and 0 < self.test_share < 1 - self.validation_share):
            raise ValueError("bundle: shares must be above 0 and leave people to train on")
        if not 0 <= self.seed <= _HIGHEST_SEED:
            raise ValueError(f"bundle.seed must be within 0-{_HIGHEST_SEED}")


class SignalConfig(_Section, frozen=True):
    """The signal path that the bundle will ask of the edge; limits are those of its manifest.

    ``windows`` are ``all``, standing and sitting included, or only those that the edge would classify, ``judged`` by
    its own screen at its defaults, see `trainer.cutting`. Where they are judged, ``mounting`` is the edge's
    ``screen.mounting``; it does nothing where gravity was removed.
    """

    sample_rate_hz: float = 104.0
    window_samples: int = 200
    hop_samples: int = 50
    max_bridged_gap_ms: float = 40.0
    max_bridged_share: float = 0.1
    wavelet_level: int | None = None
    windows: Literal["all", "judged"] = "all"
    mounting: Mounting = ScreenSpec().mounting

    def __post_init__(self) -> None:
        for problem in window_problems(
            self.sample_rate_hz,
            self.window_samples,
            self.hop_samples,
            self.max_bridged_gap_ms,
            self.max_bridged_share,
        ):
            raise ValueError(f"signal.{problem}")
        if self.windows == "judged":
            for problem in screen_problems(self.sample_rate_hz, self.window_samples):
                raise ValueError(f'signal.{problem}; lengthen it, or take windows = "all"')
        if self.wavelet_level is not None and self.wavelet_level < 1:
            raise ValueError(f"signal.wavelet_level is {self.wavelet_level}, it must be 1 or more, or left out")


class DecisionConfig(_Section, frozen=True):
    """Parameters of `edge.stream.decision`, and what share of the answers to validation people may be wrong."""

    half_life_windows: float = 8.0
    min_windows: int = 4
    switch_margin: float = 0.05
    most_wrong_share: float = 0.1

    def __post_init__(self) -> None:
        for problem in decision_problems(self.half_life_windows, self.min_windows, self.switch_margin):
            raise ValueError(f"decision.{problem}")
        if not 0 <= self.most_wrong_share <= 1:
            raise ValueError(f"decision.most_wrong_share is {self.most_wrong_share}, not within 0-1")


class Variant(_Section, frozen=True):
    """Another network beside the main one, on the same folds: what it names replaces the main one's section."""

    name: str
    network: NetworkConfig | None = None
    fit: FitConfig | None = None
    imbalance: ImbalanceConfig | None = None
    augment: AugmentConfig | None = None


class TrainConfig(_Section, frozen=True):
    """A whole training run. ``windows_per_person`` caps training and validation people; 0 is no cap."""

    name: str
    target: str | None = None
    windows_per_person: int = 0
    network: NetworkConfig = NetworkConfig()
    fit: FitConfig = FitConfig()
    imbalance: ImbalanceConfig = ImbalanceConfig()
    augment: AugmentConfig = AugmentConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    bundle: BundleConfig = BundleConfig()
    signal: SignalConfig = SignalConfig()
    decision: DecisionConfig = DecisionConfig()
    baselines: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()

    def __post_init__(self) -> None:
        if self.windows_per_person < 0:
            raise ValueError("windows_per_person must be 0 (no cap) or more")
        for problem in name_problems(self.name):
            raise ValueError(problem)
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("variants: each needs a name of its own")
        _refuse_smote_with_others("", self.fit, self.imbalance)
        for variant in self.variants:
            where = f'variants: "{variant.name}": '
            _refuse_smote_with_others(where, variant.fit or self.fit, variant.imbalance or self.imbalance)


def _refuse_smote_with_others(where: str, fit: FitConfig, imbalance: ImbalanceConfig) -> None:
    if imbalance.smote and fit.fresh_windows:
        raise ValueError(f"{where}imbalance.smote and fit.fresh_windows exclude each other: SMOTE needs fixed windows")
    if imbalance.smote and imbalance.sampling == "balanced":
        raise ValueError(
            f"{where}imbalance.smote and balanced sampling exclude each other: both fill the rare class up"
        )


def load_train_config(name: str) -> TrainConfig:
    """A configuration by name, or a TOML file of the user's own by its path."""
    path = Path(name) if name.endswith(".toml") else configs_dir() / "train" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (configs_dir() / "train").glob("*.toml")))
        raise ConfigError(f"--config {name}: there is no {path}; known are {known}, or name a TOML file of your own")
    return read_toml(path, TrainConfig)
