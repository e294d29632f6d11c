"""What happens to a window's numbers between the resampler and the network: outliers, scale, wavelet coefficients.

Shared with the trainer: what is learned there (limits, mean, deviation) is applied here, and only here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pywt
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples

WAVELET: Final = "db1"


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """All that the signal path has to know; the bundle carries it.

    ``outlier_lower``, ``outlier_upper``, ``mean`` and ``deviation`` have shape ``(6,)``, in the channels' units.
    """

    rate_hz: float
    window_samples: int
    hop_samples: int
    max_bridged_gap_ms: float
    max_bridged_share: float
    outlier_lower: NDArray[np.float32]
    outlier_upper: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    wavelet_level: int

    def __post_init__(self) -> None:
        for name in ("outlier_lower", "outlier_upper", "mean", "deviation"):
            if getattr(self, name).shape != (N_CHANNELS,):
                raise ValueError(f"{name} must have shape ({N_CHANNELS},)")
        if not 0 < self.hop_samples <= self.window_samples:
            raise ValueError("hop_samples must lie in [1, window_samples]")

    @property
    def n_coefficients(self) -> int:
        """Coefficients a channel: 203 for 200 samples at the largest level."""
        return n_coefficients(self.window_samples, self.wavelet_level)


def n_coefficients(window_samples: int, level: int) -> int:
    """How many db1 coefficients a window has at that level: each step halves, rounding up."""
    total, approximation = 0, window_samples
    for _ in range(level):
        approximation = (approximation + 1) // 2
        total += approximation
    return total + approximation


def max_level(window_samples: int) -> int:
    """The level that ``pywt.wavedec`` takes where none is given, as in the paper."""
    return int(pywt.dwt_max_level(window_samples, pywt.Wavelet(WAVELET).dec_len))


def clean_and_scale(samples: Samples, spec: SignalSpec) -> tuple[Samples, NDArray[np.bool_]]:
    """Outliers set to their limit, then (x - mean) / deviation.

    Gives the scaled ``(n, 6)`` samples, and ``(n,)``: whether a sample held an outlier. A value is replaced and not
    removed, because removing one would shift the time of all that follow.
    """
    cleaned = np.clip(samples, spec.outlier_lower, spec.outlier_upper)
    is_outlier = np.any(cleaned != samples, axis=1)
    return (cleaned - spec.mean) / spec.deviation, is_outlier


def coefficients(scaled_window: Samples, level: int) -> NDArray[np.float32]:
    """db1 decomposition of a ``(window_samples, 6)`` window, coarse to fine: ``(n_coefficients, 6)`` float32."""
    parts = pywt.wavedec(scaled_window, WAVELET, level=level, axis=0)
    return np.concatenate(parts, dtype=np.float32)
