"""The signal path in one place: samples and their device times in, windows of coefficients out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.stream.preprocess import SignalSpec
from edge.stream.resample import Resampled, Resampler
from edge.stream.windows import Window, Windower
from firmware_bridge.channels import Samples


@dataclass(frozen=True, slots=True)
class PathCounts:
    """What came in, what was missing, what was made of it; input samples unless named otherwise."""

    n_samples: int
    n_bridged_gaps: int
    n_bridged_samples: int
    n_long_gaps: int
    n_long_gap_samples: int
    n_resampled: int
    n_outliers: int
    n_windows: int
    n_windows_refused: int


class SignalPath:
    """Resample, clean, scale, window, transform: the same object for live, replay and trainer."""

    def __init__(self, spec: SignalSpec, rate_in_hz: float) -> None:
        self.spec = spec
        self._resampler = Resampler(rate_in_hz, spec.rate_hz, spec.max_bridged_gap_ms)
        self._windower = Windower(spec)
        self._n_windows = 0
        self.latest: list[Resampled] = []
        """What the last call resampled, in SI units: for whoever draws the signal."""

    def push(self, time_ns: NDArray[np.int64], samples: Samples) -> list[Window]:
        """``(n,)`` device times and ``(n, 6)`` samples in; the windows complete by now out."""
        return self._cut(self._resampler.push(time_ns, samples))

    def finish(self) -> list[Window]:
        """End the stretch: what is pushed next does not connect to what came before."""
        return self._cut(self._resampler.finish())

    def _cut(self, pieces: list[Resampled]) -> list[Window]:
        self.latest = pieces
        windows = [window for piece in pieces for window in self._windower.push(piece)]
        self._n_windows += len(windows)
        return windows

    @property
    def counts(self) -> PathCounts:
        """The counts so far."""
        gaps = self._resampler.counts
        return PathCounts(
            n_samples=gaps.n_samples,
            n_bridged_gaps=gaps.n_bridged_gaps,
            n_bridged_samples=gaps.n_bridged_samples,
            n_long_gaps=gaps.n_long_gaps,
            n_long_gap_samples=gaps.n_long_gap_samples,
            n_resampled=self._windower.n_samples,
            n_outliers=self._windower.n_outliers,
            n_windows=self._n_windows,
            n_windows_refused=self._windower.n_refused,
        )


def windows_of(time_ns: NDArray[np.int64], samples: Samples, *, rate_in_hz: float, spec: SignalSpec) -> list[Window]:
    """All windows of a whole recording: the batch form, used by the trainer."""
    path = SignalPath(spec, rate_in_hz)
    return path.push(time_ns, samples) + path.finish()
