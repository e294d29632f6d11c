"""The path of one foot over one stride: a stride's plan and instants enter, position, attitude and derivatives leave.

Every curve is a polynomial or a damped sine known in closed form, so acceleration and angular rate are exact
derivatives of the same path and integrate back to it. This module draws no random numbers and knows no sensor faults.

Rotations are yaw about z, then pitch about y, then roll about x; world and foot frame are right-handed, z up, so a
positive pitch turns the toe down.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

Array = NDArray[np.float64]
Curve = tuple[Array, Array, Array]
"""Value, first and second derivative by time, each ``(n,)``."""

StrideKind = Literal["standing", "walking", "turning"]

SENSOR_HEIGHT_M: Final = 0.07
HEEL_LEVER_M: Final = 0.10
"""Sensor on the instep: its height over the sole, and how far the heel lies behind it."""

TRAVEL_STARTS: Final = 0.55
TRAVEL_ENDS: Final = 0.25
"""The rolling foot moves off in the second half of push and comes to rest early in load (share of that phase)."""


@dataclass(frozen=True, slots=True)
class Stride:
    """One stride from rest to rest: foot flat, push, swing, load; also the truth that tests compare with.

    Instants are seconds since the walk's start; a foot flat begins at ``start_s``, the next one at ``end_s``.
    ``length_m`` is the horizontal distance between the sensor's places at the two; ``turn_rad`` the change of heading,
    left positive. Angles are pitch, toe down positive, so ``heel_strike_pitch_rad`` is negative. While standing
    the three instants between equal ``end_s`` and all else is 0.
    """

    kind: StrideKind
    start_s: float
    heel_off_s: float
    toe_off_s: float
    heel_strike_s: float
    end_s: float
    length_m: float = 0.0
    turn_rad: float = 0.0
    toe_off_pitch_rad: float = 0.0
    heel_strike_pitch_rad: float = 0.0
    clearance_m: float = 0.0
    toe_lever_m: float = 0.13
    lateral_m: float = 0.0
    roll_rad: tuple[float, float] = (0.0, 0.0)
    yaw_rad: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Impact:
    """The foot's ringing after a heel strike: a damped micro-displacement, so it leaves no velocity behind.

    ``acc_m_s2`` is the peak for x, y, z (foot frame); ``pitch_rate_rad_s`` the peak of the rotation that rings along.
    """

    at_s: float
    acc_m_s2: tuple[float, float, float]
    pitch_rate_rad_s: float
    frequency_hz: float


@dataclass(frozen=True, slots=True)
class Motion:
    """A foot at n instants: position ``(n, 3)`` in m from the stride's start, attitude, and what an ideal IMU feels.

    ``yaw_pitch_roll_rad`` ``(n, 3)``; ``acc_m_s2`` ``(n, 3)`` specific force and ``gyr_rad_s`` ``(n, 3)``, foot frame.
    """

    position_m: Array
    yaw_pitch_roll_rad: Array
    acc_m_s2: Array
    gyr_rad_s: Array


def _hermite(u: Array, duration_s: float, start: tuple[float, float, float], end: tuple[float, float, float]) -> Curve:
    """The quintic with given value, rate and acceleration at both ends, at phases ``u`` of 0 to 1."""
    p0, v0, a0 = start[0], start[1] * duration_s, start[2] * duration_s**2
    p1, v1, a1 = end[0] - p0 - v0 - a0 / 2, end[1] * duration_s - v0 - a0, end[2] * duration_s**2 - a0
    c3, c4, c5 = 10 * p1 - 4 * v1 + a1 / 2, -15 * p1 + 7 * v1 - a1, 6 * p1 - 3 * v1 + a1 / 2
    value = p0 + u * (v0 + u * (a0 / 2 + u * (c3 + u * (c4 + u * c5))))
    rate = v0 + u * (a0 + u * (3 * c3 + u * (4 * c4 + u * 5 * c5)))
    acceleration = a0 + u * (6 * c3 + u * (12 * c4 + u * 20 * c5))
    return value, rate / duration_s, acceleration / duration_s**2


def _phase(t: Array, start_s: float, end_s: float) -> Array:
    return np.clip((t - start_s) / (end_s - start_s), 0.0, 1.0)


def _step(u: Array, duration_s: float) -> Curve:
    """From 0 to 1 at rest on both ends."""
    return _hermite(u, duration_s, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def _bump(u: Array, duration_s: float) -> Curve:
    """From 0 over 1 in the middle back to 0, two derivatives 0 at both ends."""
    w = u * (1 - u)
    w1 = 1 - 2 * u
    return 64 * w**3, 192 * w**2 * w1 / duration_s, (384 * w * w1**2 - 384 * w**2) / duration_s**2


def _wave(u: Array, duration_s: float) -> Curve:
    """A bump down and up again, about ±1, zero in the middle and two derivatives 0 at both ends."""
    b, b1, b2 = _bump(u, duration_s)
    w, w1 = 3 * (2 * u - 1), 6 / duration_s
    return b * w, b1 * w + b * w1, b2 * w + 2 * b1 * w1


def _add(*terms: tuple[float, Curve]) -> Curve:
    factor, (value, rate, acceleration) = terms[0]
    value, rate, acceleration = factor * value, factor * rate, factor * acceleration
    for factor, curve in terms[1:]:
        value, rate, acceleration = (
            value + factor * curve[0],
            rate + factor * curve[1],
            acceleration + factor * curve[2],
        )
    return value, rate, acceleration


def pitch(stride: Stride, t: Array) -> Curve:
    """The foot's pitch in rad: 0 in foot flat, largest at toe-off, then toe up until the heel strikes."""
    push_s = stride.toe_off_s - stride.heel_off_s
    swing_s = stride.heel_strike_s - stride.toe_off_s
    load_s = stride.end_s - stride.heel_strike_s
    top, bottom = stride.toe_off_pitch_rad, stride.heel_strike_pitch_rad
    # The pitch turns round at toe-off. Beyond 15 / push² the push would begin with the toe rising.
    at_top = (top, 0.0, -min(7.0 * (top - bottom) / swing_s**2, 15.0 * top / push_s**2))
    slap = min(-0.9 * bottom / load_s, -2.0 * bottom / swing_s)
    at_bottom = (bottom, slap, 0.0)
    flat = (0.0, 0.0, 0.0)
    pieces = (
        _hermite(_phase(t, stride.heel_off_s, stride.toe_off_s), push_s, flat, at_top),
        _hermite(_phase(t, stride.toe_off_s, stride.heel_strike_s), swing_s, at_top, at_bottom),
        _hermite(_phase(t, stride.heel_strike_s, stride.end_s), load_s, at_bottom, flat),
    )
    index = (t >= stride.toe_off_s).astype(int) + (t >= stride.heel_strike_s)

    def choose(order: int) -> Array:
        chosen: Array = np.choose(index, [piece[order] for piece in pieces])
        return chosen

    return choose(0), choose(1), choose(2)


_DECAY_PER_RADIAN: Final = 0.55
"""How fast a ring dies out: two visible swings, as in the real walks."""


def _ring_unscaled(tau: Array, frequency_hz: float) -> Curve:
    """``tau³ exp(-decay tau) sin(omega tau)``: it begins with value, rate and acceleration 0."""
    omega = 2 * np.pi * frequency_hz
    kappa = complex(-_DECAY_PER_RADIAN * omega, omega)
    e = np.exp(kappa * tau)
    return (
        (tau**3 * e).imag,
        ((3 * tau**2 + kappa * tau**3) * e).imag,
        ((6 * tau + 6 * kappa * tau**2 + kappa**2 * tau**3) * e).imag,
    )


# Peaks at 1 Hz; a ring of f Hz has them divided by f (acceleration) and f² (rate).
_, _RING_RATE, _RING_ACC = _ring_unscaled(np.linspace(0.0, 2.0, 4001), 1.0)
_RING_PEAK_RATE: Final = float(np.abs(_RING_RATE).max())
_RING_PEAK_ACC: Final = float(np.abs(_RING_ACC).max())


def _cross(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@dataclass(frozen=True, slots=True)
class _Attitude:
    """Rotation matrix ``(3, 3, n)`` from foot to world, and body rates and their derivatives, 3 × ``(n,)``."""

    matrix: Array
    rate: tuple[Array, Array, Array]
    rate_derivative: tuple[Array, Array, Array]


def _attitude(yaw: Curve, pitch_: Curve, roll: Curve) -> _Attitude:
    (a, a1, a2), (b, b1, b2), (c, c1, c2) = yaw, pitch_, roll
    sa, ca, sb, cb, sc, cc = np.sin(a), np.cos(a), np.sin(b), np.cos(b), np.sin(c), np.cos(c)
    matrix = np.array(
        [
            [ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc],
            [sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc],
            [-sb, cb * sc, cb * cc],
        ]
    )
    rate = (c1 - a1 * sb, b1 * cc + a1 * sc * cb, a1 * cb * cc - b1 * sc)
    rate_derivative = (
        c2 - a2 * sb - a1 * b1 * cb,
        b2 * cc - b1 * c1 * sc + a2 * sc * cb + a1 * c1 * cc * cb - a1 * b1 * sc * sb,
        a2 * cb * cc - a1 * b1 * sb * cc - a1 * c1 * cb * sc - b2 * sc - b1 * c1 * cc,
    )
    return _Attitude(matrix, rate, rate_derivative)


def _lift_m(clearance_m: float, bump: Array, height_m: Array) -> float:
    """How high the swing's bump must be for the sensor to rise by the clearance: at least 1 cm, so that it is free."""
    inner = bump > 0.05
    if not inner.any():
        return 0.01
    return float(np.clip(np.min((clearance_m - height_m[inner]) / bump[inner]), 0.01, 0.3))


def move(stride: Stride, t: Array, *, sway: tuple[Curve, Curve, Curve], impacts: tuple[Impact, ...] = ()) -> Motion:
    """The motion at the instants ``t`` ``(n,)`` s, all within the stride.

    ``sway`` (yaw, pitch, roll) turns the sensor in its place; ``impacts`` are this stride's and the one's before it.
    """
    zero = np.zeros_like(t)
    still: Curve = (zero, zero, zero)
    yaw, tilt, roll = still, still, still
    position, acceleration = np.zeros((3, len(t))), np.zeros((3, len(t)))
    position[2] = SENSOR_HEIGHT_M
    if stride.kind != "standing":
        push_s, load_s = stride.toe_off_s - stride.heel_off_s, stride.end_s - stride.heel_strike_s
        off_s, rest_s = stride.heel_off_s + TRAVEL_STARTS * push_s, stride.heel_strike_s + TRAVEL_ENDS * load_s
        free_s = rest_s - off_s
        u = _phase(t, off_s, rest_s)
        step, bump, wave = _step(u, free_s), _bump(u, free_s), _wave(u, free_s)
        tilt = pitch(stride, t)
        roll = _add((stride.roll_rad[0], bump), (stride.roll_rad[1], wave))
        yaw = _add((stride.turn_rad, step), (stride.yaw_rad[0], bump), (stride.yaw_rad[1], wave))
        # The pivot on the ground moves from the toe to the next place of the heel; the lever from it to the sensor
        # changes over in swing. R(angles) · lever and its derivatives are then those of a turning, stretching arm.
        foot = _attitude(yaw, tilt, roll)
        swing_s = stride.heel_strike_s - stride.toe_off_s
        change = _step(_phase(t, stride.toe_off_s, stride.heel_strike_s), swing_s)
        reach_m = stride.toe_lever_m + HEEL_LEVER_M
        lever = (reach_m * change[0] - stride.toe_lever_m, zero, zero + SENSOR_HEIGHT_M)
        lever_1, lever_2 = (reach_m * change[1], zero, zero), reach_m * change[2]
        spin, coriolis = _cross(foot.rate_derivative, lever), _cross(foot.rate, lever_1)
        centripetal = _cross(foot.rate, _cross(foot.rate, lever))
        arm = np.array([spin[i] + centripetal[i] + 2 * coriolis[i] for i in range(3)])
        arm[0] += lever_2
        arm_position = np.einsum("ijn,jn->in", foot.matrix, np.array(lever))
        lift_m = _lift_m(stride.clearance_m, bump[0], arm_position[2] - SENSOR_HEIGHT_M)
        half, full = stride.turn_rad / 2, stride.turn_rad
        travel = (
            stride.length_m * np.cos(half) - stride.toe_lever_m - HEEL_LEVER_M * np.cos(full),
            stride.length_m * np.sin(half) - HEEL_LEVER_M * np.sin(full),
        )
        curves = (
            _add((travel[0], step)),
            _add((travel[1], step), (stride.lateral_m, bump)),
            _add((lift_m, bump)),
        )
        position = arm_position + np.array([c[0] for c in curves])
        position[0] += stride.toe_lever_m
        acceleration = np.einsum("ijn,jn->in", foot.matrix, arm) + np.array([c[2] for c in curves])
    sway_yaw, sway_pitch, sway_roll = sway
    for impact in impacts:
        ring = _ring_unscaled(np.maximum(t - impact.at_s, 0.0), impact.frequency_hz)
        heading = stride.turn_rad if impact.at_s >= stride.start_s else 0.0
        x, y, z = impact.acc_m_s2
        direction = np.array([x * np.cos(heading) - y * np.sin(heading), x * np.sin(heading) + y * np.cos(heading), z])
        scale = impact.frequency_hz / _RING_PEAK_ACC
        position += scale * np.outer(direction, ring[0])
        acceleration += scale * np.outer(direction, ring[2])
        pitch_scale = impact.pitch_rate_rad_s * impact.frequency_hz**2 / _RING_PEAK_RATE
        sway_pitch = _add((1.0, sway_pitch), (pitch_scale, ring))
    acceleration[2] += STANDARD_GRAVITY_M_S2
    angles = (
        _add((1.0, yaw), (1.0, sway_yaw)),
        _add((1.0, tilt), (1.0, sway_pitch)),
        _add((1.0, roll), (1.0, sway_roll)),
    )
    sensor = _attitude(*angles)
    return Motion(
        position_m=position.T,
        yaw_pitch_roll_rad=np.array([angle[0] for angle in angles]).T,
        acc_m_s2=np.einsum("jin,jn->ni", sensor.matrix, acceleration),
        gyr_rad_s=np.array(sensor.rate).T,
    )
