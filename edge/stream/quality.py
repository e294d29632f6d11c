"""Whether the signal under a window can be believed: a flag for each thing that is wrong with it.

Input samples enter as the sensor sent them, with device time and saturation marks, and later the windows that were
made of them; a window's flags leave. A mark of an input sample belongs to a window where the sample's device time lies
in the window's span, so a flag does not depend on how the stream was cut. Nothing is repaired here, and no window is
refused: what a flag means for a decision is for others to say.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, STANDARD_GRAVITY_M_S2, Samples

_HISTORY_S: Final = 10.0
_BEFORE_WINDOW_S: Final = 2.0
"""A window reaches back by its length, the resampler's look-ahead, a bridged gap and the time a channel may be flat
before it: 3 s for the default bundle."""
_MAX_STEP_PERIODS: Final = 1.5  # a longer step in time leaves samples out


class Flag(StrEnum):
    """What is wrong with a window's signal."""

    CLIPPING = "clipping"
    RATE_OFF = "rate off"
    GAPS = "gaps"
    FLAT = "flat"
    REPEATED = "repeated"
    OUT_OF_RANGE = "out of range"
    GRAVITY_OFF = "gravity off"


@dataclass(frozen=True, slots=True)
class QualityThresholds:
    """From where on a window is flagged; a share is that of its samples, and must be exceeded.

    Raises ValueError where one is not positive.
    """

    clipped_share: float = 0.01
    """Two samples of 200: one heel strike may touch the range of a sensor that is sound."""
    rate_error: float = 0.05
    """Oscillators of cheap sensors are off by up to some percent, and device time makes up for it; a wrong nominal rate
    is off by more (100 for 104 Hz: 4 %, harmless; 104 for 128 Hz: 23 %)."""
    bridged_share: float = 0.05
    """Half of what a window may have at all; the real walk with most defects has 4 %."""
    flat_s: float = 1.0
    """A channel that does not change at all for so long; of coarse but sound sensors on standing feet up to 0.9 s."""
    repeated_share: float = 0.05
    """Samples equal to the last in all six channels while the foot turns: none in any of the real walks."""
    turning_rad_s: float = 0.3
    """Slower than this a coarse sensor may repeat itself."""
    range_deviations: float = 10.0
    """Heel strikes reach 38 of the default bundle's deviations, at single samples."""
    out_of_range_share: float = 0.2
    """Of samples beyond ``range_deviations``: at most 0.09 in the real walks; a wrong unit puts most of them there."""
    gravity_error: float = 0.1
    """Of 1 g, by the median over calm samples: at most 0.05 on real walks, where stairs shorten the stances."""
    gravity_left: float = 0.6
    """Of 1 g, where gravity should be removed: stances lean against the standing ones. Of the windows of Truong et al.
    1 in 10,000 has more than 0.45."""
    calm_rad_s: float = 0.6
    min_calm_samples: int = 15
    """Fewer samples below ``calm_rad_s`` say nothing of gravity, and the window is not judged by it."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class InputQuality:
    """One sensor's input, remembered for as long as a window can still ask for it.

    ``mean`` and ``deviation`` ``(6,)`` are the bundle's scaler, ``gravity`` says what its samples hold, ``window_s``
    how long its windows are.
    """

    def __init__(
        self,
        rate_in_hz: float,
        *,
        mean: NDArray[np.float32],
        deviation: NDArray[np.float32],
        gravity: Literal["included", "removed"],
        thresholds: QualityThresholds | None = None,
        window_s: float = 0.0,
    ) -> None:
        self._thresholds = thresholds or QualityThresholds()
        self._period_ns = 1e9 / rate_in_hz
        self._mean, self._deviation, self._gravity = mean, deviation, gravity
        self._n_history = int(np.ceil(max(_HISTORY_S, window_s + _BEFORE_WINDOW_S) * rate_in_hz))
        self._n_flat_steps = int(np.ceil(self._thresholds.flat_s * rate_in_hz)) - 1
        room = 2 * self._n_history
        self._times = np.empty(room, dtype=np.int64)
        self._samples = np.empty((room, N_CHANNELS), dtype=np.float32)
        self._clipped = np.empty(room, dtype=np.bool_)
        self._repeated = np.empty(room, dtype=np.bool_)
        self._same = np.empty((room, N_CHANNELS), dtype=np.bool_)
        self.restart()

    def restart(self) -> None:
        """The sensor began anew: its device time may go back, and what was remembered means nothing now."""
        self._n_held = self._n_marked = 0

    def push(self, time_ns: NDArray[np.int64], samples: Samples, saturated: NDArray[np.bool_]) -> None:
        """Take ``(n,)`` device times, ``(n, 6)`` samples in SI units and ``(n,)`` saturation marks.

        Before the windows that end in them are asked for.
        """
        n_new = len(time_ns)
        self._make_room(n_new)
        new = slice(self._n_held, self._n_held + n_new)
        self._times[new] = time_ns
        self._samples[new] = samples
        self._clipped[new] = saturated
        self._n_held += n_new

    def window_flags(
        self, start_ns: int, stop_ns: int, grid_samples: Samples, bridged_share: float
    ) -> tuple[Flag, ...]:
        """The flags of the window ``[start_ns, stop_ns)``, in the order of `Flag`.

        ``grid_samples`` ``(n, 6)`` are the window's samples in SI units, outliers not yet set to their limit.
        """
        self._mark()
        first, end = np.searchsorted(self._times[: self._n_held], [start_ns, stop_ns]).tolist()
        limits = self._thresholds
        n_inputs = max(end - first, 1)
        is_raised = {
            Flag.CLIPPING: np.count_nonzero(self._clipped[first:end]) > limits.clipped_share * n_inputs,
            Flag.RATE_OFF: self._is_rate_off(first, end),
            Flag.GAPS: bridged_share > limits.bridged_share,
            Flag.FLAT: self._is_flat(first, end),
            Flag.REPEATED: np.count_nonzero(self._repeated[first:end]) > limits.repeated_share * n_inputs,
            Flag.OUT_OF_RANGE: self._is_out_of_range(grid_samples),
            Flag.GRAVITY_OFF: self._is_gravity_off(grid_samples),
        }
        return tuple(flag for flag, raised in is_raised.items() if raised)

    def _mark(self) -> None:
        """Compare the samples that came since the last window with those before them: many at once cost as few."""
        first, end = self._n_marked, self._n_held
        if first == 0 and end:
            self._same[0] = self._repeated[0] = False  # the first of all follows none
            first = 1
        self._n_marked = end
        if end <= first:
            return
        samples = self._samples[first:end]
        follows = self._times[first:end] - self._times[first - 1 : end - 1] < _MAX_STEP_PERIODS * self._period_ns
        same = (samples == self._samples[first - 1 : end - 1]) & follows[:, None]
        # Written out: the sum of a row must not depend on how many rows there are.
        rate_squared = samples[:, 3] ** 2 + samples[:, 4] ** 2 + samples[:, 5] ** 2
        self._same[first:end] = same
        self._repeated[first:end] = same.all(axis=1) & (rate_squared > self._thresholds.turning_rad_s**2)

    def _make_room(self, n_new: int) -> None:
        """Move what may still be asked for to the front; a piece longer than the room makes it grow."""
        if self._n_held + n_new <= len(self._times):
            return
        self._mark()
        kept = min(self._n_held, self._n_history)
        for name in ("_times", "_samples", "_clipped", "_repeated", "_same"):
            old = getattr(self, name)
            new = old
            if kept + n_new > len(old):
                new = np.empty((kept + n_new, *old.shape[1:]), dtype=old.dtype)
                setattr(self, name, new)
            new[:kept] = old[self._n_held - kept : self._n_held].copy()
        self._n_held = self._n_marked = kept

    def _is_rate_off(self, first: int, end: int) -> bool:
        """By the mean step in device time, steps over missing samples left out; where they are most, it is off."""
        times = self._times[first:end]
        steps = (times[1:] - times[:-1]) / self._period_ns
        if not len(steps):
            return False
        regular = steps[(steps > 0.5) & (steps < _MAX_STEP_PERIODS)]
        if 2 * len(regular) < len(steps):
            return True
        return bool(abs(1.0 / regular.mean() - 1) > self._thresholds.rate_error)

    def _is_flat(self, first: int, end: int) -> bool:
        # The window's first sample equals one outside it: that step is not the window's own.
        own = self._same[first + 1 : end]
        if np.count_nonzero(own) < self._n_flat_steps:
            return False  # spares counting runs where hardly any step is flat
        number = np.arange(1, len(own) + 1)[:, None]
        run = number - np.maximum.accumulate(np.where(own, 0, number), axis=0)
        return bool(run.max(initial=0) >= self._n_flat_steps)

    def _is_out_of_range(self, grid_samples: Samples) -> bool:
        beyond = np.abs(grid_samples - self._mean) > self._thresholds.range_deviations * self._deviation
        allowed = self._thresholds.out_of_range_share * len(grid_samples)
        # Values are counted faster than samples, and are no fewer.
        return bool(np.count_nonzero(beyond) > allowed and np.count_nonzero(beyond.any(axis=1)) > allowed)

    def _is_gravity_off(self, grid_samples: Samples) -> bool:
        limits = self._thresholds
        squared = (grid_samples**2).T
        calm = squared[3] + squared[4] + squared[5] < limits.calm_rad_s**2
        force_squared = np.sort((squared[0] + squared[1] + squared[2])[calm])
        n_calm = len(force_squared)
        if n_calm < limits.min_calm_samples:
            return False
        middle = np.sqrt(force_squared[(n_calm - 1) // 2 : n_calm // 2 + 1])  # one, or two whose mean is the median
        in_g = float(middle.mean()) / STANDARD_GRAVITY_M_S2
        return in_g > limits.gravity_left if self._gravity == "removed" else abs(in_g - 1) > limits.gravity_error
