"""The signal path in one place: samples and their device times in, windows of coefficients and verdicts on them out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.stream.preprocess import SignalSpec
from edge.stream.resample import Resampled, Resampler
from edge.stream.screen import Screen, ScreenSpec, Verdict
from edge.stream.windows import Window, Windower
from firmware_bridge.channels import Samples


@dataclass(frozen=True, slots=True)
class PathCounts:
    """What came in, what was missing, what was made of it; input samples unless named otherwise.

    ``n_windows`` are those without too many gaps, ``n_windows_refused`` the others.
    """

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
    """Resample, find the foot's frame, clean, scale, window, transform, judge: one object for live, replay and trainer.

    Without a ``screen`` nothing is judged: every window is as good as another, and the frame is the configured one.
    """

    def __init__(self, spec: SignalSpec, rate_in_hz: float, screen: ScreenSpec | None = None) -> None:
        self.spec = spec
        # A divisor of window and hop, so that no window waits for a batch; halved, for who draws the signal.
        batch = math.gcd(spec.window_samples, spec.hop_samples)
        self._resampler = Resampler(
            rate_in_hz, spec.rate_hz, spec.max_bridged_gap_ms, batch if batch % 2 else batch // 2
        )
        self._windower = Windower(spec)
        self.screen = None if screen is None else Screen(spec, rate_in_hz, screen)
        self._stretch = -1
        self._stretch_start = 0
        self._n_windows = self._n_with_gaps = 0
        self.latest: list[Resampled] = []
        """What the last call resampled, in SI units and the foot frame: for whoever draws the signal."""
        self.verdicts: list[Verdict] = []
        """On the windows that the last call gave, in their order; empty without a screen."""

    def push(
        self, time_ns: NDArray[np.int64], samples: Samples, saturated: NDArray[np.bool_] | None = None
    ) -> list[Window]:
        """``(n,)`` device times and ``(n, 6)`` samples in; the windows complete by now out.

        With a screen also those with gaps, each with its verdict; without one they are left out.
        ``saturated`` ``(n,)`` marks samples at the sensor's range; None: nothing is known of that.
        """
        if self.screen is not None:
            self.screen.hear(time_ns, samples, np.zeros(len(time_ns), np.bool_) if saturated is None else saturated)
        return self._cut(self._resampler.push(time_ns, samples))

    def finish(self) -> list[Window]:
        """End the stretch: what is pushed next does not connect to what came before."""
        windows = self._cut(self._resampler.finish())
        if self.screen is not None:
            self.screen.end_stretch()
            self.screen.restart()
        return windows

    def _cut(self, pieces: list[Resampled]) -> list[Window]:
        self.latest, self.verdicts = [], []
        windows: list[Window] = []
        for resampled in pieces:
            piece = resampled if self.screen is None else self.screen.mounted(resampled)
            if piece.stretch != self._stretch:
                self._stretch, self._stretch_start = piece.stretch, self._windower.n_samples
            self.latest.append(piece)
            cut = self._windower.push(piece)
            n_with_gaps = sum(window.has_gaps for window in cut)
            self._n_windows += len(cut) - n_with_gaps
            self._n_with_gaps += n_with_gaps
            windows += cut if self.screen is not None else [window for window in cut if not window.has_gaps]
            if self.screen is not None:
                self.verdicts += [self.screen.judge(window, self._stretch_start) for window in cut]
                self.screen.forget(self.spec.window_samples)
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
            n_windows_refused=self._n_with_gaps,
        )
