"""What a foot did from one rest to the next: samples enter, moves with their length, turn and displacement leave.

Any mounting, gravity in or out: rest and turn are told by lengths of vectors alone. Where the acceleration at rest is
gravity, the move is integrated with the speed known to be zero at both ends; where gravity was removed nobody knows up
from forward, and the displacement is None. Nothing here says what a move means.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2, Samples

REST_S: Final = 0.12
REST_RATE_RAD_S: Final = 0.9
REST_ACC_M_S2: Final = 1.1
"""A rest: over `REST_S` the mean angular rate and the deviation of the acceleration stay below these. Between two
steps of truong's people (of the half that thresholds are chosen on) the calmest 0.12 s turn at less than 0.7 rad/s in
99.5 % of 15,943 stances; a brisk walker with multiple sclerosis (gaitmap's sample) needs a little more."""
SURE_SHARE: Final = 0.3
"""Of both limits: so calm must a rest without gravity be to settle that gravity is not in the signal."""
GRAVITY_TOLERANCE: Final = 0.12
"""Of gravity: an acceleration at rest this near to it is gravity, by a sensor with a gain and a bias."""
NO_GRAVITY_M_S2: Final = 0.4 * STANDARD_GRAVITY_M_S2
"""A rest with less has had gravity removed. What was removed does not turn with the foot, so some comes back."""


@dataclass(frozen=True, slots=True)
class Move:
    """From one rest to the next, ``[start, stop)`` samples since the stretch began.

    ``path_rad`` is the angle turned, to and fro alike. ``level_m`` and ``rise_m`` are the displacement, ``tilt_rad``
    the angle between gravity before and after, as the sensor feels it; all None where gravity is not in the signal.
    Of a move longer than the finder's ``longest_s`` none of them is known, and ``path_rad`` is infinite.
    """

    start: int
    stop: int
    path_rad: float
    level_m: float | None = None
    rise_m: float | None = None
    tilt_rad: float | None = None


class MoveFinder:
    """The moves of one stretch. Samples enter in any pieces; what leaves depends on the pieces only in when."""

    def __init__(self, rate_hz: float, longest_s: float) -> None:
        """A move longer than ``longest_s`` is told without what happened in it: so much is held."""
        self._rate_hz = rate_hz
        self._rest = round(REST_S * rate_hz)
        self._longest = round(longest_s * rate_hz)
        self._held: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._held_from = 0
        self._last_rest: int | None = None
        self._gravity: bool | None = None  # in the signal or not: the stretch's first sure rest settles it

    @property
    def moving_samples(self) -> int:
        """How many samples ago the foot was last at rest; since the stretch began where it never was."""
        return self._held_from + len(self._held) - 1 - (-1 if self._last_rest is None else self._last_rest)

    @property
    def moving_path_rad(self) -> float:
        """How far the foot has turned, to and fro alike, since it was last at rest."""
        since = max(0, len(self._held) - self.moving_samples)
        return float(np.linalg.norm(self._held[since:, GYR], axis=1).sum()) / self._rate_hz

    def push(self, samples: Samples) -> list[Move]:
        """The next ``(n, 6)`` samples; the moves that ended in them."""
        known = max(0, len(self._held) - self._rest + 1)
        self._held = np.concatenate([self._held, samples])
        calm = self._held_from + self._rest - 1 + known + np.flatnonzero(self._is_rest(known))
        moves: list[Move] = []
        for end in calm.tolist():
            if self._last_rest is not None and end - self._last_rest > 1:
                moves.append(self._move(self._last_rest, end))
            self._last_rest = end
        # What a move that ends later, and the rests at both its ends, can still need.
        keep = max(0, len(self._held) - self._longest - self._rest)
        self._held = self._held[keep:]
        self._held_from += keep
        return moves

    def _is_rest(self, known: int) -> NDArray[np.bool_]:
        """Whether each full rest's length of the held samples from ``known`` on is calm."""
        fresh = self._held[known:].astype(np.float64)
        if len(fresh) < self._rest:
            return np.zeros(0, np.bool_)
        rate = np.sqrt((fresh[:, GYR] ** 2).sum(axis=1))
        spans = np.lib.stride_tricks.sliding_window_view(np.column_stack([fresh[:, ACC], rate]), self._rest, axis=0)
        mean = spans.mean(axis=2)
        spread = ((spans[:, :3] - mean[:, :3, None]) ** 2).sum(axis=(1, 2)) / self._rest
        force, rate = np.sqrt((mean[:, :3] ** 2).sum(axis=1)), mean[:, 3]
        still = (rate < REST_RATE_RAD_S) & (spread < REST_ACC_M_S2**2)
        heavy = np.abs(force / STANDARD_GRAVITY_M_S2 - 1) < GRAVITY_TOLERANCE
        light = force < NO_GRAVITY_M_S2
        if self._gravity is None:
            # Who turns a crank is for a moment as light as one whose gravity was removed, and nearly as calm.
            sure = light & (rate < SURE_SHARE * REST_RATE_RAD_S) & (spread < (SURE_SHARE * REST_ACC_M_S2) ** 2)
            settled = np.flatnonzero(still & (heavy | sure))
            if not len(settled):
                return np.zeros(len(still), np.bool_)
            self._gravity = bool(heavy[settled[0]])
            still[: settled[0]] = False
        calm: NDArray[np.bool_] = still & (heavy if self._gravity else light)
        return calm

    def _move(self, before: int, after: int) -> Move:
        """Between the rests that end with the samples ``before`` and ``after``."""
        if after - before > self._longest:
            return Move(before - self._rest // 2, after - self._rest // 2, np.inf)
        first, last = before - self._held_from, after - self._held_from
        start, stop = max(0, first - self._rest // 2), last - self._rest // 2
        samples = self._held[start : stop + 1].astype(np.float64)
        path_rad = float(np.linalg.norm(samples[:, GYR], axis=1).sum()) / self._rate_hz
        up, up_after = (
            self._held[max(0, end + 1 - self._rest) : end + 1, ACC].mean(axis=0, dtype=np.float64)
            for end in (first, last)
        )
        span = self._held_from + start, self._held_from + stop
        if not self._gravity:
            return Move(*span, path_rad)
        cosine = float(up @ up_after) / float(np.linalg.norm(up) * np.linalg.norm(up_after))
        level_m, rise_m = _displacement(samples, up, up_after, self._rate_hz)
        return Move(*span, path_rad, level_m, rise_m, float(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _displacement(
    samples: NDArray[np.float64], up: NDArray[np.float64], up_after: NDArray[np.float64], rate_hz: float
) -> tuple[float, float]:
    """Level distance and rise in m; what speed and tilt are left at the end grew evenly on the way."""
    force = 0.5 * (samples[:-1, ACC] + samples[1:, ACC])
    turns = _rotations(0.5 * (samples[:-1, GYR] + samples[1:, GYR]) / rate_hz)
    # Each becomes the product of all turns so far, by products of 2, 4, 8 ... turns.
    reach = 1
    while reach < len(turns):
        turns[reach:] = turns[:-reach] @ turns[reach:]
        reach *= 2
    share = np.linspace(0.0, 1.0, len(force))[:, None]
    acc = np.einsum("nij,nj->ni", turns, force)
    landed = turns[-1] @ up_after
    error = np.cross(landed, up) / (np.linalg.norm(landed) * np.linalg.norm(up))
    acc += share * np.cross(error, acc)
    upward = up / np.linalg.norm(up)
    strength = np.linalg.norm(up) + share * (np.linalg.norm(up_after) - np.linalg.norm(up))
    speed = np.cumsum(acc - strength * upward, axis=0) / rate_hz
    speed -= share * speed[-1]
    way = speed.sum(axis=0) / rate_hz
    rise_m = float(way @ upward)
    return float(np.linalg.norm(way - rise_m * upward)), rise_m


def _rotations(turn_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices ``(n, 3, 3)`` of turns ``(n, 3)`` in rad."""
    angle = np.maximum(np.linalg.norm(turn_rad, axis=1), 1e-12)
    cross = np.zeros((len(turn_rad), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = turn_rad
    cross[:, [1, 2, 0], [2, 0, 1]] = -turn_rad
    sin, rest = (np.sin(angle) / angle)[:, None, None], ((1 - np.cos(angle)) / angle**2)[:, None, None]
    return np.asarray(np.eye(3) + sin * cross + rest * (cross @ cross), dtype=np.float64)
