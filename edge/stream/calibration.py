"""A calibration of one sensor: samples enter as they come; what the wearer does next, and how the sensor sits, leave.

Samples are in the axes that count as the foot's now. Nothing is changed or judged here, and nothing depends on how the
stream was cut: it is looked at block by block of the resampled grid, and ends with the block that told.
"""

from dataclasses import replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.mounting import NO_GRAVITY, MountingResult, MountingWatch
from edge.stream.resample import Resampled, Resampler
from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2, Samples

RATE_HZ: Final = 104.0
"""The rate at which the search for the mounting was measured."""
_MAX_BRIDGED_GAP_MS: Final = 40.0
_BLOCK: Final = 26
_STILL_BLOCKS: Final = 4
"""A second: longer than a stance, in which a foot may still be slowing down."""
_STILL_RAD_S: Final = 0.35
"""Twice the bias of a bad gyroscope; a foot that stands sways by less than 0.1."""
_GRAVITY_TOLERANCE: Final = 0.2


class Step(Enum):
    """What comes next."""

    SIGNAL = "signal"
    STAND = "stand"
    WALK = "walk"
    DONE = "done"


class Calibration:
    """One sensor of ``rate_in_hz``; memory of a second and of 12 strides. ValueError as `Resampler`."""

    def __init__(self, rate_in_hz: float) -> None:
        self.rate_in_hz = rate_in_hz
        self._resampler = Resampler(rate_in_hz, RATE_HZ, _MAX_BRIDGED_GAP_MS, _BLOCK)
        self._watch = MountingWatch(RATE_HZ)
        self._stretch = 0
        self._has_signal = False
        self._still: Samples = np.empty((_STILL_BLOCKS * _BLOCK, N_CHANNELS), np.float32)
        self._n_still = 0
        self._told: MountingResult | None = None
        self.gravity_m_s2: NDArray[np.float64] | None = None
        """What it felt ``(3,)`` when the foot first stood still; None before."""

    def push(self, time_ns: NDArray[np.int64], samples: Samples) -> None:
        """``(n,)`` device times, strictly increasing, and ``(n, 6)`` samples in SI units."""
        self._has_signal = self._has_signal or len(samples) > 0
        self._take(self._resampler.push(time_ns, samples))

    def restart(self) -> None:
        """What is pushed next does not connect to what came before; the sensor may sit as it did."""
        self._take(self._resampler.finish())
        self._end_stretch()

    @property
    def step(self) -> Step:
        """What comes next."""
        if self._told is not None:
            return Step.DONE
        if self.gravity_m_s2 is None and not self.n_strides:
            return Step.STAND if self._has_signal else Step.SIGNAL
        return Step.WALK

    @property
    def n_strides(self) -> int:
        """Strides so far of the `MIN_STRIDES` that are needed, more while these do not tell."""
        return self._watch.n_strides

    @property
    def result(self) -> MountingResult:
        """How the sensor sits, as far as is known."""
        return self._told or replace(self._watch.current, n_strides=self.n_strides)

    def _take(self, pieces: list[Resampled]) -> None:
        for piece in pieces:
            if piece.stretch != self._stretch:
                self._end_stretch()
                self._stretch = piece.stretch
            for first in range(0, len(piece.samples), _BLOCK):
                if self._told is None:
                    self._take_block(piece.samples[first : first + _BLOCK])

    def _take_block(self, block: Samples) -> None:
        changes = self._watch.push(block)
        final = (c.result for c in changes if c.result.state != "cannot tell" or c.result.reason == NO_GRAVITY)
        self._told = next(final, None)
        if self._told is not None or self.gravity_m_s2 is not None:
            return
        rate_squared = (block[:, GYR].astype(np.float64) ** 2).sum(axis=1)
        if len(block) < _BLOCK or rate_squared.max() > _STILL_RAD_S**2:
            self._n_still = 0
            return
        self._still[self._n_still : self._n_still + _BLOCK] = block
        self._n_still += _BLOCK
        if self._n_still == len(self._still):
            self.gravity_m_s2 = self._still[:, ACC].astype(np.float64).mean(axis=0)
            if abs(float(np.linalg.norm(self.gravity_m_s2)) / STANDARD_GRAVITY_M_S2 - 1) > _GRAVITY_TOLERANCE:
                self._told = replace(self._watch.current, reason=NO_GRAVITY, n_strides=self.n_strides)

    def _end_stretch(self) -> None:
        self._watch.end_stretch()
        self._n_still = 0
