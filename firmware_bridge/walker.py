"""A walking foot: gait figures and a seed enter, 6-axis samples of standing, walking and turning leave.

`Walker` plans stride after stride and renders each once, so an endless walk needs constant memory and the samples do
not depend on how they are cut. The path of a stride is in `trajectory`, the faults of the sensor are in `imu`; nothing
here knows packets, clocks or labels.
"""

import math
from collections import deque
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.imu import Imu, ImuModel
from firmware_bridge.trajectory import Curve, Impact, Motion, Stride, move

WALKWAY_M: Final = 30.0
"""Default length of the corridor between two turns; the register does not tell it, this is our choice."""


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


class _Sway:
    """Small slow turns of a foot that is never quite still: sums of sines for yaw, pitch and roll."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._omega = 2 * np.pi * rng.uniform(0.15, 1.8, size=(3, 5))
        self._phase = rng.uniform(0, 2 * np.pi, size=(3, 5))
        # 0.05 to 0.15 degrees a sine; rates of about 1 degree/s, as feet that stand still in the real walks.
        self._size = np.deg2rad(rng.uniform(0.05, 0.15, size=(3, 5)))

    def __call__(self, t: NDArray[np.float64]) -> tuple[Curve, Curve, Curve]:
        angle = self._omega[:, :, None] * t + self._phase[:, :, None]
        sine, cosine = self._size[:, :, None] * np.sin(angle), self._size[:, :, None] * np.cos(angle)
        omega = self._omega[:, :, None]
        value, rate, acceleration = sine.sum(1), (omega * cosine).sum(1), (-(omega**2) * sine).sum(1)
        yaw, pitch, roll = ((value[i], rate[i], acceleration[i]) for i in range(3))
        return yaw, pitch, roll


class Walker:
    """One person walking up and down a corridor for as long as samples are asked for.

    ``parameters`` may be set at any time and holds from the next stride on. Equal arguments give equal samples; the
    size of the calls to `advance` changes nothing.
    """

    def __init__(
        self,
        parameters: GaitParameters,
        *,
        rate_hz: float,
        seed: int,
        walkway_m: float = WALKWAY_M,
        imu: ImuModel | None = None,
    ) -> None:
        """``imu`` None means `ImuModel()`. Raises ValueError where the rate or the walkway is not positive."""
        if not (rate_hz > 0 and walkway_m > 0):
            raise ValueError(f"rate_hz and walkway_m must be positive, got {rate_hz} and {walkway_m}")
        self.parameters = parameters
        self.rate_hz = rate_hz
        self.recent_strides: deque[Stride] = deque(maxlen=256)
        self._walkway_m = walkway_m
        person, strides, faults = np.random.SeedSequence(seed).spawn(3)
        rng = np.random.default_rng(person)
        self._rng = np.random.default_rng(strides)
        self._imu = Imu(imu or ImuModel(), rate_hz=rate_hz, seed=int(faults.generate_state(1)[0]))
        self._sway = _Sway(rng)
        side = rng.choice([-1.0, 1.0])
        self._side = float(side)
        self._roll_rad = tuple(np.deg2rad(side * rng.uniform((4, -5), (12, 5))))
        self._yaw_rad = tuple(np.deg2rad(side * rng.uniform((-8, -5), (4, 5))))
        self._lateral_m = float(side * rng.uniform(0.005, 0.04))
        self._impact_hz = float(rng.uniform(14, 26))
        self._impact_size = float(rng.lognormal(0, 0.25))
        self._impact_side = float(rng.uniform(-0.4, 0.4))
        self._deviation = np.zeros(9)
        self._since_turn_m = 0.0
        self._turns_left = 0
        self._turn_rad = 0.0
        self._stand_s = float(self._rng.uniform(3.0, 6.0))
        self._starting = False
        self._end_s = 0.0
        self._impacts: tuple[Impact, ...] = ()
        self._next_sample = 0
        self._buffer: Samples = np.empty((0, N_CHANNELS), np.float32)

    def advance(self, n_samples: int) -> Samples:
        """The next ``(n_samples, 6)`` samples."""
        out = np.empty((n_samples, N_CHANNELS), np.float32)
        done = 0
        while done < n_samples:
            if not len(self._buffer):
                self._buffer = self._render(self._plan())
            n = min(len(self._buffer), n_samples - done)
            out[done : done + n] = self._buffer[:n]
            self._buffer = self._buffer[n:]
            done += n
        return out

    def _render(self, stride: Stride) -> Samples:
        stop = math.ceil(stride.end_s * self.rate_hz)
        t = np.arange(self._next_sample, stop) / self.rate_hz
        self._next_sample = stop
        motion = self.motion(stride, t)
        return self._imu.measure(np.concatenate([motion.acc_m_s2, motion.gyr_rad_s], axis=1))

    def motion(self, stride: Stride, t: NDArray[np.float64]) -> Motion:
        """The true motion at instants ``(n,)`` s within the stride planned last (or, but for impacts, any other)."""
        return move(stride, t, sway=self._sway(t), impacts=self._impacts)

    def _plan(self) -> Stride:
        """What the foot does next: stand, turn or walk on."""
        start_s = self._end_s
        if self._stand_s > 0:
            # In pieces, so that a change of parameters and the buffer never wait long.
            stand_s = min(self._stand_s, 1.0)
            self._stand_s -= stand_s
            self._end_s = start_s + stand_s
            self._starting = self._stand_s <= 0
            self._impacts = self._impacts[-1:]
            stride = Stride("standing", start_s, self._end_s, self._end_s, self._end_s, self._end_s)
        else:
            stride = self._plan_stride(start_s)
        self.recent_strides.append(stride)
        return stride

    def _plan_stride(self, start_s: float) -> Stride:
        if self._since_turn_m >= self._walkway_m and not self._turns_left:
            self._begin_turn()
        turn_rad = 0.0
        length_factor, angle_factor = 1.0, 1.0
        if self._turns_left:
            turn_rad = self._turn_rad
            self._turns_left -= 1
            length_factor, angle_factor = 0.45, 0.75
            if not self._turns_left and self._rng.random() < 0.25:
                self._stand_s = float(self._rng.uniform(2.0, 6.0))
        elif self._starting:
            length_factor, angle_factor = 0.6, 0.8
        self._starting = False
        stride = self._draw(start_s, turn_rad, length_factor, angle_factor)
        self._end_s = stride.end_s
        self._since_turn_m += stride.length_m if not turn_rad else 0.0
        self._impacts = (*self._impacts[-1:], self._strike(stride))
        return stride

    def _begin_turn(self) -> None:
        self._since_turn_m = 0.0
        # Who steps short turns in more steps.
        fewest = 3 if self.parameters.stride_length_m.mean > 0.8 else 4
        self._turns_left = int(self._rng.integers(fewest, fewest + 2))
        self._turn_rad = float(self._rng.choice([-1.0, 1.0])) * math.pi / self._turns_left

    def _draw(self, start_s: float, turn_rad: float, length_factor: float, angle_factor: float) -> Stride:
        """A stride of this person: each figure varies by its deviation, a little like the stride before."""
        self._deviation = 0.3 * self._deviation + math.sqrt(1 - 0.3**2) * self._rng.standard_normal(9)
        varied = np.clip(self._deviation, -2.5, 2.5)
        p = self.parameters

        def draw(figure: Figure, index: int, low: float, high: float) -> float:
            return float(np.clip(figure.mean + figure.std * varied[index], low, high))

        time_s = draw(p.stride_time_s, 0, 0.7 * p.stride_time_s.mean, 1.5 * p.stride_time_s.mean)
        phases = (p.load_percent, p.foot_flat_percent, p.push_percent, p.swing_percent)
        load, flat, push, swing = (
            draw(figure, index, 0.5 * figure.mean, 1.5 * figure.mean) for index, figure in enumerate(phases, start=1)
        )
        share = load + push + swing + flat
        # The least that a leg needs; what is missing comes off the foot flat.
        load_s = max(load / share * time_s, 0.06)
        push_s = max(push / share * time_s, 0.12)
        swing_s = max(swing / share * time_s, 0.2)
        flat_s = max(time_s - load_s - push_s - swing_s, 0.08)
        shrink = time_s / (load_s + push_s + swing_s + flat_s)
        heel_off_s = start_s + flat_s * shrink
        toe_off_s = heel_off_s + push_s * shrink
        toe_off_rad = math.radians(-draw(p.toe_off_angle_deg, 5, -88.0, -8.0)) * angle_factor
        heel_strike_rad = math.radians(draw(p.heel_strike_angle_deg, 6, 0.0, 40.0)) * angle_factor
        length_m = draw(p.stride_length_m, 7, 0.3 * p.stride_length_m.mean, 1.6 * p.stride_length_m.mean)
        clearance_m = draw(p.clearance_m, 8, 0.02, 0.3)
        mean_rise = min(p.clearance_m.mean, 0.3) / math.sin(math.radians(max(-p.toe_off_angle_deg.mean, 8.0)))
        wobble = 1 + 0.15 * self._rng.standard_normal(3)
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
            lateral_m=self._lateral_m * float(wobble[0]),
            roll_rad=(self._roll_rad[0] * wobble[1], self._roll_rad[1] * wobble[1]),
            yaw_rad=(self._yaw_rad[0] * wobble[2], self._yaw_rad[1] * wobble[2]),
        )

    def _strike(self, stride: Stride) -> Impact:
        """The impact at this stride's heel strike: harder the faster the foot comes in."""
        speed_m_s = stride.length_m / (stride.heel_strike_s - stride.toe_off_s)
        vary = self._rng.lognormal(0, 0.2, size=3)
        peak = min(8.0 * speed_m_s * self._impact_size, 60.0)
        return Impact(
            at_s=stride.heel_strike_s,
            acc_m_s2=(-0.5 * peak * vary[0], self._impact_side * peak * vary[1], peak * vary[2]),
            pitch_rate_rad_s=0.05 * peak * vary[0],
            frequency_hz=self._impact_hz,
        )


def walk(
    parameters: GaitParameters,
    *,
    duration_s: float,
    rate_hz: float,
    seed: int,
    walkway_m: float = WALKWAY_M,
    imu: ImuModel | None = None,
) -> Samples:
    """``(round(duration_s * rate_hz), 6)`` samples in SI units in the foot frame: standing, then walking with turns."""
    walker = Walker(parameters, rate_hz=rate_hz, seed=seed, walkway_m=walkway_m, imu=imu)
    return walker.advance(round(duration_s * rate_hz))


def walk_with_truth(
    parameters: GaitParameters,
    *,
    duration_s: float,
    rate_hz: float,
    seed: int,
    walkway_m: float = WALKWAY_M,
    imu: ImuModel | None = None,
) -> tuple[Samples, tuple[Stride, ...]]:
    """The samples of `walk`, and every stride that begins within them."""
    walker = Walker(parameters, rate_hz=rate_hz, seed=seed, walkway_m=walkway_m, imu=imu)
    strides: list[Stride] = []
    blocks: list[Samples] = []
    for _ in range(math.ceil(duration_s)):
        blocks.append(walker.advance(min(round(rate_hz), round(duration_s * rate_hz) - sum(map(len, blocks)))))
        strides.extend(s for s in walker.recent_strides if not strides or s.start_s > strides[-1].start_s)
    return np.concatenate(blocks), tuple(strides)
