"""The path of one foot over one stride: a stride's plan and instants enter, position, attitude and derivatives leave.

Every curve is a polynomial or a damped sine known in closed form, so acceleration and angular rate are exact
derivatives of the same path and integrate back to it. This module draws no random numbers and knows no sensor faults.

Rotations are yaw about z, then pitch about y, then roll about x; world and foot frame are right-handed, z up, so a
positive pitch turns the toe down.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from firmware_bridge.curves import (
    RING_PEAK_ACCELERATION,
    RING_PEAK_RATE,
    Array,
    Curve,
    add,
    bump,
    phase,
    ring,
    ring_ends_s,
    spline,
    step,
    travel,
    wave,
)

Curves = tuple[Curve, Curve, Curve]
"""Yaw, pitch and roll, or x, y and z."""

StrideKind = Literal["standing", "walking", "turning"]

SENSOR_HEIGHT_M: Final = 0.07
HEEL_LEVER_M: Final = 0.10
"""Sensor on the instep: its height over the sole, and how far the heel lies behind it."""

TRAVEL_STARTS: Final = 0.4
TRAVEL_ENDS: Final = 0.25
"""The rolling foot moves off within push and comes to rest early in load (share of that phase)."""

PRE_RISE: Final = 0.3
"""The last share of the foot flat (of its last 0.4 s) in which the heel rises already, by a degree or two."""


@dataclass(frozen=True, slots=True)
class Stride:
    """One stride from rest to rest: foot flat, push, swing, load; also the truth that tests compare with.

    Instants are seconds since the walk's start; a foot flat begins at ``start_s``, the next one at ``end_s``.
    ``length_m`` is the horizontal distance between the sensor's places at the two; ``turn_rad`` the change of heading,
    left positive. Angles are pitch, toe down positive, so ``heel_strike_pitch_rad`` is negative. While standing
    the three instants between equal ``end_s`` and all else is 0.

    ``roll_rad``: the roll soon after toe-off and at heel strike. ``lateral_m`` and ``yaw_rad`` are sizes of a bump and
    of a wave in swing, yaw's third that of a bump in push; ``unrest_rad`` (yaw, pitch, roll) that of the foot's slight
    rocking while it is flat.
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
    lateral_m: tuple[float, float] = (0.0, 0.0)
    roll_rad: tuple[float, float] = (0.0, 0.0)
    yaw_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    unrest_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Impact:
    """The foot's ringing after a heel strike, a slap of the forefoot or a toe-off.

    It is a damped displacement of some millimetres at most, so it leaves no velocity behind. ``acc_m_s2`` is its peak
    for x, y, z in the direction of walking, ``rate_rad_s`` (yaw, pitch, roll) that of the rotation ringing along.
    """

    at_s: float
    acc_m_s2: tuple[float, float, float]
    rate_rad_s: tuple[float, float, float]
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


def pitch(stride: Stride, t: Array) -> Curve:
    """The foot's pitch in rad: near 0 in foot flat, largest at toe-off, then toe up until the heel strikes.

    Its rate grows like a power in push, breaks off at toe-off, is level in mid-swing and jumps back at the slap of the
    forefoot: the shape of the medio-lateral rate in the real walks.
    """
    push_s = stride.toe_off_s - stride.heel_off_s
    swing_s = stride.heel_strike_s - stride.toe_off_s
    load_s = stride.end_s - stride.heel_strike_s
    top, bottom = stride.toe_off_pitch_rad, stride.heel_strike_pitch_rad
    # A heel begins to rise before its rate passes for push.
    rise_s = stride.heel_off_s - PRE_RISE * min(stride.heel_off_s - stride.start_s, 0.4)
    peak_s = stride.toe_off_s - 0.2 * push_s
    fast_s, slow_s = stride.toe_off_s + 0.22 * swing_s, stride.toe_off_s + 0.72 * swing_s
    # A quintic that ends at rate v without acceleration covers 0.4 v T when its rate grows as 4u³ - 3u⁴.
    push_rate = top / (0.4 * (peak_s - rise_s) + 0.6 * (stride.toe_off_s - peak_s))
    lift = (bottom - top) / (
        0.6 * (fast_s - stride.toe_off_s) + slow_s - fast_s + 0.5 * (stride.heel_strike_s - slow_s)
    )
    turn_round = -0.8 * (push_rate / (stride.toe_off_s - peak_s) - lift / (fast_s - stride.toe_off_s))
    slap = min(-0.6 * bottom / load_s, -2.0 * bottom / swing_s)
    fast = top + 0.6 * lift * (fast_s - stride.toe_off_s)
    knots = (
        (stride.start_s, (0.0, 0.0, 0.0)),
        (rise_s, (0.0, 0.0, 0.0)),
        (peak_s, (0.4 * push_rate * (peak_s - rise_s), push_rate, 0.0)),
        (stride.toe_off_s, (top, 0.0, turn_round)),
        (fast_s, (fast, lift, 0.0)),
        (slow_s, (fast + lift * (slow_s - fast_s), lift, 0.0)),
        (stride.heel_strike_s, (bottom, slap, 0.0)),
        (stride.end_s, (0.0, 0.0, 0.0)),
    )
    return spline(t, knots)


def _roll(stride: Stride, t: Array) -> Curve:
    """Over to one side in push, to the other in swing, and level again with the load."""
    swing_s = stride.heel_strike_s - stride.toe_off_s
    after_push, at_strike = stride.roll_rad
    knots = (
        (stride.start_s, (0.0, 0.0, 0.0)),
        (stride.heel_off_s, (0.0, 0.0, 0.0)),
        (stride.toe_off_s + 0.12 * swing_s, (after_push, 0.0, 0.0)),
        (stride.heel_strike_s - 0.04 * swing_s, (at_strike, 0.0, 0.0)),
        (stride.end_s, (0.0, 0.0, 0.0)),
    )
    return spline(t, knots)


def _cross(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@dataclass(frozen=True, slots=True)
class _Attitude:
    """Rotation matrix ``(3, 3, n)`` from foot to world, and body rates, 3 × ``(n,)``."""

    matrix: Array
    rate: tuple[Array, Array, Array]
    rate_derivative: tuple[Array, Array, Array]


def _attitude(angles: Curves) -> _Attitude:
    (a, a1, a2), (b, b1, b2), (c, c1, c2) = angles
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


def _travel_times(stride: Stride) -> tuple[float, float]:
    off_s = stride.heel_off_s + TRAVEL_STARTS * (stride.toe_off_s - stride.heel_off_s)
    return off_s, stride.heel_strike_s + TRAVEL_ENDS * (stride.end_s - stride.heel_strike_s)


def _lever_x(stride: Stride, t: Array) -> Curve:
    """From the pivot to the sensor: behind the toe until toe-off, before the heel from heel strike on."""
    change = step(phase(t, stride.toe_off_s, stride.heel_strike_s), stride.heel_strike_s - stride.toe_off_s)
    x, rate, acceleration = add((stride.toe_lever_m + HEEL_LEVER_M, change))
    return x - stride.toe_lever_m, rate, acceleration


def _lift_m(stride: Stride) -> float:
    """How high the swing's bump must be for the sensor to rise by the clearance: at least 1 cm, so that it is free."""
    off_s, rest_s = _travel_times(stride)
    u = np.linspace(0.15, 0.85, 29)
    t = off_s + u * (rest_s - off_s)
    tilt = pitch(stride, t)[0]
    height_m = -np.sin(tilt) * _lever_x(stride, t)[0] + (np.cos(tilt) - 1) * SENSOR_HEIGHT_M
    return float(np.clip(np.min((stride.clearance_m - height_m) / bump(u, 1.0)[0]), 0.01, 0.3))


def _step_forward(stride: Stride, t: Array) -> tuple[Curves, Array, Array]:
    """The angles of the foot, and the sensor's position and acceleration ``(3, n)`` in the world."""
    zero = np.zeros_like(t)
    off_s, rest_s = _travel_times(stride)
    free_s, push_s = rest_s - off_s, stride.toe_off_s - stride.heel_off_s
    u = phase(t, off_s, rest_s)
    forward, up, waving = travel(u, free_s), bump(u, free_s), wave(u, free_s)
    push_ends_s = min(stride.toe_off_s + push_s, stride.heel_strike_s)
    pushing = bump(phase(t, stride.heel_off_s, push_ends_s), push_ends_s - stride.heel_off_s)
    angles = (
        add((stride.turn_rad, forward), *zip(stride.yaw_rad, (up, waving, pushing), strict=True)),
        pitch(stride, t),
        _roll(stride, t),
    )
    # The pivot on the ground moves from the toe to the next place of the heel. What the sensor adds to that is
    # R(angles) · lever, and its second derivative that of a turning, stretching arm.
    foot = _attitude(angles)
    lever_x, lever_rate, lever_acceleration = _lever_x(stride, t)
    lever = (lever_x, zero, np.full_like(t, SENSOR_HEIGHT_M))
    spin, centripetal = _cross(foot.rate_derivative, lever), _cross(foot.rate, _cross(foot.rate, lever))
    coriolis = _cross(foot.rate, (lever_rate, zero, zero))
    arm = np.array([spin[i] + centripetal[i] + 2 * coriolis[i] for i in range(3)])
    arm[0] += lever_acceleration
    half, full = stride.turn_rad / 2, stride.turn_rad
    pivot_x_m = stride.length_m * np.cos(half) - stride.toe_lever_m - HEEL_LEVER_M * np.cos(full)
    pivot_y_m = stride.length_m * np.sin(half) - HEEL_LEVER_M * np.sin(full)
    pivot = (
        add((pivot_x_m, forward)),
        add((pivot_y_m, forward), *zip(stride.lateral_m, (up, waving), strict=True)),
        add((_lift_m(stride), up)),
    )
    position = np.einsum("ijn,jn->in", foot.matrix, np.array(lever)) + np.array([c[0] for c in pivot])
    position[0] += stride.toe_lever_m
    acceleration = np.einsum("ijn,jn->in", foot.matrix, arm) + np.array([c[2] for c in pivot])
    return angles, position, acceleration


def move(stride: Stride, t: Array, *, sway: Curves, impacts: tuple[Impact, ...] = ()) -> Motion:
    """The motion at the ascending instants ``t`` ``(n,)`` s, all within the stride.

    ``sway`` (yaw, pitch, roll) turns the sensor in its place; ``impacts`` are this stride's and those still ringing.
    """
    if stride.kind == "standing":
        position, acceleration = np.zeros((3, len(t))), np.zeros((3, len(t)))
        position[2] = SENSOR_HEIGHT_M
        angles = sway
    else:
        angles, position, acceleration = _step_forward(stride, t)
        rocking = wave(phase(t, stride.start_s, stride.heel_off_s), stride.heel_off_s - stride.start_s)
        yaw, tilt, roll = (
            add((1.0, own), (1.0, more), (unrest, rocking))
            for own, more, unrest in zip(angles, sway, stride.unrest_rad, strict=True)
        )
        angles = (yaw, tilt, roll)
    for impact in impacts:
        first, last = np.searchsorted(t, (impact.at_s, impact.at_s + ring_ends_s(impact.frequency_hz)))
        if first == last:
            continue
        value, rate, curvature = ring(t[first:last] - impact.at_s, impact.frequency_hz)
        # World axes are those of the stride's start: an earlier stride's jolt has turned with its foot already.
        heading = stride.turn_rad if impact.at_s >= stride.start_s else 0.0
        x, y, z = impact.acc_m_s2
        direction = np.array([x * np.cos(heading) - y * np.sin(heading), x * np.sin(heading) + y * np.cos(heading), z])
        direction *= impact.frequency_hz / RING_PEAK_ACCELERATION
        position[:, first:last] += np.outer(direction, value)
        acceleration[:, first:last] += np.outer(direction, curvature)
        for angle, size in zip(angles, impact.rate_rad_s, strict=True):
            scale = size * impact.frequency_hz**2 / RING_PEAK_RATE
            for part, shape in zip(angle, (value, rate, curvature), strict=True):
                part[first:last] += scale * shape
    acceleration[2] += STANDARD_GRAVITY_M_S2
    sensor = _attitude(angles)
    return Motion(
        position_m=position.T,
        yaw_pitch_roll_rad=np.array([angle[0] for angle in angles]).T,
        acc_m_s2=np.einsum("jin,jn->ni", sensor.matrix, acceleration),
        gyr_rad_s=np.array(sensor.rate).T,
    )
