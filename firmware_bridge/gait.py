"""One person's gait: the register's figures and random numbers enter, planned strides with their jolts leave.

This module decides how a stride goes, never when to stand or to turn (`walker`) nor what path follows (`trajectory`).
"""

import math
from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.curves import Curve
from firmware_bridge.trajectory import Impact, Stride

Side = Literal["left", "right"]

FASTEST_SWING_M_S: Final = 4.7
"""Stride length over swing time: the register has means of up to 4.64; a stride beyond gets a longer swing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean and standard deviation over strides. Raises ValueError where one is not finite or the deviation negative."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"a figure needs a finite mean and a deviation of 0 or more, got {self.mean} ± {self.std}")


@dataclass(frozen=True, slots=True)
class GaitParameters:
    """One person's gait, in the figures and signs that GSTRIDE's register lists.

    The four shares of the cycle are scaled to 100 %. The toe-off angle is negative (toe down), the heel-strike angle
    positive (toe up). Clearance is the sensor's highest rise in a stride. Raises ValueError where a mean cannot be
    anybody's gait.
    """

    stride_time_s: Figure
    load_percent: Figure
    foot_flat_percent: Figure
    push_percent: Figure
    swing_percent: Figure
    toe_off_angle_deg: Figure
    heel_strike_angle_deg: Figure
    stride_length_m: Figure
    clearance_m: Figure

    def __post_init__(self) -> None:
        limits = {
            "stride_time_s": (0.5, 5.0),
            "toe_off_angle_deg": (-90.0, 0.0),
            "heel_strike_angle_deg": (0.0, 60.0),
            "stride_length_m": (0.05, 3.0),
            "clearance_m": (0.0, 1.0),
        }
        for item in fields(self):
            low, high = limits.get(item.name, (0.0, 100.0))
            mean = getattr(self, item.name).mean
            if not low <= mean <= high:
                raise ValueError(f"{item.name} must have a mean of {low:g} to {high:g}, got {mean:g}")
        if self.load_percent.mean + self.foot_flat_percent.mean + self.push_percent.mean + self.swing_percent.mean <= 0:
            raise ValueError("the four shares of the cycle must not all be 0")


class Sway:
    """Small slow turns of a foot that is never quite still: sums of sines for yaw, pitch and roll."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._omega = 2 * np.pi * rng.uniform(0.15, 1.8, size=(3, 5))
        self._phase = rng.uniform(0, 2 * np.pi, size=(3, 5))
        # 0.03 to 0.08 degrees a sine; rates of about 0.5 degree/s, as feet that stand still in the real walks.
        self._size = np.deg2rad(rng.uniform(0.03, 0.08, size=(3, 5)))

    def __call__(self, t: NDArray[np.float64]) -> tuple[Curve, Curve, Curve]:
        """Yaw, pitch and roll at instants ``t`` ``(n,)`` s."""
        angle = self._omega[:, :, None] * t + self._phase[:, :, None]
        sine, cosine = self._size[:, :, None] * np.sin(angle), self._size[:, :, None] * np.cos(angle)
        omega = self._omega[:, :, None]
        value, rate, acceleration = sine.sum(1), (omega * cosine).sum(1), (-(omega**2) * sine).sum(1)
        yaw, pitch, roll = ((value[i], rate[i], acceleration[i]) for i in range(3))
        return yaw, pitch, roll


class Person:
    """What the register does not list (how a foot rolls, yaws, swerves and rings), and the strides drawn with it."""

    def __init__(self, rng: np.random.Generator, strides: np.random.Generator) -> None:
        """``rng`` draws what stays, ``strides`` what changes from stride to stride."""
        self._rng = strides
        self.sway = Sway(rng)
        self.side: Side = "left" if rng.random() < 0.5 else "right"
        # What goes outwards on a left foot is mirrored on a right one.
        self._left = side = 1.0 if self.side == "left" else -1.0
        self._roll_rad = np.deg2rad(side * rng.uniform((2, -16), (10, -5)))
        self._yaw_rad = np.deg2rad(side * rng.uniform((-10, -6, 0), (4, 6, 8)))
        self._lateral_m = side * rng.uniform((0.005, -0.015), (0.05, 0.015))
        self._impact_hz = float(rng.uniform(12, 28))
        self._impact_size = float(rng.lognormal(0, 0.25))
        self._impact_side = float(rng.uniform(-0.4, 0.4))
        self._deviation = np.zeros(9)

    def stride(
        self,
        parameters: GaitParameters,
        start_s: float,
        *,
        turn_rad: float = 0.0,
        length_factor: float = 1.0,
        angle_factor: float = 1.0,
    ) -> Stride:
        """The next stride: each figure varies by its deviation, a little like the stride before.

        Clearances are held under 0.3 m: the register has people with more, which no walking foot reaches.
        """
        self._deviation = 0.3 * self._deviation + math.sqrt(1 - 0.3**2) * self._rng.standard_normal(9)
        varied = np.clip(self._deviation, -2.5, 2.5)
        p = parameters

        def draw(figure: Figure, index: int, low: float, high: float) -> float:
            return float(np.clip(figure.mean + figure.std * varied[index], low, high))

        time_s = draw(p.stride_time_s, 0, 0.7 * p.stride_time_s.mean, 1.5 * p.stride_time_s.mean)
        phases = (p.load_percent, p.foot_flat_percent, p.push_percent, p.swing_percent)
        load, flat, push, swing = (
            draw(figure, index, 0.5 * figure.mean, 1.5 * figure.mean) for index, figure in enumerate(phases, start=1)
        )
        length_m = draw(p.stride_length_m, 7, 0.3 * p.stride_length_m.mean, 1.6 * p.stride_length_m.mean)
        share = load + push + swing + flat
        # The least that a leg needs; what is missing comes off the foot flat.
        load_s = max(load / share * time_s, 0.06)
        push_s = max(push / share * time_s, 0.12)
        swing_s = max(swing / share * time_s, 0.2, length_m * length_factor / FASTEST_SWING_M_S)
        flat_s = max(time_s - load_s - push_s - swing_s, 0.08)
        shrink = time_s / (load_s + push_s + swing_s + flat_s)
        heel_off_s = start_s + flat_s * shrink
        toe_off_s = heel_off_s + push_s * shrink
        toe_off_rad = math.radians(-draw(p.toe_off_angle_deg, 5, -88.0, -8.0)) * angle_factor
        heel_strike_rad = math.radians(draw(p.heel_strike_angle_deg, 6, 0.0, 40.0)) * angle_factor
        clearance_m = draw(p.clearance_m, 8, 0.02, 0.3)
        mean_rise = min(p.clearance_m.mean, 0.3) / math.sin(math.radians(max(-p.toe_off_angle_deg.mean, 8.0)))
        wobble = 1 + 0.2 * self._rng.standard_normal(7)
        roll, yaw, lateral = self._roll_rad * wobble[:2], self._yaw_rad * wobble[2:5], self._lateral_m * wobble[5:]
        # Who hardly lifts the foot hardly rolls it.
        roll *= min(1.0, toe_off_rad / math.radians(50))
        unrest = np.deg2rad(0.5) * self._rng.standard_normal(3)
        return Stride(
            kind="turning" if turn_rad else "walking",
            start_s=start_s,
            heel_off_s=heel_off_s,
            toe_off_s=toe_off_s,
            heel_strike_s=toe_off_s + swing_s * shrink,
            end_s=start_s + time_s,
            length_m=length_m * length_factor,
            turn_rad=turn_rad,
            toe_off_pitch_rad=toe_off_rad,
            heel_strike_pitch_rad=-heel_strike_rad,
            clearance_m=clearance_m,
            # The heel-rise alone must not lift the sensor over the person's clearance.
            toe_lever_m=float(np.clip(0.9 * mean_rise, 0.06, 0.14)),
            lateral_m=(float(lateral[0]), float(lateral[1])),
            roll_rad=(float(roll[0]), float(roll[1])),
            yaw_rad=(float(yaw[0]), float(yaw[1]), float(yaw[2])),
            unrest_rad=(float(unrest[0]), float(unrest[1]), float(unrest[2])),
        )

    def jolts(self, stride: Stride) -> tuple[Impact, Impact, Impact]:
        """What toe-off, heel strike and forefoot slap of a stride ring like: harder the faster the foot swings."""
        speed_m_s = stride.length_m / (stride.heel_strike_s - stride.toe_off_s)
        load_s = stride.end_s - stride.heel_strike_s
        peak = min(9.0 * speed_m_s * self._impact_size, 50.0)

        def jolt(at_s: float, size: float, frequency_hz: float) -> Impact:
            vary = np.minimum(self._rng.lognormal(0, 0.35, size=3), 2.0)
            sign = self._rng.normal(0, 0.6, size=3)
            x, z = -0.5 * peak * size * vary[0], peak * size * vary[1]
            turn = 0.08 * peak * size * vary[2]
            return Impact(
                at_s=at_s + float(self._rng.normal(0, 0.004)),
                acc_m_s2=(float(x), float((self._impact_side + 0.5 * sign[0]) * z), float(z)),
                rate_rad_s=(float(sign[1] * turn), float(0.5 * turn), float((0.7 * self._left + sign[2]) * turn)),
                frequency_hz=frequency_hz,
            )

        return (
            jolt(stride.toe_off_s - 0.02, 0.35, 0.7 * self._impact_hz),
            jolt(stride.heel_strike_s, 1.0, self._impact_hz),
            jolt(stride.heel_strike_s + 0.5 * load_s, 0.5, 0.8 * self._impact_hz),
        )
