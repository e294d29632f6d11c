"""A walking foot: gait figures and a seed enter, 6-axis samples of standing, walking and turning leave.

`Walker` plans stride after stride and renders each once, so an endless walk needs constant memory and the samples do
not depend on how they are cut. How a stride goes is drawn in `gait`, its path is in `trajectory`, the faults of the
sensor are in `imu`; nothing here knows packets, clocks or labels.
"""

import math
from collections import deque
from typing import Final

import numpy as np

from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.gait import Figure, GaitParameters, Person, Side
from firmware_bridge.imu import Imu, ImuModel
from firmware_bridge.trajectory import Impact, Stride, move

__all__ = ["WALKWAY_M", "Figure", "GaitParameters", "ImuModel", "Stride", "Walker", "walk", "walk_with_truth"]

WALKWAY_M: Final = 30.0
"""Default length of the corridor between two turns; the register does not tell it, this is our choice."""


class Walker:
    """One person walking up and down a corridor for as long as samples are asked for.

    ``parameters`` may be set at any time and holds from the next stride on. Equal arguments give equal samples; the
    size of the calls to `advance` changes nothing.
    """

    def __init__(
        self,
        parameters: GaitParameters,
        *,
        rate_hz: float,
        seed: int,
        walkway_m: float = WALKWAY_M,
        imu: ImuModel | None = None,
    ) -> None:
        """``imu`` None means `ImuModel()`. Raises ValueError where the rate or the walkway is not positive."""
        if not (rate_hz > 0 and walkway_m > 0):
            raise ValueError(f"rate_hz and walkway_m must be positive, got {rate_hz} and {walkway_m}")
        self.parameters = parameters
        self.rate_hz = rate_hz
        self.recent_strides: deque[Stride] = deque(maxlen=256)
        self._walkway_m = walkway_m
        person, strides, faults = np.random.SeedSequence(seed).spawn(3)
        self._rng = np.random.default_rng(strides)
        self._imu = Imu(imu or ImuModel(), rate_hz=rate_hz, seed=int(faults.generate_state(1)[0]))
        self._person = Person(np.random.default_rng(person), self._rng)
        self._since_turn_m = 0.0
        self._turns_left = 0
        self._turn_rad = 0.0
        self._stand_s = float(self._rng.uniform(3.0, 6.0))
        self._starting = False
        self._end_s = 0.0
        self._impacts: tuple[Impact, ...] = ()
        self._next_sample = 0
        self._buffer: Samples = np.empty((0, N_CHANNELS), np.float32)

    @property
    def side(self) -> Side:
        """Which foot the sensor is on; drawn from the seed, as GSTRIDE does not tell it."""
        return self._person.side

    def advance(self, n_samples: int) -> Samples:
        """The next ``(n_samples, 6)`` samples."""
        out = np.empty((n_samples, N_CHANNELS), np.float32)
        done = 0
        while done < n_samples:
            if not len(self._buffer):
                self._buffer = self._render(self._plan())
            n = min(len(self._buffer), n_samples - done)
            out[done : done + n] = self._buffer[:n]
            self._buffer = self._buffer[n:]
            done += n
        return out

    def _render(self, stride: Stride) -> Samples:
        stop = math.ceil(stride.end_s * self.rate_hz)
        t = np.arange(self._next_sample, stop) / self.rate_hz
        self._next_sample = stop
        motion = move(stride, t, sway=self._person.sway(t), impacts=self._impacts)
        return self._imu.measure(np.concatenate([motion.acc_m_s2, motion.gyr_rad_s], axis=1))

    def _plan(self) -> Stride:
        """What the foot does next: stand, turn or walk on."""
        start_s = self._end_s
        if self._stand_s > 0:
            # In pieces, so that a change of parameters and the buffer never wait long.
            stand_s = min(self._stand_s, 1.0)
            self._stand_s -= stand_s
            self._end_s = start_s + stand_s
            self._starting = self._stand_s <= 0
            self._impacts = self._impacts[-2:]
            stride = Stride("standing", start_s, self._end_s, self._end_s, self._end_s, self._end_s)
        else:
            stride = self._plan_stride(start_s)
        self.recent_strides.append(stride)
        return stride

    def _plan_stride(self, start_s: float) -> Stride:
        if self._since_turn_m >= self._walkway_m and not self._turns_left:
            self._begin_turn()
        turn_rad = 0.0
        length_factor, angle_factor = 1.0, 1.0
        if self._turns_left:
            turn_rad = self._turn_rad
            self._turns_left -= 1
            length_factor, angle_factor = 0.45, 0.75
            if not self._turns_left and self._rng.random() < 0.25:
                self._stand_s = float(self._rng.uniform(2.0, 6.0))
        elif self._starting:
            length_factor, angle_factor = 0.6, 0.8
        self._starting = False
        stride = self._person.stride(
            self.parameters, start_s, turn_rad=turn_rad, length_factor=length_factor, angle_factor=angle_factor
        )
        self._end_s = stride.end_s
        self._since_turn_m += stride.length_m if not turn_rad else 0.0
        self._impacts = (*self._impacts[-2:], *self._person.jolts(stride))
        return stride

    def _begin_turn(self) -> None:
        self._since_turn_m = 0.0
        # Who steps short turns in more steps.
        fewest = 3 if self.parameters.stride_length_m.mean > 0.8 else 4
        self._turns_left = int(self._rng.integers(fewest, fewest + 2))
        self._turn_rad = float(self._rng.choice([-1.0, 1.0])) * math.pi / self._turns_left


def walk(
    parameters: GaitParameters,
    *,
    duration_s: float,
    rate_hz: float,
    seed: int,
    walkway_m: float = WALKWAY_M,
    imu: ImuModel | None = None,
) -> Samples:
    """``(round(duration_s * rate_hz), 6)`` samples in SI units in the foot frame: standing, then walking with turns."""
    walker = Walker(parameters, rate_hz=rate_hz, seed=seed, walkway_m=walkway_m, imu=imu)
    return walker.advance(round(duration_s * rate_hz))


def walk_with_truth(
    parameters: GaitParameters,
    *,
    duration_s: float,
    rate_hz: float,
    seed: int,
    walkway_m: float = WALKWAY_M,
    imu: ImuModel | None = None,
) -> tuple[Samples, tuple[Stride, ...]]:
    """The samples of `walk`, and every stride that begins within them."""
    walker = Walker(parameters, rate_hz=rate_hz, seed=seed, walkway_m=walkway_m, imu=imu)
    samples = np.empty((round(duration_s * rate_hz), N_CHANNELS), np.float32)
    strides: list[Stride] = []
    # A second at a time, so that no stride falls out of the walker's short memory unseen.
    second = max(1, round(rate_hz))
    for first in range(0, len(samples), second):
        block = samples[first : first + second]
        block[:] = walker.advance(len(block))
        strides.extend(s for s in walker.recent_strides if not strides or s.start_s > strides[-1].start_s)
    return samples, tuple(strides)
