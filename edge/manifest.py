"""The contract of a model, as it stands in a bundle's ``manifest.json``: the fields, and what each may hold.

Enters: a decoded `Manifest`. Leaves: the list of what is wrong with it, in words that name the field. This
module reads no file and knows no interpreter; `edge.bundle` does the reading and the hashes. The trainer's
configuration asks the same questions before it trains.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec

from edge.stream.gate import MIN_RATE_HZ
from edge.stream.preprocess import n_coefficients
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS, N_CHANNELS

SCHEMA_VERSION: Final = 1
FRAME: Final = "foot"
LOWEST_RATE_HZ: Final = MIN_RATE_HZ
"""The screen's: no command runs a model without it."""
HIGHEST_RATE_HZ: Final = 1000.0
LONGEST_WINDOW_SAMPLES: Final = 8192


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown and missing fields are errors."""


class OutlierLimits(_Strict, frozen=True):
    """Values beyond these limits, one pair a channel, are set to the limit; learned from the training people."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Scaler(_Strict, frozen=True):
    """(x - mean) / deviation, a value a channel, in the channels' units."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class Wavelet(_Strict, frozen=True):
    """``pywt.wavedec(window, name, level=level)``, coefficients concatenated coarse to fine."""

    name: Literal["db1"]
    level: int
    n_coefficients: int


class Quantisation(_Strict, frozen=True):
    """real = scale * (number - zero_point), for the numbers of a tensor; float32 has scale 0."""

    dtype: Literal["int8", "float32"]
    scale: float
    zero_point: int


class Agreement(_Strict, frozen=True):
    """How far a variant gives what the float network gives, over windows of people not trained on."""

    n_windows: int
    raw: float
    raw_interval_95: tuple[float, float]
    with_margin: float
    n_windows_with_margin: int
    max_abs_probability_difference: float
    mean_abs_probability_difference: float
    balanced_accuracy_by_person: float
    balanced_accuracy_by_person_float: float


class Variant(_Strict, frozen=True):
    """One file of the bundle and what was measured of it."""

    file: str
    sha256: str
    n_bytes: int
    input: Quantisation
    output: Quantisation
    agreement: Agreement


class Decision(_Strict, frozen=True):
    """Parameters of `edge.stream.decision`; with a ``least_confidence`` of 0 it never abstains."""

    half_life_windows: float
    min_windows: int
    switch_margin: float
    least_confidence: float


class Training(_Strict, frozen=True):
    """Where the model comes from; ``trained_on`` starts with ``synthetic`` where no people were recorded.

    ``windows``: trained and tested on ``all`` windows, standing included, or on those that the edge's screen passes,
    ``judged`` with the sensors' ``mounting`` trusted or corrected.
    """

    trained_on: str
    dataset: str
    split: str
    seed: int
    code_version: str
    n_people: dict[str, int]
    figures: dict[str, float]
    windows: Literal["all", "judged"] = "all"
    mounting: Literal["correct", "trust"] = "trust"

    @property
    def in_foot_frame(self) -> bool:
        """Trained in the foot's own frame; otherwise on sensors that slope as the insteps do that they sat on."""
        return self.mounting == "correct" or self.trained_on.startswith("synthetic")


class Manifest(_Strict, frozen=True):
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


def manifest_problems(manifest: Manifest) -> Iterator[str]:
    """What is wrong with a manifest, a line each that begins with the field's name; none if it is sound."""
    if manifest.schema_version != SCHEMA_VERSION:
        yield f"schema_version is {manifest.schema_version}, this program reads version {SCHEMA_VERSION}"
    yield from name_problems(manifest.name)
    if not _is_time(manifest.created):
        yield f"created is {manifest.created!r}, no ISO 8601 time with its zone"
    labels = manifest.labels
    if len(labels) < 2 or len(set(labels)) != len(labels) or not all(map(_is_text, labels)):
        yield "labels must be two or more different texts"
    yield from _signal_problems(manifest)
    yield from _wavelet_problems(manifest)
    if not _positive(manifest.temperature):
        yield f"temperature is {manifest.temperature}, it must be above 0"
    decision = manifest.decision
    for problem in decision_problems(decision.half_life_windows, decision.min_windows, decision.switch_margin):
        yield f"decision.{problem}"
    if not 0 <= decision.least_confidence <= 1:
        yield f"decision.least_confidence is {decision.least_confidence}, not within 0-1"
    if not manifest.variants:
        yield "variants is empty"
    if manifest.default_variant not in manifest.variants:
        yield f"default_variant is {manifest.default_variant!r}, which is none of the variants"
    files = [variant.file for variant in manifest.variants.values()]
    if len(set(files)) != len(files):
        yield "variants: two of them name the same file"
    for name, variant in manifest.variants.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
            yield f"variants: {name!r} is no variant's name (letters, digits, dashes, underscores)"
        yield from (f"variants.{name}.{problem}" for problem in _variant_problems(variant))
    yield from _training_problems(manifest.training, labels)
    if not _is_text(manifest.intended_use):
        yield "intended_use is empty"


def name_problems(name: str) -> Iterator[str]:
    """What is wrong with a model's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        yield "name must be 1 to 64 letters, digits, points, dashes or underscores"


def window_problems(
    sample_rate_hz: float, window_samples: int, hop_samples: int, max_bridged_gap_ms: float, max_bridged_share: float
) -> Iterator[str]:
    """What is wrong with the parameters of windows, a line each that begins with the field's name."""
    if not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:
        yield f"sample_rate_hz is {sample_rate_hz}, not within {LOWEST_RATE_HZ:g}-{HIGHEST_RATE_HZ:g}"
    if not 2 <= window_samples <= LONGEST_WINDOW_SAMPLES:
        yield f"window_samples is {window_samples}, not within 2-{LONGEST_WINDOW_SAMPLES}"
    if not 1 <= hop_samples <= window_samples:
        yield f"hop_samples is {hop_samples}, not within 1-{window_samples} (the window)"
    if not 0 <= max_bridged_gap_ms <= 1000:
        yield f"max_bridged_gap_ms is {max_bridged_gap_ms}, not within 0-1000"
    if not 0 <= max_bridged_share < 1:
        yield f"max_bridged_share is {max_bridged_share}, not from 0 to below 1"


def decision_problems(half_life_windows: float, min_windows: int, switch_margin: float) -> Iterator[str]:
    """What is wrong with the parameters of decisions, a line each that begins with the field's name."""
    if not _positive(half_life_windows):
        yield f"half_life_windows is {half_life_windows}, it must be above 0"
    if min_windows < 1:
        yield f"min_windows is {min_windows}, it must be 1 or more"
    if not (math.isfinite(switch_margin) and switch_margin >= 0):
        yield f"switch_margin is {switch_margin}, it must be 0 or more"


def _signal_problems(manifest: Manifest) -> Iterator[str]:
    yield from window_problems(
        manifest.sample_rate_hz,
        manifest.window_samples,
        manifest.hop_samples,
        manifest.max_bridged_gap_ms,
        manifest.max_bridged_share,
    )
    if manifest.channels != CHANNELS:
        yield f"channels must be {' '.join(CHANNELS)}, in this order"
    if manifest.units != CHANNEL_UNITS:
        yield f"units must be {' '.join(CHANNEL_UNITS)}, in this order"
    if manifest.frame != FRAME:
        yield f"frame is {manifest.frame!r}, this program works in the {FRAME!r} frame"
    limits, scaler = manifest.outlier_limits, manifest.scaler
    for field, values in (
        ("outlier_limits.lower", limits.lower),
        ("outlier_limits.upper", limits.upper),
        ("scaler.mean", scaler.mean),
        ("scaler.deviation", scaler.deviation),
    ):
        if len(values) != N_CHANNELS or not all(map(math.isfinite, values)):
            yield f"{field} must be {N_CHANNELS} finite numbers"
    if any(lower >= upper for lower, upper in zip(limits.lower, limits.upper, strict=False)):
        yield "outlier_limits.lower must be below outlier_limits.upper in each channel"
    if any(deviation <= 0 for deviation in scaler.deviation):
        yield "scaler.deviation must be above 0 in each channel"


def _wavelet_problems(manifest: Manifest) -> Iterator[str]:
    window_samples, wavelet = manifest.window_samples, manifest.wavelet
    max_level = max(window_samples, 1).bit_length() - 1
    if not 1 <= wavelet.level <= max_level:
        yield f"wavelet.level is {wavelet.level}, not within 1-{max_level} for {window_samples} samples"
        return
    expected = n_coefficients(window_samples, wavelet.level)
    if wavelet.n_coefficients != expected:
        yield (
            f"wavelet.n_coefficients is {wavelet.n_coefficients}, but level {wavelet.level} "
            f"of {window_samples} samples gives {expected}"
        )


def _variant_problems(variant: Variant) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.tflite", variant.file):
        yield f"file is {variant.file!r}, it must be a plain name that ends in .tflite, without a folder"
    if not re.fullmatch(r"[0-9a-f]{64}", variant.sha256):
        yield "sha256 must be 64 digits of 0-9 and a-f"
    if variant.n_bytes < 1:
        yield f"n_bytes is {variant.n_bytes}, it must be above 0"
    for field, tensor in (("input", variant.input), ("output", variant.output)):
        if tensor.dtype == "float32":
            if tensor.scale != 0 or tensor.zero_point != 0:
                yield f"{field}: float32 has scale 0 and zero_point 0"
        elif not (_positive(tensor.scale) and -128 <= tensor.zero_point <= 127):
            yield f"{field}: int8 has a scale above 0 and a zero_point within -128-127"
    agreement = variant.agreement
    if agreement.n_windows < 1 or not 0 <= agreement.n_windows_with_margin <= agreement.n_windows:
        yield "agreement.n_windows must be above 0 and no less than agreement.n_windows_with_margin"
    for field in (
        "raw",
        "with_margin",
        "max_abs_probability_difference",
        "mean_abs_probability_difference",
        "balanced_accuracy_by_person",
        "balanced_accuracy_by_person_float",
    ):
        if not 0 <= getattr(agreement, field) <= 1:
            yield f"agreement.{field} is {getattr(agreement, field)}, not within 0-1"
    lower, upper = agreement.raw_interval_95
    if not 0 <= lower <= upper <= 1:
        yield f"agreement.raw_interval_95 is [{lower}, {upper}], no interval within 0-1"


def _training_problems(training: Training, labels: tuple[str, ...]) -> Iterator[str]:
    for field in ("trained_on", "dataset", "split", "code_version"):
        if not _is_text(getattr(training, field)):
            yield f"training.{field} is empty"
    if set(training.n_people) != set(labels) or any(count < 0 for count in training.n_people.values()):
        yield "training.n_people must have one count a label"
    if not all(map(math.isfinite, training.figures.values())):
        yield "training.figures must be finite numbers"


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _is_text(value: str) -> bool:
    return bool(value.strip()) and value.isprintable()


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
