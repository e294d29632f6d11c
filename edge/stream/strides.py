"""Strides of one foot while it walks: when it left the ground, when it came down, how far and how fast it went.

Samples at the bundle's rate go in, strides leave as soon as they are known: 0.9 s after the foot came down. Nothing
here knows arrival times, and nothing depends on how the stream was cut: work is done in blocks that the stretch's own
sample numbers fix. Whether it is gait at all is the gate's question.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.lobes import Lobe, LobeFinder
from edge.stream.swings import SwingSelector, quantile
from edge.stream.zero_velocity import distance_m, find_flat
from firmware_bridge.channels import CHANNELS, N_CHANNELS, Samples

MIN_STRIDE_S: Final = 0.4
"""Three steps a second and more are a sprint's; the register's fastest person has strides of 0.9 s on average."""
MAX_STRIDE_S: Final = 4.0
"""A foot that stays longer stands: the register's slowest person has strides of 2.5 s with a deviation of 0.5 s."""
_ML_RATE: Final = CHANNELS.index("gyr_y")
_BLOCK_S: Final = 0.25
_SMOOTHING_S: Final = 0.1
_KEPT_S: Final = 16.0
"""Raw samples held for the lengths of strides: the longest stride, twice, and the lobes that wait for the sign."""
_FLAT_WITHIN_S: Final = 0.6
"""The foot is flat within this time after it came down; who walks slowly loads for 0.3 s (register)."""
_FLAT_BEFORE_S: Final = 1.0
_LONGEST_OF_MEDIAN: Final = 1.6
"""A stride that took longer than this, measured by the median of the last ones, is a pause, or a turn whose small swing
was missed and counts two: no stride of this gait."""
_RECENT_STRIDES: Final = 9
_FEWEST_TO_JUDGE: Final = 3


@dataclass(frozen=True, slots=True)
class Stride:
    """From one foot contact to the next of the same foot: stance, then swing.

    ``[start_index, stop_index)`` are samples of the stretch at the detector's rate, ``stride_time_s`` is finer, as
    contacts are interpolated. ``stance_share`` and ``swing_share`` add up to 1. The length is level, from foot flat to
    foot flat; it and the speed are None where gravity is removed, or the foot was not flat before or after the swing.
    """

    start_index: int
    stop_index: int
    stride_time_s: float
    stance_share: float
    swing_share: float
    stride_length_m: float | None
    gait_speed_m_s: float | None


@dataclass(frozen=True, slots=True)
class _Cycle:
    """Contact, toe-off and next contact in samples of the stretch."""

    contact: float
    toe_off: float
    next_contact: float


class StrideDetector:
    """The strides of one foot, stretch after stretch; `finish` ends one, and what the sign of swing is outlives it."""

    def __init__(self, rate_hz: float, *, gravity_included: bool) -> None:
        self._rate_hz = rate_hz
        self._gravity_included = gravity_included
        self._block = round(_BLOCK_S * rate_hz)
        self._half = max(round(_SMOOTHING_S * rate_hz / 2), 1)
        taps = np.hanning(2 * self._half + 3)[1:-1]
        self._taps = (taps / taps.sum())[:, None]
        # For each tap and sample of a block, or of what is left at a stretch's end: the place of the rate it weighs.
        self._weighed = np.arange(len(taps))[:, None] + np.arange(self._block + self._half)
        self._kept = np.empty((round(_KEPT_S * rate_hz), N_CHANNELS), dtype=np.float32)
        self._selector = SwingSelector(rate_hz)
        self._times_s: deque[float] = deque(maxlen=_RECENT_STRIDES)
        self._begin_stretch()

    def _begin_stretch(self) -> None:
        self._lobes = LobeFinder(self._rate_hz)
        self._n_kept = 0
        self._first_kept = 0  # index in the stretch
        self._n_done = 0  # samples of the stretch whose rate was smoothed and searched
        self._contact: float | None = None
        self._waiting: deque[_Cycle] = deque()

    def push(self, samples: Samples) -> list[Stride]:
        """The next ``(n, 6)`` samples of the stretch; the strides that are known by now."""
        strides: list[Stride] = []
        taken = 0
        while taken < len(samples):
            # A block at a time, so that what is kept when a stride is measured does not depend on the cut either.
            missing = self._n_done + self._block + self._half - self._first_kept - self._n_kept
            new = samples[taken : taken + missing]
            taken += len(new)
            self._keep(new)
            if len(new) == missing:
                self._search(self._block)
                strides += self._measure(final=False)
        return strides

    def finish(self) -> list[Stride]:
        """The stretch ends; the strides that were still waiting. The next sample begins a new stretch."""
        left = self._first_kept + self._n_kept - self._n_done
        if left > 0:
            self._search(left)
        self._take(self._lobes.finish())
        self._add(self._selector.end_stretch())
        strides = self._measure(final=True)
        self._begin_stretch()
        return strides

    def _keep(self, samples: Samples) -> None:
        over = self._n_kept + len(samples) - len(self._kept)
        if over > 0:
            over = max(over, len(self._kept) // 4)  # rarely, and then much: moving costs
            self._kept[: self._n_kept - over] = self._kept[over : self._n_kept].copy()
            self._n_kept -= over
            self._first_kept += over
        self._kept[self._n_kept : self._n_kept + len(samples)] = samples
        self._n_kept += len(samples)

    def _search(self, n: int) -> None:
        """Smooth the next ``n`` rates and take their lobes; beyond the ends of the stretch the rate stays as it is."""
        start, stop = self._n_done - self._half - self._first_kept, self._n_done + n + self._half - self._first_kept
        rate = self._kept[max(start, 0) : min(stop, self._n_kept), _ML_RATE].astype(np.float64)
        if len(rate) < stop - start:
            rate = np.pad(rate, (max(-start, 0), max(stop - self._n_kept, 0)), mode="edge")
        self._n_done += n
        self._take(self._lobes.push((self._taps * rate[self._weighed[:, :n]]).sum(axis=0)))

    def _take(self, lobes: list[Lobe]) -> None:
        for lobe in lobes:
            n_turned = self._selector.n_turned
            swings = self._selector.push(lobe)
            if self._selector.n_turned != n_turned:
                self._contact = None  # what was taken for a contact was none
            self._add(swings)

    def _add(self, swings: list[Lobe]) -> None:
        for swing in swings:
            if self._contact is not None:
                time_s = (swing.stop - self._contact) / self._rate_hz
                if time_s < MIN_STRIDE_S:
                    continue  # a second bump of the same swing
                if time_s <= MAX_STRIDE_S and swing.start > self._contact and self._is_usual(time_s):
                    self._waiting.append(_Cycle(self._contact, swing.start, swing.stop))
            self._contact = swing.stop

    def _is_usual(self, time_s: float) -> bool:
        """Whether it may be one stride; it counts for the next in any case, so a new pace is soon the usual one."""
        usual = len(self._times_s) < _FEWEST_TO_JUDGE or time_s <= _LONGEST_OF_MEDIAN * quantile(self._times_s, 0.5)
        self._times_s.append(time_s)
        return usual

    def _measure(self, *, final: bool) -> list[Stride]:
        strides: list[Stride] = []
        patience = _FLAT_WITHIN_S * self._rate_hz if self._gravity_included and not final else 0.0
        while self._waiting and self._waiting[0].next_contact + patience < self._first_kept + self._n_kept:
            strides.append(self._stride(self._waiting.popleft()))
        return strides

    def _stride(self, cycle: _Cycle) -> Stride:
        samples = cycle.next_contact - cycle.contact
        time_s = samples / self._rate_hz
        swing_share = (cycle.next_contact - cycle.toe_off) / samples
        length_m = self._length_m(cycle) if self._gravity_included else None
        return Stride(
            start_index=round(cycle.contact),
            stop_index=round(cycle.next_contact),
            stride_time_s=time_s,
            stance_share=1.0 - swing_share,
            swing_share=swing_share,
            stride_length_m=length_m,
            gait_speed_m_s=None if length_m is None else length_m / time_s,
        )

    def _length_m(self, cycle: _Cycle) -> float | None:
        from_index = max(round(cycle.contact), round(cycle.toe_off - _FLAT_BEFORE_S * self._rate_hz))
        to_index = round(cycle.next_contact + _FLAT_WITHIN_S * self._rate_hz)
        if from_index < self._first_kept:
            return None  # the sign took so long to settle that the samples are gone
        held = self._between(from_index, to_index)
        before = find_flat(held[: round(cycle.toe_off) - from_index], self._rate_hz)
        landed = round(cycle.next_contact) - from_index
        after = find_flat(held[landed:], self._rate_hz)
        if before is None or after is None:
            return None
        return distance_m(held[before : landed + after + 1], self._rate_hz)

    def _between(self, start: int, stop: int) -> NDArray[np.float64]:
        return self._kept[start - self._first_kept : min(stop - self._first_kept, self._n_kept)].astype(np.float64)
