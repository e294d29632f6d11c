"""Gait figures that a hand would compute of a walk: rhythm, swing, how hard, how smooth, how regular.

A store's walks go in, one row of figures each comes out; NaN where a figure cannot be told. Nothing is learned and no
label is read. Nothing here may grow with a walk's length: where the distance is fixed, as in a hospital's corridor,
the duration alone is the speed, and a method that counts would know the class without having looked at the gait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from firmware_bridge.channels import CHANNELS, Samples
from trainer.store import WindowStore

Floats = NDArray[np.float64]

# A stride is two steps: 0.7 s is a run, 2.6 s the slowest shuffle.
SHORTEST_STRIDE_S: Final = 0.7
LONGEST_STRIDE_S: Final = 2.6
_ML_RATE: Final = CHANNELS.index("gyr_y")
# A harmonic of the stride has a lower peak than the stride itself, two strides about the same.
_FIRST_PEAK_SHARE: Final = 0.85
_PEAK_SHARE: Final = 0.4
_STILL_RAD_S: Final = 0.8
_SMOOTHING_S: Final = 0.06

RHYTHM: Final = ("cadence_per_min", "stride_time_s")
_STRIDE_NAMES: Final = (
    *RHYTHM,
    "stride_time_cv",
    "stride_regularity",
    "step_regularity",
    "swing_rate_rad_s",
    "swing_rate_cv",
    "push_rate_rad_s",
    "pitch_range_rad",
    "pitch_range_cv",
    "pitch_speed_rad_s",
    "still_share",
    "harmonic_share",
)
_CHANNEL_FIGURES: Final = ("rms", "p05", "p95", "jerk_rms", "spectral_edge_hz")
_NORM_FIGURES: Final = ("p50", "p90", "p99")
NAMES: Final = (
    *_STRIDE_NAMES,
    *(f"{channel}_{figure}" for channel in CHANNELS for figure in _CHANNEL_FIGURES),
    *(f"{norm}_{figure}" for norm in ("acc", "gyr") for figure in _NORM_FIGURES),
)


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """One row a walk of a store: ``values`` has shape ``(n_walks, len(NAMES))``."""

    values: Floats

    def columns(self, names: Sequence[str]) -> Floats:
        """Some figures of all walks, ``(n_walks, len(names))``."""
        return self.values[:, [NAMES.index(name) for name in names]]


_newest: list[tuple[WindowStore, FeatureTable]] = []


def features_of(store: WindowStore) -> FeatureTable:
    """The figures of every walk of a store; those of the newest store are kept, as they are the same in each fold."""
    if not _newest or _newest[0][0] is not store:
        rows = [walk_features(store.pieces_of_walk(walk), store.rate_hz) for walk in range(len(store.walk_names))]
        _newest[:] = [(store, FeatureTable(np.stack(rows)))]
    return _newest[0][1]


def walk_features(pieces: Sequence[Samples], rate_hz: float) -> Floats:
    """The figures ``(len(NAMES),)`` of a walk in stretches ``(n, 6)``, SI units, foot frame."""
    signals = [piece.astype(np.float64) for piece in pieces]
    longest = max(signals, key=len)
    every = np.concatenate(signals)
    figures = dict.fromkeys(NAMES, np.nan)
    figures |= _stride_figures(signals, longest, rate_hz)
    for index, channel in enumerate(CHANNELS):
        own = every[:, index]
        low, high = np.percentile(own, (5, 95))
        jerk = np.concatenate([np.diff(signal[:, index]) for signal in signals]) * rate_hz
        values = (_rms(own), low, high, _rms(jerk), _spectral_edge_hz(longest[:, index], rate_hz))
        figures |= {f"{channel}_{name}": value for name, value in zip(_CHANNEL_FIGURES, values, strict=True)}
    for norm, columns in (("acc", slice(0, 3)), ("gyr", slice(3, 6))):
        values = np.percentile(np.linalg.norm(every[:, columns], axis=1), (50, 90, 99))
        figures |= {f"{norm}_{name}": value for name, value in zip(_NORM_FIGURES, values, strict=True)}
    return np.array([figures[name] for name in NAMES])


def stride_time_s(ml_rate: Floats, rate_hz: float) -> tuple[float, float]:
    """The period of a medio-lateral rate ``(n,)`` and its autocorrelation there; NaN where it has no period.

    The first peak nearly as high as the highest, within the time a stride takes. The sign of the rate is of no matter.
    """
    lags = _autocorrelation(ml_rate)
    first, last = round(SHORTEST_STRIDE_S * rate_hz), round(LONGEST_STRIDE_S * rate_hz)
    if len(ml_rate) < 2 * first:
        return np.nan, np.nan
    # Beyond half of the walk too few products are left to tell anything.
    within = lags[: min(last, len(ml_rate) // 2) + 2]
    peaks = find_peaks(within)[0]
    peaks = peaks[(peaks >= first) & (within[peaks] > 0)]
    if len(peaks) == 0:
        return np.nan, np.nan
    place = int(peaks[np.flatnonzero(within[peaks] >= _FIRST_PEAK_SHARE * within[peaks].max())[0]])
    before, at, after = within[place - 1 : place + 2]
    vertex = place + 0.5 * (before - after) / (before - 2 * at + after)
    return float(vertex) / rate_hz, float(at)


def _stride_figures(signals: Sequence[Floats], longest: Floats, rate_hz: float) -> dict[str, float]:
    period_s, regularity = stride_time_s(longest[:, _ML_RATE], rate_hz)
    if np.isnan(period_s):
        return {}
    period = period_s * rate_hz
    lags = _autocorrelation(longest[:, _ML_RATE])
    width = max(1, round(_SMOOTHING_S * rate_hz))
    # The swing turns the foot fast one way and briefly: the cube tells which way that is on this sensor.
    sign = 1.0 if np.sum(longest[:, _ML_RATE] ** 3) >= 0 else -1.0
    strides: list[tuple[float, float, float, float]] = []
    still: list[float] = []
    for signal in signals:
        rate = sign * np.convolve(signal[:, _ML_RATE], np.full(width, 1 / width), mode="same")
        still.append(float(np.sum(np.linalg.norm(signal[:, 3:], axis=1) < _STILL_RAD_S)))
        height = _PEAK_SHARE * np.percentile(rate, 98)
        swings = find_peaks(rate, height=height, distance=max(1, round(0.6 * period)))[0]
        for begin, end in pairwise(swings):
            if 0.6 * period <= end - begin <= 1.6 * period:
                turned = np.cumsum(rate[begin:end] - rate[begin:end].mean()) / rate_hz
                strides.append(((end - begin) / rate_hz, rate[end], -rate[begin:end].min(), float(np.ptp(turned))))
    if len(strides) < 2:
        return {"stride_time_s": period_s, "cadence_per_min": 120 / period_s, "stride_regularity": regularity}
    time_s, swing, push, pitch = np.array(strides).T
    middle = np.median(pitch)
    return {
        "cadence_per_min": 120 / float(np.mean(time_s)),
        "stride_time_s": float(np.median(time_s)),
        "stride_time_cv": _spread(time_s),
        "stride_regularity": regularity,
        "step_regularity": float(lags[round(period / 2)]),
        "swing_rate_rad_s": float(np.median(swing)),
        "swing_rate_cv": _spread(swing),
        "push_rate_rad_s": float(np.median(push)),
        "pitch_range_rad": float(middle),
        "pitch_range_cv": _spread(pitch),
        "pitch_speed_rad_s": float(middle / np.median(time_s)),
        "still_share": sum(still) / sum(map(len, signals)),
        "harmonic_share": _harmonic_share(longest[:, _ML_RATE], period_s, rate_hz),
    }


def _autocorrelation(values: Floats) -> Floats:
    """Of each lag ``(n,)``, 1 at lag 0, each divided by the number of its products."""
    centred = values - values.mean()
    n = len(centred)
    spectrum = np.fft.rfft(centred, 2 * n)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n)[:n]
    lags: Floats = sums / np.arange(n, 0, -1)
    lags /= max(lags[0], float(np.finfo(np.float64).tiny))
    return lags


def _spread(values: Floats) -> float:
    """The coefficient of variation by quartiles, which a turn in the middle of a walk does not rule."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float((high - low) / 1.349 / middle)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _power(values: Floats) -> Floats:
    tapered = (values - values.mean()) * np.hanning(len(values))
    power: Floats = np.square(np.abs(np.fft.rfft(tapered)))
    return power


def _spectral_edge_hz(values: Floats, rate_hz: float) -> float:
    """Below it lies 95 % of the power."""
    below: Floats = np.cumsum(_power(values))
    return float(np.searchsorted(below, 0.95 * below[-1]) * rate_hz / len(values))


def _harmonic_share(values: Floats, period_s: float, rate_hz: float) -> float:
    """The share of the power below 10 Hz that lies within a sixth of the stride rate around its multiples."""
    power = _power(values)
    order = np.arange(len(power)) * rate_hz / len(values) * period_s
    low = order < 10 * period_s
    near = (np.abs(order - np.round(order)) < 1 / 6) & (order > 0.5)
    total = float(power[low].sum())
    return float(power[low & near].sum() / total) if total > 0 else np.nan
