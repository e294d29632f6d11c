"""Is it gait? Samples at the bundle's rate enter, for each of them a state leaves: walking, standing, not worn, other.

The sensor may sit on the foot in any way, with gravity in the signal or removed. Each sample is decided at most 1 s
after it was taken. What leaves depends on the samples of the stretch alone, never on the pieces they came in: all is
worked out in blocks of an eighth of a second, counted from the stretch's start.

A sample is walking where the foot turned in the second before and will in the second after, and where its last move
from rest to rest was one of level gait. Nothing here knows strides, windows or classes.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.moves import Move, MoveFinder
from firmware_bridge.channels import ACC, GYR, N_CHANNELS, Samples

MIN_RATE_HZ: Final = 50.0
BLOCKS_PER_S: Final = 8
AHEAD_BLOCKS: Final = 8
"""A block is decided by itself and the seven after it: its first sample waits for not quite 1 s."""
BEFORE_BLOCKS: Final = 8
LONG_BLOCKS: Final = 24
REST_BLOCKS: Final = 4
"""Half a second: over it noise has averaged out, a worn foot has not."""

_BATCH_BLOCKS: Final = 32
"""So many are looked at together at most; a batch of the signal path holds two."""

MIN_WALKING_SHARE: Final = 0.8
"""A window is walking where at least this share of its samples is, of those decided when its last one came: the older
half. Who stops is therefore found out half a window late (1 s: two windows a stop), and who stands on a slow foot at
its end is not taken for somebody who stopped."""


class Motion(IntEnum):
    """What the wearer does, as a foot can tell. UNKNOWN: a stretch too short to say."""

    UNKNOWN = 0
    WALKING = 1
    STANDING = 2
    NOT_WORN = 3
    OTHER = 4


@dataclass(frozen=True, slots=True)
class GateThresholds:
    """Where the gate draws its lines.

    The first three were chosen on half of truong's people (every other subject in order) so that the lesser of
    F1 - 0.98 and balanced accuracy - 0.95 was largest; the others are set between the real walks and the virtual
    movements, where they cost those people's F1 least.
    """

    min_turning_rad_s: float = 0.30
    """17 deg/s, geometric mean of the mean angular rates before and after: a standing foot has 1, a walking one 100."""
    turning_floor_rad_s: float = 0.02
    """Added to both, so that it makes no difference how quiet a sensor is."""
    long_weight: float = 0.5
    """The last three seconds count for the last one with this factor: slow walkers stand on a foot for over 1 s."""
    max_move_s: float = 1.8
    """A foot that does not rest for longer is cycling or shaken; 0.02 % of the samples of truong's walks."""
    max_path_rad: float = 6.5
    """Nor does a foot turn so far between two rests: all but one in 1,000 labelled swings have 4.8 rad or less."""
    min_path_rad: float = 0.2
    """What turns less between two rests (11 degrees to and fro) is the wobble of a standing foot and says nothing."""
    min_level_m: float = 0.12
    """A foot that comes to rest where it was did not step; turning steps of the real walks go 0.19 m and more."""
    max_slope: float = 0.25
    min_rise_m: float = 0.10
    """Steeper and higher than both is a stair: real stairs down have 0.36, level walks up to 0.12, which is drift."""
    max_tilt_rad: float = 0.35
    """20 degrees between a foot's rests; up to 10 in the real level walks, 50 and more in a hand."""
    not_worn_s: float = 10.0
    not_worn_gyr_rad_s: float = 0.001
    not_worn_acc_m_s2: float = 0.02
    """So long the means over half a second must vary less than this (standard deviation over the three axes together).
    A MEMS sensor on a table has up to 0.0009 rad/s; the stillest 5 s of standing among truong's people 0.0012."""


class GaitGate:
    """The state of each sample of one stretch; a new stretch needs a new gate.

    Raises ValueError for a rate below `MIN_RATE_HZ`: a block would hold too few samples.
    """

    def __init__(self, rate_hz: float, thresholds: GateThresholds | None = None) -> None:
        if not rate_hz >= MIN_RATE_HZ:
            raise ValueError(f"rate_hz must be at least {MIN_RATE_HZ:g}, got {rate_hz:g}")
        self.thresholds = at = GateThresholds() if thresholds is None else thresholds
        self._block = int(rate_hz / BLOCKS_PER_S)
        self._moves = MoveFinder(rate_hz, at.max_move_s, at.min_path_rad, at.max_path_rad)
        self._batch: Samples = np.empty((_BATCH_BLOCKS * self._block, N_CHANNELS), np.float32)
        self._n_held = 0  # samples in it
        self._n_seen = 0  # samples looked at
        self._n_decided = 0
        # Of the blocks not decided yet, and of those before them that still count: sum of the rates, and samples.
        self._turning: deque[float] = deque(maxlen=LONG_BLOCKS + AHEAD_BLOCKS)
        self._lengths: deque[int] = deque(maxlen=LONG_BLOCKS + AHEAD_BLOCKS)
        self._gait_like: deque[bool] = deque(maxlen=AHEAD_BLOCKS)
        self._unworn: deque[bool] = deque(maxlen=AHEAD_BLOCKS)
        self._half = np.zeros(N_CHANNELS)
        self._halves = np.empty((round(at.not_worn_s * BLOCKS_PER_S / REST_BLOCKS), N_CHANNELS))
        self._n_halves = self._n_in_half = 0

    @property
    def lag_samples(self) -> int:
        """The newest sample comes at most this many after one that is being decided."""
        return AHEAD_BLOCKS * self._block - 1

    def push(self, samples: Samples) -> NDArray[np.uint8]:
        """The next ``(n, 6)`` samples of the stretch; the `Motion` of each sample decided by them, in order."""
        states = bytearray()
        taken = 0
        while taken < len(samples):
            new = samples[taken : taken + len(self._batch) - self._n_held]
            self._batch[self._n_held : self._n_held + len(new)] = new
            self._n_held += len(new)
            taken += len(new)
            n_whole = self._n_held // self._block * self._block
            if n_whole:
                states += self._look_at(self._batch[:n_whole], self._block)
                self._n_held -= n_whole
                self._batch[: self._n_held] = self._batch[n_whole : n_whole + self._n_held].copy()
        return np.frombuffer(states, np.uint8)

    def finish(self) -> NDArray[np.uint8]:
        """The stretch ended: the `Motion` of all samples not decided yet, by what there is."""
        if self._n_decided == 0 and len(self._gait_like) < AHEAD_BLOCKS - 1:
            return np.full(sum(self._lengths) + self._n_held, Motion.UNKNOWN, np.uint8)
        states = self._look_at(self._batch[: self._n_held], self._n_held) if self._n_held else bytearray()
        while self._gait_like:
            states += self._decide()
        return np.frombuffer(states, np.uint8)

    def _look_at(self, samples: Samples, n_block: int) -> bytearray:
        """Take whole blocks of ``n_block`` samples; a byte for the state of each sample decided by them."""
        values = samples.astype(np.float64)
        # Written out: the sum of a row must not depend on how many rows there are.
        rate = np.sqrt(values[:, 3] ** 2 + values[:, 4] ** 2 + values[:, 5] ** 2)
        self._moves.push(values, rate)
        turning = rate.reshape(-1, n_block).sum(axis=1).tolist()
        means = values.reshape(-1, n_block, N_CHANNELS).sum(axis=1) / n_block
        states = bytearray()
        for block_turning, mean in zip(turning, means, strict=True):
            self._turning.append(block_turning)
            self._lengths.append(n_block)
            self._n_seen += n_block
            self._add_moves()
            self._unworn.append(self._is_unworn(mean))
            if len(self._gait_like) == AHEAD_BLOCKS:
                states += self._decide()
        return states

    def _add_moves(self) -> None:
        """What the moves that ended in the newest block, and the one under way, say of all that are not decided yet."""
        # A first step is believed until it has landed.
        self._gait_like.append(self._gait_like[-1] if self._gait_like else True)
        for move in self._moves.moves_until(self._n_seen):
            verdict = self._is_gait(move)
            if verdict is not None:
                self._judge(verdict, max((move.start - self._n_decided) // self._block, 0))
        if self._moves.moving_path_rad(self._n_seen) > self.thresholds.max_path_rad:
            self._judge(False, 0)

    def _judge(self, gait_like: bool, first: int) -> None:
        """A move counts from its start on, as far back as nothing was decided, until the next one is known."""
        for place in range(first, len(self._gait_like)):
            self._gait_like[place] = gait_like

    def _is_gait(self, move: Move) -> bool | None:
        """Was it a step on level ground? None where it was no move worth a judgement."""
        at = self.thresholds
        if move.path_rad < at.min_path_rad:
            return None
        if move.path_rad > at.max_path_rad:
            return False
        if move.level_m is None or move.rise_m is None or move.tilt_rad is None:
            return True
        climbed = abs(move.rise_m) > max(at.min_rise_m, at.max_slope * move.level_m)
        return move.level_m >= at.min_level_m and not climbed and move.tilt_rad <= at.max_tilt_rad

    def _is_unworn(self, mean: NDArray[np.float64]) -> bool:
        """By the means of the blocks of the last `not_worn_s`; the answer holds until half a second more is known."""
        at = self.thresholds
        self._half += mean
        self._n_in_half += 1
        if self._n_in_half == REST_BLOCKS:
            self._halves[self._n_halves % len(self._halves)] = self._half / REST_BLOCKS
            self._n_halves += 1
            self._half[:] = self._n_in_half = 0
            if self._n_halves >= len(self._halves):
                spread = self._halves.var(axis=0)
                quiet = spread[GYR].sum() < at.not_worn_gyr_rad_s**2 and spread[ACC].sum() < at.not_worn_acc_m_s2**2
                return bool(quiet)
        return bool(self._unworn) and self._unworn[-1]

    def _decide(self) -> bytes:
        """The state of the oldest block not decided yet, once for each of its samples."""
        at = self.thresholds
        turning, lengths = list(self._turning), list(self._lengths)
        now = len(turning) - len(self._gait_like)
        gait_like, unworn = self._gait_like.popleft(), self._unworn.popleft()

        def mean_of(blocks: slice) -> float:
            return sum(turning[blocks]) / sum(lengths[blocks])

        # The first block has none before it, and counts for them.
        after = mean_of(slice(now, None)) + at.turning_floor_rad_s
        before = mean_of(slice(max(0, now - BEFORE_BLOCKS), now or 1)) + at.turning_floor_rad_s
        long = mean_of(slice(max(0, now - LONG_BLOCKS), now or 1)) + at.turning_floor_rad_s
        if math.sqrt(max(before, at.long_weight * long) * after) > at.min_turning_rad_s:
            state = Motion.WALKING if gait_like else Motion.OTHER
        else:
            state = Motion.NOT_WORN if unworn else Motion.STANDING
        self._n_decided += lengths[now]
        return bytes([state]) * lengths[now]


def gate_all(samples: Samples, rate_hz: float, thresholds: GateThresholds | None = None) -> NDArray[np.uint8]:
    """The `Motion` of each of the ``(n, 6)`` samples of a whole stretch: the batch form."""
    gate = GaitGate(rate_hz, thresholds)
    return np.concatenate([gate.push(samples), gate.finish()])
