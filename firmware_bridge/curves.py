"""Smooth curves of which a foot's path is put together: instants or phases enter, value, rate and acceleration leave.

All are polynomials or damped sines in closed form, with two continuous derivatives. Nothing here knows a foot.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Curve = tuple[Array, Array, Array]
"""Value, first and second derivative by time, each ``(n,)``."""
State = tuple[float, float, float]
"""Value, first and second derivative by time at one instant."""

FASTEST: Final = 0.6
"""When `travel` moves fastest, as a share of its time."""

_DECAY_PER_RADIAN: Final = 0.7
"""How fast a ring dies out: two visible swings, as in the real walks."""
_RING_ENDS: Final = 25.0
"""After this many times its decay, a ring is 1e-7 of its peak and counts as over."""


def phase(t: Array, start_s: float, end_s: float) -> Array:
    """0 at ``start_s`` and before, 1 at ``end_s`` and after."""
    return np.clip((t - start_s) / (end_s - start_s), 0.0, 1.0)


def hermite(u: Array, duration_s: float, start: State, end: State) -> Curve:
    """The quintic with the given states at both ends, at phases ``u`` of 0 to 1."""
    p0, v0, a0 = start[0], start[1] * duration_s, start[2] * duration_s**2
    p1, v1, a1 = end[0] - p0 - v0 - a0 / 2, end[1] * duration_s - v0 - a0, end[2] * duration_s**2 - a0
    c3, c4, c5 = 10 * p1 - 4 * v1 + a1 / 2, -15 * p1 + 7 * v1 - a1, 6 * p1 - 3 * v1 + a1 / 2
    value = p0 + u * (v0 + u * (a0 / 2 + u * (c3 + u * (c4 + u * c5))))
    rate = v0 + u * (a0 + u * (3 * c3 + u * (4 * c4 + u * 5 * c5)))
    acceleration = a0 + u * (6 * c3 + u * (12 * c4 + u * 20 * c5))
    return value, rate / duration_s, acceleration / duration_s**2


def spline(t: Array, knots: tuple[tuple[float, State], ...]) -> Curve:
    """Quintics from knot (instant in s, state) to knot, at ascending instants ``t`` between the first and the last."""
    curve = np.empty((3, len(t)))
    cuts = np.searchsorted(t, [at_s for at_s, _ in knots])
    cuts[0], cuts[-1] = 0, len(t)
    for (from_s, start), (to_s, end), first, last in zip(knots, knots[1:], cuts, cuts[1:], strict=False):
        if last > first:
            duration_s = to_s - from_s
            curve[:, first:last] = hermite((t[first:last] - from_s) / duration_s, duration_s, start, end)
    return curve[0], curve[1], curve[2]


def step(u: Array, duration_s: float) -> Curve:
    """From 0 to 1, at rest on both ends."""
    return hermite(u, duration_s, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def travel(u: Array, duration_s: float) -> Curve:
    """From 0 to 1, at rest on both ends, fastest at `FASTEST`: a swinging foot brakes harder than it sets off."""
    early = u < FASTEST
    w = np.where(early, u / FASTEST, (1 - u) / (1 - FASTEST))
    share = np.where(early, FASTEST, FASTEST - 1)
    area = share * w * w * w * (2 - w)
    value = np.where(early, area, 1 + area)
    return value, w * w * (6 - 4 * w) / duration_s, 12 * w * (1 - w) / share / duration_s**2


def bump(u: Array, duration_s: float) -> Curve:
    """From 0 over 1 in the middle back to 0, two derivatives 0 at both ends."""
    w: Array = u * (1 - u)
    w1: Array = 1 - 2 * u
    ww: Array = w * w
    return 64 * w * ww, 192 / duration_s * ww * w1, 384 / duration_s**2 * w * (w1 * w1 - w)


def wave(u: Array, duration_s: float) -> Curve:
    """A bump down and one up, about ±1, 0 in the middle, two derivatives 0 at both ends."""
    b, b1, b2 = bump(u, duration_s)
    w, w1 = 6 * u - 3, 6 / duration_s
    return b * w, b1 * w + b * w1, b2 * w + 2 * b1 * w1


def ring(tau: Array, frequency_hz: float) -> Curve:
    """``tau³ exp(-decay tau) sin(omega tau)`` for ``tau`` of 0 s and more: it begins and ends at rest in its place."""
    omega = 2 * np.pi * frequency_hz
    kappa = complex(-_DECAY_PER_RADIAN * omega, omega)
    e = np.exp(kappa * tau)
    square, k = tau * tau, kappa * tau
    return (e * tau * square).imag, (e * square * (3 + k)).imag, (e * tau * (6 + 6 * k + k * k)).imag


def ring_ends_s(frequency_hz: float) -> float:
    """How long a ring lasts."""
    return _RING_ENDS / (_DECAY_PER_RADIAN * 2 * np.pi * frequency_hz)


# A ring of f Hz has the peaks of one of 1 Hz, divided by f² (rate) and f (acceleration).
_, _RATE, _ACCELERATION = ring(np.linspace(0.0, 2.0, 4001), 1.0)
RING_PEAK_RATE: Final = float(np.abs(_RATE).max())
RING_PEAK_ACCELERATION: Final = float(np.abs(_ACCELERATION).max())


def add(*terms: tuple[float, Curve]) -> Curve:
    """The sum of curves, each times its factor."""
    factor, (value, rate, acceleration) = terms[0]
    value, rate, acceleration = factor * value, factor * rate, factor * acceleration
    for factor, curve in terms[1:]:
        if factor:
            value = value + factor * curve[0]
            rate = rate + factor * curve[1]
            acceleration = acceleration + factor * curve[2]
    return value, rate, acceleration
