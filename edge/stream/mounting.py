"""How a sensor sits on the foot, found from its strides: toe, left and up by the sensor's own axes.

Samples on an even grid enter in whatever axes the sensor has; the rotation into the foot frame leaves, or the reason
why it cannot be told. Facts used: in stance the foot lies flat and feels gravity alone; from one stance to the next it
moves ahead; meanwhile it turns about the axis that crosses this way. Every step works with lengths and with angles
between vectors, never with a single axis, so a sensor turned by any rotation gets the same foot frame. No sample is
changed here, and nothing depends on how the stream was cut.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.stream.zero_velocity import attitudes
from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2, Samples

Array = NDArray[np.float64]
MountingState = Literal["as configured", "corrected", "cannot tell"]
MountingSide = Literal["left", "right", "unknown"]

MIN_STRIDES: Final = 10
AS_CONFIGURED_DEG: Final = 30.0
"""Nearer than this to its configured axes a sensor counts as worn so: 20 degrees for an instep's slope, 10 of error."""

TOO_FEW_STRIDES: Final = "fewer than 10 strides"
NO_GRAVITY: Final = "the acceleration in stance is not 1 g: gravity is removed from it, or its unit is wrong"
UNSTEADY_STANCE: Final = "the foot lies otherwise in each stance: the sensor is loose, or this is no walking"
NO_WAY: Final = "the strides do not lead one way"
NO_SWING_AXIS: Final = "the foot does not turn about the axis across its way: this is no walking"
MOVED: Final = "the sensor sits otherwise than before: 10 strides since then are needed"

# A foot that stands turns by less than the first, one that swings by more than the second (slow ones: 100 deg/s).
_STILL_RAD_S: Final = 0.6
_SWING_RAD_S: Final = 1.5
_STANCE_S: Final = 0.08
_SHORTEST_MOVE_S: Final = 0.2
_LONGEST_MOVE_S: Final = 2.5

_GRAVITY_TOLERANCE: Final = 0.2
_UP_SCALE_RAD: Final = 0.1
"""A stance that leans this far from the others counts half: it stood on an edge or moved on."""
_WAY_SCALE_RAD: Final = 0.2
_MAX_UP_SPREAD_RAD: Final = 0.26
_MAX_WAY_SPREAD_RAD: Final = 0.6
_MIN_STRIDE_M: Final = 0.1
_LEAST_AXIS_ACROSS: Final = 0.77
"""Cosine of 40 degrees, by which the swing's axis may lie from square to the way: feet point outwards and roll."""

_SIDE_DEG: Final = 8.0
"""Feet point outwards and lift their inner edge: by more than this the swing's axis is turned, about up and about the
toe, on 61 % of the feet of Truong et al.; 0.8 % of these the wrong way."""

_HELD_STRIDES: Final = 12
_UNLIKE_UP_RAD: Final = 0.35
_UNLIKE_WAY_RAD: Final = 1.05
_UNLIKE_STRIDES: Final = 4
"""So many in a row that fit the frame told no longer mean that the sensor moved; one alone was a stumble."""
_SLIPPED_DEG: Final = 15.0
_RECHECK_STRIDES: Final = 4
"""A strap slips over many strides: to solve for each would cost more than it tells."""


@dataclass(frozen=True, slots=True, eq=False)
class MountingResult:
    """How the sensor sits; ``reason`` says why it cannot be told, and is empty otherwise.

    ``rotation`` ``(3, 3)`` is proper: foot = rotation @ sensor, with x along the way of the strides, z up in stance.
    It is the whole of what was found, an instep's slope included, also where the state is "as configured"; the
    identity where it cannot be told. ``tilt_deg`` is its angle: by how much the foot's frame is turned against the
    configured one. ``side`` is told where the swing's axis lies clearly as on one foot, else "unknown".
    """

    state: MountingState
    reason: str
    rotation: Array
    n_strides: int
    tilt_deg: float
    side: MountingSide


@dataclass(frozen=True, slots=True)
class MountingChange:
    """``result`` holds from the sample on that the watch counts as ``sample_index``."""

    sample_index: int
    result: MountingResult


@dataclass(frozen=True, slots=True, eq=False)
class _Stride:
    """``up`` ``(2, 3)`` at its two stances, ``way`` ``(2, 3)`` m as seen from each, ``turning`` ``(3, 3)``: Σ ω ωᵀ."""

    up: Array
    way: Array
    turning: Array


def find_mounting(samples: Samples, rate_hz: float) -> MountingResult:
    """The mounting of one stretch of ``(n, 6)`` samples in SI units and any axes; at least 10 strides are needed."""
    return _solve([stride for _, stride in _StrideFinder(rate_hz).push(samples)])


class MountingWatch:
    """The mounting of a stream: found after 10 strides, told again where it changes; memory of 12 strides."""

    def __init__(self, rate_hz: float) -> None:
        self._finder = _StrideFinder(rate_hz)
        self._strides: deque[_Stride] = deque(maxlen=_HELD_STRIDES)
        self._n_unlike = 0
        self._n_unchecked = 0
        self.current = _cannot_tell(TOO_FEW_STRIDES, 0)
        """What holds after the last sample pushed."""

    def push(self, samples: Samples) -> list[MountingChange]:
        """Take ``(n, 6)`` samples that follow the last ones; give each change with the sample from which it holds.

        A list and not the last result alone: which samples a result covers must not depend on the cut.
        """
        changes: list[MountingChange] = []
        for sample_index, stride in self._finder.push(samples):
            result = self._add(stride)
            if result is not None:
                self.current = result
                changes.append(MountingChange(sample_index, result))
        return changes

    @property
    def n_strides(self) -> int:
        """How many strides it holds."""
        return len(self._strides)

    def end_stretch(self) -> None:
        """What is pushed next does not connect to what came before: the stride under way is dropped."""
        self._finder.end_stretch()

    def _add(self, stride: _Stride) -> MountingResult | None:
        told = self.current
        self._strides.append(stride)
        if told.state != "cannot tell":
            self._n_unlike = self._n_unlike + 1 if _is_unlike(stride, told.rotation) else 0
            if self._n_unlike >= _UNLIKE_STRIDES:
                while len(self._strides) > self._n_unlike:
                    self._strides.popleft()
                self._n_unlike = 0
                return _cannot_tell(MOVED, len(self._strides))
            self._n_unchecked += 1
            if self._n_unlike or self._n_unchecked < _RECHECK_STRIDES:
                return None
        if len(self._strides) < MIN_STRIDES:
            return None
        self._n_unchecked = 0
        found = _solve(list(self._strides))
        if found.state == "cannot tell":
            # A frame that was found holds until strides contradict it; each other reason is told once.
            is_news = told.state == "cannot tell" and told.reason != found.reason
            return found if is_news else None
        if told.state == "cannot tell" or _angle_deg(found.rotation @ told.rotation.T) > _SLIPPED_DEG:
            return found
        return None


class _StrideFinder:
    """Cuts strides from a stream, each from the end of one stance to the beginning of the next.

    Holds a stance and the move after it: at most `_LONGEST_MOVE_S` of samples.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._n_stance = max(3, int(np.ceil(_STANCE_S * rate_hz)))
        self._move_samples = (round(_SHORTEST_MOVE_S * rate_hz), round(_LONGEST_MOVE_S * rate_hz))
        self._held = np.empty((self._move_samples[1] + 2 * self._n_stance, N_CHANNELS))
        self._n_held = 0
        self._still_run = 0
        self._n_samples = 0

    def end_stretch(self) -> None:
        self._n_held = self._still_run = 0

    def push(self, samples: Samples) -> list[tuple[int, _Stride]]:
        """The strides that end in these ``(n, 6)`` samples, each with the number of samples pushed until then."""
        if not len(samples):
            return []
        values = samples.astype(np.float64)
        # Written out: the sum of a row must not depend on how many rows there are.
        rate_squared = values[:, 3] ** 2 + values[:, 4] ** 2 + values[:, 5] ** 2
        still = rate_squared < _STILL_RAD_S**2
        borders = [0, *(np.flatnonzero(still[1:] != still[:-1]) + 1).tolist(), len(still)]
        strides: list[tuple[int, _Stride]] = []
        for begin, end in pairwise(borders):
            if not still[begin]:
                self._move(values[begin:end])
                continue
            # The move ends with the sample that makes this still run a stance.
            n_still = self._still_run
            self._still_run = min(n_still + end - begin, self._n_stance)
            first = begin
            if self._n_held > self._n_stance:
                first = min(begin + self._n_stance - n_still, end)
                if not self._move_on(values[begin:first]):
                    # Too long for a stride: of what is held, the still samples at its end begin the next stance.
                    self._stand(self._held[self._n_held - n_still : self._n_held].copy(), values[begin:end])
                    continue
                if self._still_run < self._n_stance:
                    continue
                stride = _measure(self._held[: self._n_held], self._n_stance, self._rate_hz, self._move_samples)
                if stride is not None:
                    strides.append((self._n_samples + first, stride))
            self._stand(self._held[max(self._n_held - self._n_stance, 0) : self._n_held].copy(), values[first:end])
        self._n_samples += len(samples)
        return strides

    def _move(self, values: Array) -> None:
        self._still_run = 0
        # Without a stance before it nobody knows where it comes from; too long, it is no stride.
        if self._n_held < self._n_stance or not self._move_on(values):
            self._n_held = 0

    def _move_on(self, values: Array) -> bool:
        """Hold these as well; False, and nothing is changed, where that is more than a stride can be."""
        if self._n_held + len(values) > len(self._held):
            return False
        self._held[self._n_held : self._n_held + len(values)] = values
        self._n_held += len(values)
        return True

    def _stand(self, before: Array, values: Array) -> None:
        """Hold the last samples of a stance, which grows."""
        new = values[-self._n_stance :]
        kept = min(len(before), self._n_stance - len(new))
        self._held[:kept] = before[len(before) - kept :]
        self._held[kept : kept + len(new)] = new
        self._n_held = kept + len(new)


def _measure(values: Array, n_stance: int, rate_hz: float, move_samples: tuple[int, int]) -> _Stride | None:
    """A stride of ``(n, 6)`` values with a stance at each end; None for what is no swing."""
    rate = values[:, GYR] - 0.5 * (values[:n_stance, GYR].mean(axis=0) + values[-n_stance:, GYR].mean(axis=0))
    shortest, longest = move_samples
    peak = float(np.sqrt((rate**2).sum(axis=1).max()))
    if not peak >= _SWING_RAD_S or not shortest <= len(values) - 2 * n_stance <= longest:
        return None
    acc = values[:, ACC]
    up = np.stack([acc[:n_stance].mean(axis=0), acc[-n_stance:].mean(axis=0)])
    attitude = attitudes(0.5 * (rate[1:] + rate[:-1]) / rate_hz)
    # Both stances rest: the speed left at the end is drift, taken to have grown evenly.
    force = np.einsum("nij,nj->ni", attitude, acc) - up[0]
    speed = np.cumsum(0.5 * (force[1:] + force[:-1]), axis=0) / rate_hz
    speed -= speed[-1] * (np.arange(1, len(speed) + 1) / len(speed))[:, None]
    way = speed.sum(axis=0) / rate_hz
    return _Stride(up, np.stack([way, way @ attitude[-1]]), np.einsum("ni,nj->ij", rate, rate))


def _solve(strides: Sequence[_Stride]) -> MountingResult:
    n_strides = len(strides)
    if n_strides < MIN_STRIDES:
        return _cannot_tell(TOO_FEW_STRIDES, n_strides)
    ups = np.concatenate([stride.up for stride in strides])
    if abs(float(np.median(np.linalg.norm(ups, axis=1))) / STANDARD_GRAVITY_M_S2 - 1) > _GRAVITY_TOLERANCE:
        return _cannot_tell(NO_GRAVITY, n_strides)
    up, up_spread = _main_direction(ups, _UP_SCALE_RAD)
    if up_spread > _MAX_UP_SPREAD_RAD:
        return _cannot_tell(UNSTEADY_STANCE, n_strides)
    # Seen from both stances, a turn to the left in one cancels in the other.
    ways = np.stack([stride.way.mean(axis=0) for stride in strides])
    level = np.eye(3) - np.outer(up, up)
    ways = ways @ level
    toe, way_spread = _main_direction(ways, _WAY_SCALE_RAD)
    if way_spread > _MAX_WAY_SPREAD_RAD or float(np.median(ways @ toe)) < _MIN_STRIDE_M:
        return _cannot_tell(NO_WAY, n_strides)
    turning = np.sum([stride.turning for stride in strides], axis=0)
    rotation = np.stack([toe, np.cross(up, toe), up])
    swing_axis = rotation @ np.linalg.eigh(turning)[1][:, -1]
    if abs(float(swing_axis[1])) < _LEAST_AXIS_ACROSS:
        return _cannot_tell(NO_SWING_AXIS, n_strides)
    tilt_deg = _angle_deg(rotation)
    state: MountingState = "as configured" if tilt_deg <= AS_CONFIGURED_DEG else "corrected"
    return MountingResult(state, "", rotation, n_strides, tilt_deg, _side(swing_axis))


def _side(swing_axis: Array) -> MountingSide:
    """The foot whose swing turns about this axis ``(3,)`` of the foot frame, of either sign."""
    yaw_deg, roll_deg = np.degrees(np.arctan(swing_axis[[0, 2]] / swing_axis[1]))
    if min(-yaw_deg, roll_deg) > _SIDE_DEG:
        return "left"
    return "right" if min(yaw_deg, -roll_deg) > _SIDE_DEG else "unknown"


def _main_direction(vectors: Array, scale_rad: float) -> tuple[Array, float]:
    """The unit vector that most of ``(n, 3)`` vectors share, and the median angle to it in radians.

    Vectors far from the others count little, so a stance on an edge or a stride round a corner moves it hardly.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1.0)
    main = units.sum(axis=0)
    for _ in range(10):
        main /= max(math.sqrt(float(main @ main)), 1e-12)
        squared = 2.0 - 2.0 * (units @ main)  # of the distance between their ends
        main = (1.0 / (1.0 + squared / scale_rad**2)) @ units
    main /= max(math.sqrt(float(main @ main)), 1e-12)
    return main, float(np.median(np.arccos(np.clip(units @ main, -1.0, 1.0))))


def _is_unlike(stride: _Stride, rotation: Array) -> bool:
    """Whether a stride contradicts a mounting: gravity elsewhere in both stances, or its way aside or back."""
    up = stride.up @ rotation.T
    # No force at all, as of an accelerometer that died, is up in no frame.
    leans = np.arccos(np.clip(up[:, 2] / np.maximum(np.linalg.norm(up, axis=1), 1e-12), -1.0, 1.0))
    way = rotation @ stride.way.mean(axis=0)
    return bool(leans.min() > _UNLIKE_UP_RAD or abs(np.arctan2(way[1], way[0])) > _UNLIKE_WAY_RAD)


def _angle_deg(rotation: Array) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0))))


def _cannot_tell(reason: str, n_strides: int) -> MountingResult:
    return MountingResult("cannot tell", reason, np.eye(3), n_strides, 0.0, "unknown")
