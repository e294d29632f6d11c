"""What a foot did from one rest to the next: samples enter, moves with their length, turn and displacement leave.

Any mounting, gravity in or out: rest and turn are told by lengths of vectors alone. Where the acceleration at rest is
gravity, the move is integrated with the speed known to be zero at both ends; where gravity was removed nobody knows up
from forward, and the displacement is None. Nothing here says what a move means.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.zero_velocity import Floats, attitudes, displacement_m
from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2

REST_S: Final = 0.12
REST_RATE_RAD_S: Final = 0.9
REST_ACC_M_S2: Final = 1.1
"""A rest: over `REST_S` the mean angular rate and the deviation of the acceleration stay below these. Between two
steps of truong's people (of the half that thresholds are chosen on) the calmest 0.12 s turn at less than 0.7 rad/s in
99.5 % of 15,943 stances; a brisk walker with multiple sclerosis (gaitmap's sample) needs a little more."""
BACK_S: Final = 0.3
"""A move is integrated from the calmest rest of the last 0.3 s before it: a heel that already peels off lifts the
sensor at up to 0.1 m/s, and slow strides then came out as 0.1 m downwards, as a stair: a third of those of some frail
twins. Further back nothing is gained, and drift is."""
SURE_SHARE: Final = 0.3
"""Of both limits: so calm must a rest without gravity be to settle that gravity is not in the signal."""
GRAVITY_TOLERANCE: Final = 0.12
"""Of gravity: an acceleration at rest this near to it is gravity, by a sensor with a gain and a bias."""
NO_GRAVITY_M_S2: Final = 0.4 * STANDARD_GRAVITY_M_S2
"""A rest with less has had gravity removed. What was removed does not turn with the foot, so some comes back."""

_SQUARE: Final = N_CHANNELS
_RATE: Final = N_CHANNELS + 1
"""Held beside the channels: the acceleration's square, the angular rate."""


@dataclass(frozen=True, slots=True)
class Move:
    """From one rest to the next, ``[start, stop)`` samples since the stretch began.

    ``path_rad`` is the angle turned, to and fro alike. ``level_m`` and ``rise_m`` are the displacement, ``tilt_rad``
    the angle between gravity before and after, as the sensor feels it; all None where gravity is not in the signal.
    Of a move longer than the finder's ``longest_s`` none of them is known, and ``path_rad`` is infinite; of one that
    turns less than its ``least_path_rad`` or more than its ``most_path_rad``, ``path_rad`` alone.
    """

    start: int
    stop: int
    path_rad: float
    level_m: float | None = None
    rise_m: float | None = None
    tilt_rad: float | None = None


class MoveFinder:
    """The moves of one stretch. Samples enter in any pieces; what leaves depends on none of them.

    `push` takes samples in, `moves_until` and `moving_path_rad` tell what was known when a sample came: many can enter
    at once, which costs as few, and yet be looked at one after the other.
    """

    def __init__(
        self, rate_hz: float, longest_s: float, least_path_rad: float = 0.0, most_path_rad: float = math.inf
    ) -> None:
        """Of a move longer than ``longest_s`` nothing that happened in it is known: so much is held."""
        self._rate_hz = rate_hz
        self._rest = round(REST_S * rate_hz)
        self._back = round(BACK_S * rate_hz)
        self._longest = round(longest_s * rate_hz)
        self._path_rad = (least_path_rad, most_path_rad)
        # A move, the rests at both its ends, and as much again, so that what is held seldom has to be moved.
        self._held = np.empty((2 * (self._longest + self._back + 2 * self._rest), N_CHANNELS + 2))
        self._held_from = 0
        self._n = 0
        self._ends: deque[int] = deque()  # of rests not looked at yet
        self._last_rest: int | None = None
        self._gravity: bool | None = None  # in the signal or not: the stretch's first sure rest settles it

    def push(self, samples: Floats, rate_rad_s: Floats) -> None:
        """The next ``(n, 6)`` samples with the length of their angular rate ``(n,)``; those before were looked at."""
        self._make_room(len(samples))
        known = max(self._n - self._rest + 1, 0)
        new = self._held[self._n - self._held_from : self._n - self._held_from + len(samples)]
        new[:, :N_CHANNELS] = samples
        # Written out: the sum of a row must not depend on how many rows there are.
        new[:, _SQUARE] = samples[:, 0] ** 2 + samples[:, 1] ** 2 + samples[:, 2] ** 2
        new[:, _RATE] = rate_rad_s
        self._n += len(samples)
        if self._n - known >= self._rest:
            calm = self._is_rest(self._held[known - self._held_from : self._n - self._held_from])
            self._ends.extend((known + self._rest - 1 + calm.nonzero()[0]).tolist())

    def moves_until(self, stop: int) -> list[Move]:
        """The moves that ended before the sample ``stop`` came, and after those that were given before."""
        moves: list[Move] = []
        while self._ends and self._ends[0] < stop:
            end = self._ends.popleft()
            if self._last_rest is not None and end - self._last_rest > 1:
                moves.append(self._move(self._last_rest, end))
            self._last_rest = end
        return moves

    def moving_path_rad(self, stop: int) -> float:
        """How far, to and fro alike, the foot has turned from its last rest on, before the sample ``stop`` came.

        From the stretch's start on where it never was at rest; infinite where that is longer ago than ``longest_s``.
        """
        first = 0 if self._last_rest is None else self._last_rest + 1
        if stop - first > self._longest:
            return math.inf
        return float(self._held[first - self._held_from : stop - self._held_from, _RATE].sum()) / self._rate_hz

    def _make_room(self, n_new: int) -> None:
        """Drop what no move that ends later, nor the rests at its ends, can need."""
        n_held = self._n - self._held_from
        if n_held + n_new <= len(self._held):
            return
        kept = min(n_held, self._longest + self._back + self._rest)
        old = self._held
        if kept + n_new > len(old):
            self._held = np.empty((kept + n_new, old.shape[1]))
        self._held[:kept] = old[n_held - kept : n_held].copy()
        self._held_from = self._n - kept

    def _is_rest(self, held: Floats) -> NDArray[np.bool_]:
        """Whether each full rest's length of what is held is calm."""
        mean = _running_sums(held, self._rest) / self._rest
        square = mean[:, 0] ** 2 + mean[:, 1] ** 2 + mean[:, 2] ** 2
        spread, force, rate = mean[:, _SQUARE] - square, np.sqrt(square), mean[:, _RATE]
        still = (rate < REST_RATE_RAD_S) & (spread < REST_ACC_M_S2**2)
        if self._gravity is None:
            # Who turns a crank is for a moment as light as one whose gravity was removed, and nearly as calm.
            sure = _is_light(force) & (rate < SURE_SHARE * REST_RATE_RAD_S)
            sure &= spread < (SURE_SHARE * REST_ACC_M_S2) ** 2
            settled = (still & (_is_heavy(force) | sure)).nonzero()[0]
            if not len(settled):
                return np.zeros(len(still), np.bool_)
            self._gravity = bool(_is_heavy(force[settled[0]]))
            still[: settled[0]] = False
        calm: NDArray[np.bool_] = still & (_is_heavy(force) if self._gravity else _is_light(force))
        return calm

    def _move(self, before: int, after: int) -> Move:
        """Between the rests that end with the samples ``before`` and ``after``."""
        span = before - self._rest // 2, after - self._rest // 2
        if after - before > self._longest:
            return Move(*span, math.inf)
        start, stop = (end - self._held_from for end in span)
        path_rad = float(self._held[start : stop + 1, _RATE].sum()) / self._rate_hz
        least_rad, most_rad = self._path_rad
        if not self._gravity or not least_rad <= path_rad <= most_rad:
            return Move(*span, path_rad)
        before = self._calmest(before)
        samples = self._held[before - self._rest // 2 - self._held_from : stop + 1]
        up, up_after = (
            self._held[end + 1 - self._rest - self._held_from : end + 1 - self._held_from, ACC].mean(axis=0)
            for end in (before, after)
        )
        cosine = float(up @ up_after) / math.sqrt(float(up @ up) * float(up_after @ up_after))
        between = 0.5 * (samples[:-1] + samples[1:])
        turned = attitudes(between[:, GYR] / self._rate_hz)[1:]
        level_m, rise_m = displacement_m(between[:, ACC], turned, up, up_after, self._rate_hz)
        return Move(*span, path_rad, level_m, rise_m, math.acos(min(max(cosine, -1.0), 1.0)))

    def _calmest(self, end: int) -> int:
        """The end of the calmest rest of those that end with ``end`` or up to `BACK_S` before."""
        last = end + 1 - self._held_from
        first = max(last - self._rest - self._back, 0)
        rate = _running_sums(self._held[first:last, _RATE:], self._rest)[:, 0]
        return end - (len(rate) - 1 - int(rate.argmin()))


def _is_heavy(force: Floats) -> NDArray[np.bool_]:
    heavy: NDArray[np.bool_] = np.abs(force / STANDARD_GRAVITY_M_S2 - 1) < GRAVITY_TOLERANCE
    return heavy


def _is_light(force: Floats) -> NDArray[np.bool_]:
    light: NDArray[np.bool_] = force < NO_GRAVITY_M_S2
    return light


def _running_sums(values: Floats, width: int) -> Floats:
    """Of ``(n, k)`` values, row i the sum of the ``width`` rows from i on, added in an order that only that fixes."""
    n = len(values) - width + 1
    sums, offset, reach = np.zeros((n, values.shape[1])), 0, 1
    while reach <= width:
        if width & reach:
            sums += values[offset : offset + n]
            offset += reach
        values = values[:-reach] + values[reach:]
        reach *= 2
    return sums
