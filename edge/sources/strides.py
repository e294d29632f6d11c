"""Strides, each integrated from one stance to the next: where the foot went, and what a count of the gyro is worth.

Samples of a walk go in, a direction or a scale comes out, None where the strides do not settle it. Facts used: at
stance the foot feels gravity alone and does not move, so over a stride the integrated rate must carry gravity from
where it was to where it is, and the acceleration turned by it must bring the speed back to zero. No file is read here.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.sources.detect import REST_ROWS, highest_apart, moving_mean, rest_rows
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

_MIN_STRIDES: Final = 12
_MIN_STRIDES_TO_LEAD: Final = 5
_MAX_STRIDES: Final = 200
_STANCES_APART_S: Final = 0.6
_MAX_STRIDE_S: Final = 3.0
_GRAVITY_TOLERANCE: Final = 0.1
_STILL_SHARE: Final = 0.15
"""Of the peak rate: slower than that the foot counts as flat on the floor."""
_PEAK_PERCENTILE: Final = 98
_PEAKS_RAD_S: Final = (1.0, 16.0)
_N_SCALES: Final = 45
_TILT_OUTLIER: Final = 0.05
"""Radians; a foot that came down on a step or a stone says nothing of the gyro."""
_HALVES_AGREE: Final = 0.05
WAYS_AGREE: Final = 0.1
_MAX_LEFT_SPEED: Final = 0.5
_MAX_LEFT_TILT: Final = 0.7
"""A minimum counts where no more than this share of the largest residual is left (measured: ADR 7)."""


@dataclass(frozen=True, slots=True)
class GyroScale:
    """What one count is worth in rad/s: so that the speed is zero at stance, and so that gravity is carried along.

    None where that way has no clear answer. ``n_strides`` were used.
    """

    by_speed: float | None
    by_tilt: float | None
    n_strides: int

    @property
    def agreed(self) -> float | None:
        """The scale by the speed, the closer of the two, where the other is within `WAYS_AGREE` of it; else None."""
        if self.by_speed is None or self.by_tilt is None or abs(self.by_tilt / self.by_speed - 1) > WAYS_AGREE:
            return None
        return self.by_speed


@dataclass(frozen=True, slots=True)
class _Strides:
    """``n`` strides padded with zeros to the ``m`` samples of the longest.

    ``turn`` and ``push`` ``(m, n, 3)`` are rate and acceleration times ``seconds`` ``(m, n)``; ``up_before`` and
    ``up_after`` ``(n, 3)`` are m/s² at the stances; ``peak`` is the rate of a fast swing.
    """

    turn: NDArray[np.float64]
    push: NDArray[np.float64]
    seconds: NDArray[np.float64]
    up_before: NDArray[np.float64]
    up_after: NDArray[np.float64]
    peak: float


def leads_along(samples: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64] | None:
    """The direction in which strides lead, ``(3,)`` of length 1 and level, by the sensor's axes at stance.

    ``samples`` ``(n, 6)`` are in SI units. None for fewer than five strides, or where they lead here and there.
    """
    strides = _find_strides(samples[:, :3], samples[:, 3:], rate_hz)
    if strides is None or strides.turn.shape[1] < _MIN_STRIDES_TO_LEAD:
        return None
    turned = np.tile(np.eye(3), (strides.turn.shape[1], 1, 1))
    speed = np.zeros_like(strides.up_before)
    speeds = np.zeros_like(strides.push)
    for k, (turn, push) in enumerate(zip(strides.turn, strides.push, strict=True)):
        speed = speed + np.einsum("nij,nj->ni", turned, push) - strides.up_before * strides.seconds[k][:, None]
        speeds[k] = speed
        angle = np.linalg.norm(turn, axis=1)
        axis = turn / np.where(angle > 0, angle, 1.0)[:, None]
        turned = turned @ _rotations(axis, angle)
    # The foot stands again at the end: what speed is left then is drift, taken to have grown evenly.
    elapsed = np.cumsum(strides.seconds, axis=0)
    duration = elapsed[-1]
    way = ((speeds - speed * (elapsed / duration)[:, :, None]) * strides.seconds[:, :, None]).sum(axis=0)
    up = strides.up_before / np.linalg.norm(strides.up_before, axis=1, keepdims=True)
    level = way - up * (way * up).sum(axis=1, keepdims=True)
    mean = np.median(level / np.linalg.norm(level, axis=1, keepdims=True), axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0.5 else None


def gyr_scale(acc_m_s2: NDArray[np.float64], gyr: NDArray[np.float64], rate_hz: float) -> GyroScale:
    """What one count of the gyro is worth, by acceleration ``(n, 3)`` in m/s² and counts ``(n, 3)``.

    The scale of zero speed must be the same within 5 % for the even and the odd strides.
    """
    strides = _find_strides(acc_m_s2, gyr, rate_hz)
    n_strides = 0 if strides is None else strides.turn.shape[1]
    if strides is None or n_strides < _MIN_STRIDES:
        return GyroScale(None, None, n_strides)
    scales = np.geomspace(*_PEAKS_RAD_S, _N_SCALES) / strides.peak
    speed, tilt = _left_over(strides, scales)
    even, odd, by_speed = (
        _lowest(scales, np.median(part, axis=0), _MAX_LEFT_SPEED) for part in (speed[::2], speed[1::2], speed)
    )
    if even is None or odd is None or by_speed is None or abs(even - odd) > _HALVES_AGREE * by_speed:
        by_speed = None
    bounded = tilt**2 / (1 + (tilt / _TILT_OUTLIER) ** 2)
    by_tilt = _lowest(scales, np.sqrt(bounded.mean(axis=0)), _MAX_LEFT_TILT)
    return GyroScale(by_speed, by_tilt, n_strides)


def _find_strides(acc: NDArray[np.float64], gyr: NDArray[np.float64], rate_hz: float) -> _Strides | None:
    gyr = gyr - np.median(gyr[rest_rows(np.concatenate([acc, gyr], axis=1))], axis=0)
    peak = float(np.percentile(np.linalg.norm(gyr, axis=1), _PEAK_PERCENTILE))
    if len(acc) < 2 * REST_ROWS or peak <= 0:
        return None
    up = moving_mean(acc)
    swinging = np.linalg.norm(gyr, axis=1) > 0.5 * peak
    shaken = (moving_mean(acc**2) - up**2).sum(axis=1)
    turning = moving_mean(gyr**2).sum(axis=1)
    still = (turning < (_STILL_SHARE * peak) ** 2) & (
        np.abs(np.linalg.norm(up, axis=1) / STANDARD_GRAVITY_M_S2 - 1) < _GRAVITY_TOLERANCE
    )
    unrest = shaken / STANDARD_GRAVITY_M_S2**2 + turning / peak**2
    places = np.flatnonzero(still)
    stances = highest_apart(places, -unrest[places], int(_STANCES_APART_S * rate_hz))
    pairs = [(i, j) for i, j in pairwise(stances.tolist()) if j - i < _MAX_STRIDE_S * rate_hz and swinging[i:j].any()]
    if not pairs:
        return None
    if len(pairs) > _MAX_STRIDES:
        pairs = [pairs[k] for k in np.linspace(0, len(pairs) - 1, _MAX_STRIDES).astype(int)]
    turn = np.zeros((max(j - i for i, j in pairs), len(pairs), 3))
    push = np.zeros_like(turn)
    seconds = np.zeros(turn.shape[:2])
    for k, (i, j) in enumerate(pairs):
        turn[: j - i, k] = 0.5 * (gyr[i:j] + gyr[i + 1 : j + 1]) / rate_hz
        push[: j - i, k] = 0.5 * (acc[i:j] + acc[i + 1 : j + 1]) / rate_hz
        seconds[: j - i, k] = 1.0 / rate_hz
    first, last = (list(side) for side in zip(*pairs, strict=True))
    return _Strides(turn, push, seconds, up[first], up[last], peak)


def _left_over(strides: _Strides, scales: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed in m/s and tilt in radians that are wrong at each stride's end, both ``(n_strides, n_scales)``.

    Gravity and speed are carried along in the sensor's own axes: two vectors to turn, and no orientation.
    """
    up = np.repeat(strides.up_before[:, None], len(scales), axis=1)
    speed = np.zeros_like(up)
    for turn, push, seconds in zip(strides.turn, strides.push, strides.seconds, strict=True):
        angle = np.linalg.norm(turn, axis=1)
        axis = turn / np.where(angle > 0, angle, 1.0)[:, None]
        scaled = (angle[:, None] * scales)[..., None]
        sin, rest = np.sin(scaled), 1 - np.cos(scaled)
        across = _cross_matrices(axis)  # v @ across is v × axis
        inwards = across @ across
        speed = speed + push[:, None] - up * seconds[:, None, None]
        up, speed = (v + (v @ across) * sin + (v @ inwards) * rest for v in (up, speed))
    after = (strides.up_after / np.linalg.norm(strides.up_after, axis=1, keepdims=True))[:, None]
    tilt = np.linalg.norm(up / np.linalg.norm(up, axis=2, keepdims=True) - after, axis=2)
    return np.linalg.norm(speed, axis=2), tilt


def _rotations(axis: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices ``(n, 3, 3)`` about unit axes ``(n, 3)``."""
    cross = _cross_matrices(axis)
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + sin * cross + (1 - cos) * (cross @ cross), dtype=np.float64)


def _cross_matrices(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, 3, 3)``: by such a matrix a column becomes its cross product with the axis, axis first."""
    cross = np.zeros((len(axis), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    return cross


def _lowest(scales: NDArray[np.float64], left: NDArray[np.float64], most: float) -> float | None:
    """The scale at the one minimum inside the grid; None for none, for several, or one that leaves too much.

    No turn at all also carries gravity from one flat stance to the next, so the grid's ends are no minima.
    """
    lower = (left[1:-1] < left[:-2]) & (left[1:-1] <= left[2:])
    deep = np.flatnonzero(lower & (left[1:-1] < most * left.max())) + 1
    if len(deep) != 1:
        return None
    k = int(deep[0])
    before, low, after = left[k - 1 : k + 2]
    shift = 0.5 * (before - after) / (before - 2 * low + after)
    return float(scales[k] * (scales[1] / scales[0]) ** shift)
