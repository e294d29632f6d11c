"""How far the foot went from one foot flat to the next, by integration that knows it stood still at both ends.

Samples with gravity go in, in the sensor's own axes; a distance leaves, or None where the foot was not flat. At foot
flat the accelerometer feels gravity alone: it says where up is, and what speed the integral then has is its error.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2

Floats = NDArray[np.float64]

FLAT_S: Final = 0.1
"""How long a foot flat is at least: a tenth of a brisk stride, of which it takes 27 % or more (register)."""
_TURNING_RAD_S: Final = 0.8
"""A foot that turns faster in its calmest moment is not flat: 46 deg/s; real feet have 2 to 20 there."""
_GRAVITY_TOLERANCE: Final = 0.15
"""Of gravity: what calibration, a slight slope and the end of an impact leave at most."""


def find_flat(samples: Floats, rate_hz: float) -> int | None:
    """The index of the calmest moment of ``(n, 6)`` samples, None where the foot was never flat."""
    width = max(round(FLAT_S * rate_hz), 3) | 1
    if len(samples) < width:
        return None
    turning = np.concatenate(([0.0], np.cumsum(np.sum(samples[:, GYR] ** 2, axis=1))))
    mean_square = (turning[width:] - turning[:-width]) / width
    first = int(np.argmin(mean_square))
    force = float(np.linalg.norm(samples[first : first + width, ACC].mean(axis=0)))
    if mean_square[first] > _TURNING_RAD_S**2 or abs(force / STANDARD_GRAVITY_M_S2 - 1) > _GRAVITY_TOLERANCE:
        return None
    return first + width // 2


def distance_m(samples: Floats, rate_hz: float) -> float:
    """Level distance between the first and the last of ``(n, 6)`` samples, both in the middle of a foot flat."""
    half = max(round(FLAT_S * rate_hz), 3) // 2
    up, up_after = samples[: half + 1, ACC].mean(axis=0), samples[-half - 1 :, ACC].mean(axis=0)
    turned = attitudes(0.5 * (samples[:-1, GYR] + samples[1:, GYR]) / rate_hz)
    return displacement_m(samples[:, ACC], turned, up, up_after, rate_hz)[0]


def displacement_m(force: Floats, turned: Floats, up: Floats, up_after: Floats, rate_hz: float) -> tuple[float, float]:
    """Level distance and rise, by forces ``(n, 3)`` felt in the attitudes ``turned`` ``(n, 3, 3)``, from rest to rest.

    ``up`` and ``up_after`` ``(3,)`` are the force felt in these rests, which is gravity. The last tilt and the last
    speed should be those of a foot at rest; what they are besides grew evenly.
    """
    share = (np.arange(len(force)) / (len(force) - 1))[:, None]
    acc = np.einsum("nij,nj->ni", turned, force)
    landed = turned[-1] @ up_after
    length, length_after = math.sqrt(float(up @ up)), math.sqrt(float(up_after @ up_after))
    # The turn that takes gravity from where the gyro left it to where it was; small, so it adds up.
    error = _cross_matrix(landed) @ up / (length_after * length)
    acc += share * (acc @ _cross_matrix(error).T)
    # Gravity as this sensor felt it at either end, so that its scale and bias do not matter.
    upward = up / length
    acc -= (length + share * (length_after - length)) * upward
    speed = np.cumsum(acc, axis=0) / rate_hz
    speed -= share * speed[-1]
    way = speed.sum(axis=0) / rate_hz
    rise_m = float(way @ upward)
    level = way - rise_m * upward
    return math.sqrt(float(level @ level)), rise_m


def attitudes(turn_rad: Floats) -> Floats:
    """Rotations ``(n + 1, 3, 3)`` since the start, by ``(n, 3)`` turns in rad, each about axes turned by then."""
    angle = np.maximum(np.sqrt((turn_rad**2).sum(axis=1)), 1e-12)
    cross = np.zeros((len(turn_rad), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = turn_rad
    cross[:, [1, 2, 0], [2, 0, 1]] = -turn_rad
    sin, rest = (np.sin(angle) / angle)[:, None, None], ((1 - np.cos(angle)) / angle**2)[:, None, None]
    since = np.empty((len(turn_rad) + 1, 3, 3))
    since[0] = np.eye(3)
    turns = np.add(since[0], sin * cross + rest * (cross @ cross), out=since[1:])
    # Products of all turns so far: of 2, then 4, then 8 turns at a time.
    reach = 1
    while reach < len(turns):
        turns[reach:] = turns[:-reach] @ turns[reach:]
        reach *= 2
    return since


def _cross_matrix(vector: Floats) -> Floats:
    """``(3, 3)``: times another vector it is the cross product of both. numpy's own is six times as slow."""
    x, y, z = vector.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
