"""What a worn sensor feels when nobody walks: a kind of movement and a seed enter, 6-axis samples leave.

Stairs, sitting with its fidgets, cycling, and a sensor held in a moving hand. Like `walker.Walker`: planned piece by
piece, each rendered once, so memory stays constant and the samples do not depend on how they are cut. The sizes and
speeds are our own choice within what people do; no recording stands behind them. Nothing here knows packets or labels.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Literal, get_args

import numpy as np

from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.curves import Array, Curve, add, bump, phase, step, travel, wave
from firmware_bridge.gait import Person
from firmware_bridge.imu import Imu, ImuModel
from firmware_bridge.trajectory import TRAVEL_ENDS, TRAVEL_STARTS, Curves, Impact, Stride, move

__all__ = ["MOVEMENTS", "MovementKind", "Mover"]

MovementKind = Literal["stairs up", "stairs down", "sitting", "cycling", "hand"]
MOVEMENTS: Final[tuple[MovementKind, ...]] = get_args(MovementKind)

STEP_HEIGHT_M: Final = (0.15, 0.19)
STEP_DEPTH_M: Final = (0.26, 0.31)
"""Of stairs in houses; a foot takes every second step."""
CRANK_M: Final = 0.17
CADENCE_RPM: Final = (50.0, 95.0)
INSTEP_LEVER_M: Final = 0.1
"""From the heel or the pedal's axle to the sensor on the instep."""

Piece = tuple[float, Callable[[Array], tuple[Curves, Array]]]
"""How long it lasts in s; its yaw, pitch, roll and acceleration in the world ``(3, n)`` at seconds since its start."""


class Mover:
    """One person (or hand) making one kind of movement for as long as samples are asked for.

    Equal arguments give equal samples; the size of the calls to `advance` changes nothing.
    """

    def __init__(self, kind: MovementKind, *, rate_hz: float, seed: int, imu: ImuModel | None = None) -> None:
        """``imu`` None means `ImuModel()`. Raises ValueError for an unknown kind or a rate that is not positive."""
        if kind not in MOVEMENTS:
            raise ValueError(f"kind must be one of {', '.join(MOVEMENTS)}, got {kind!r}")
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        self.kind: MovementKind = kind
        self.rate_hz = rate_hz
        person, plan, faults = np.random.SeedSequence(seed).spawn(3)
        self._rng = np.random.default_rng(plan)
        self._person = Person(np.random.default_rng(person), self._rng)
        self._imu = Imu(imu or ImuModel(), rate_hz=rate_hz, seed=int(faults.generate_state(1)[0]))
        self._end_s = 0.0
        self._next_sample = 0
        self._impacts: deque[Impact] = deque(maxlen=6)
        self._buffer: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._stairs = self._climb() if kind.startswith("stairs") else None
        self._pieces = {"sitting": self._sit, "cycling": self._cycle, "hand": self._hold}.get(kind, self._stand)()

    def advance(self, n_samples: int) -> Samples:
        """The next ``(n_samples, 6)`` samples, SI units, gravity in."""
        out = np.empty((n_samples, N_CHANNELS), np.float32)
        done = 0
        while done < n_samples:
            if not len(self._buffer):
                self._buffer = self._render()
            n = min(len(self._buffer), n_samples - done)
            out[done : done + n] = self._buffer[:n]
            self._buffer = self._buffer[n:]
            done += n
        return out

    def _instants(self, start_s: float, end_s: float) -> Array:
        stop = math.ceil(end_s * self.rate_hz)
        t = np.arange(self._next_sample, stop) / self.rate_hz
        self._next_sample, self._end_s = stop, end_s
        return np.clip(t, start_s, None)

    def _render(self) -> Samples:
        start_s = self._end_s
        if self._stairs is not None:
            stride, rise_m = next(self._stairs)
            t = self._instants(start_s, stride.end_s)
            off_s = stride.heel_off_s + TRAVEL_STARTS * (stride.toe_off_s - stride.heel_off_s)
            rest_s = stride.heel_strike_s + TRAVEL_ENDS * (stride.end_s - stride.heel_strike_s)
            world = np.zeros((3, len(t)))
            if rise_m:
                world[2] = rise_m * travel(phase(t, off_s, rest_s), rest_s - off_s)[2]
            motion = move(stride, t, sway=self._person.sway(t), impacts=tuple(self._impacts))
        else:
            duration_s, at = next(self._pieces)
            t = self._instants(start_s, start_s + duration_s)
            angles, world = at(t - start_s)
            yaw, pitch, roll = (add((1.0, a), (1.0, b)) for a, b in zip(angles, self._person.sway(t), strict=True))
            still = Stride("standing", start_s, self._end_s, self._end_s, self._end_s, self._end_s)
            motion = move(still, t, sway=(yaw, pitch, roll))
        acc = motion.acc_m_s2 + _to_sensor(motion.yaw_pitch_roll_rad, world)
        return self._imu.measure(np.concatenate([acc, motion.gyr_rad_s], axis=1))

    def _uniform(self, low: float, high: float) -> float:
        return float(self._rng.uniform(low, high))

    def _stand(self) -> Iterator[Piece]:
        while True:
            yield 1.0, _rest

    def _climb(self) -> Iterator[tuple[Stride, float]]:
        """Flights of stairs with a winding stride and a pause between; strides with what they rise by."""
        way = 1.0 if self.kind == "stairs up" else -1.0
        height_m, depth_m = self._uniform(*STEP_HEIGHT_M), self._uniform(*STEP_DEPTH_M)
        yield self._pause(2.0, 4.0), 0.0
        while True:
            n_strides = int(self._rng.integers(4, 9))
            for number in range(n_strides):
                # The leading foot's first step is one step high, all others two.
                steps = 1 if number == 0 and self._rng.random() < 0.5 else 2
                yield self._stair_stride(steps * depth_m, way), way * steps * height_m
            # Winding steps, so that every stride of this kind of movement is one on stairs.
            turn_rad = math.copysign(math.pi / 2, self._uniform(-1, 1))
            yield self._stair_stride(2 * depth_m, way, turn_rad), way * 2 * height_m
            yield self._pause(1.0, 2.5), 0.0

    def _pause(self, low_s: float, high_s: float) -> Stride:
        end_s = self._end_s + self._uniform(low_s, high_s)
        return Stride("standing", self._end_s, end_s, end_s, end_s, end_s)

    def _stair_stride(self, length_m: float, way: float, turn_rad: float = 0.0) -> Stride:
        """One stride: up with the toes following flat, down with the forefoot first."""
        start_s, time_s = self._end_s, self._uniform(1.1, 1.5)
        shares = np.cumsum([self._uniform(0.3, 0.38), 0.14, self._uniform(0.36, 0.42)])
        heel_off_s, toe_off_s, strike_s = (start_s + float(share) * time_s for share in shares)
        stride = Stride(
            kind="turning" if turn_rad else "walking",
            start_s=start_s,
            heel_off_s=heel_off_s,
            toe_off_s=toe_off_s,
            heel_strike_s=strike_s,
            end_s=start_s + time_s,
            length_m=length_m * self._uniform(0.95, 1.05),
            turn_rad=turn_rad,
            toe_off_pitch_rad=self._uniform(0.35, 0.6),
            heel_strike_pitch_rad=-0.05 if way > 0 else self._uniform(0.1, 0.3),
            clearance_m=self._uniform(0.06, 0.12),
        )
        self._impacts.extend(self._person.jolts(stride))
        return stride

    def _sit(self) -> Iterator[Piece]:
        """Quiet feet, and every few seconds taps, a bouncing heel, a dangling leg or a foot set elsewhere."""
        while True:
            yield self._uniform(2.0, 8.0), _rest
            kind = self._rng.choice(["tap", "bounce", "dangle", "shift"])
            if kind == "tap":
                size_rad, beat_s = self._uniform(0.12, 0.3), self._uniform(0.25, 0.4)
                for _ in range(self._rng.integers(3, 12)):
                    yield beat_s, _rock(beat_s, -size_rad, INSTEP_LEVER_M)
                    yield beat_s * self._uniform(0.2, 1.0), _rest
            elif kind == "bounce":
                size_rad, beat_s = self._uniform(0.05, 0.12), self._uniform(0.16, 0.25)
                for _ in range(self._rng.integers(10, 40)):
                    yield beat_s, _rock(beat_s, size_rad, INSTEP_LEVER_M)
            elif kind == "dangle":
                size_rad, beat_s = self._uniform(0.2, 0.5), self._uniform(0.9, 1.3)
                for _ in range(self._rng.integers(3, 10)):
                    yield beat_s, _rock(beat_s, size_rad, 0.4, wave)
            else:
                duration_s = self._uniform(0.5, 1.0)
                away_m = self._rng.uniform((-0.2, -0.15, 0.0), (0.2, 0.15, 0.0))
                turn = (0.0, self._uniform(-0.4, 0.4), self._uniform(-0.2, 0.2))
                yield duration_s, _shift(duration_s, away_m, turn, self._uniform(0.03, 0.1))

    def _cycle(self) -> Iterator[Piece]:
        """Pedals without a pause; the foot nods with the crank."""
        omega = 2 * math.pi / 60 * self._uniform(*CADENCE_RPM)
        sway, sway_omega = self._uniform(0.1, 0.4), self._uniform(0.3, 0.8)
        nod, more, lag = self._uniform(0.2, 0.4), self._uniform(0.02, 0.08), self._uniform(0, 2 * math.pi)
        start_s = 0.0

        def at(start_s: float) -> Callable[[Array], tuple[Curves, Array]]:
            def pedal(since_s: Array) -> tuple[Curves, Array]:
                t = since_s + start_s
                angle = omega * t + sway * np.sin(sway_omega * t)
                rate = omega + sway * sway_omega * np.cos(sway_omega * t)
                change = -sway * sway_omega**2 * np.sin(sway_omega * t)

                def nodding(times: int, size: float) -> Curve:
                    s, c = size * np.sin(times * angle + lag), size * np.cos(times * angle + lag)
                    return s, times * rate * c, times * change * c - (times * rate) ** 2 * s

                pitch = add((1.0, nodding(1, nod)), (1.0, nodding(2, more)))
                x = -CRANK_M * (np.cos(angle) * rate**2 + np.sin(angle) * change)
                z = -CRANK_M * (np.sin(angle) * rate**2 - np.cos(angle) * change)
                zero = np.zeros_like(t)
                return _nod(pitch), np.array([x, zero, z + INSTEP_LEVER_M * pitch[2]])

            return pedal

        while True:
            yield 1.0, at(start_s)
            start_s += 1.0

    def _hold(self) -> Iterator[Piece]:
        """A hand reaches from pose to pose with short rests, and sometimes waves or shakes what it holds."""
        pose = np.zeros(3)
        while True:
            if self._rng.random() < 0.6:
                duration_s, goal = self._uniform(0.4, 1.0), self._rng.uniform((-1.5, -1.0, -1.0), (1.5, 1.0, 1.0))
                yield duration_s, _reach(duration_s, pose, goal, self._rng.uniform(-0.4, 0.4, size=3))
                pose = goal
            else:
                beat_s, turn = self._uniform(0.25, 0.8), self._rng.uniform(-0.6, 0.6, size=3)
                away_m = self._rng.uniform(-0.25, 0.25, size=3) * beat_s**2  # the quicker, the smaller
                for _ in range(self._rng.integers(2, 8)):
                    yield beat_s, _shake(beat_s, pose, turn, away_m)
            yield self._uniform(0.05, 0.8), _posed(pose)


def _to_sensor(yaw_pitch_roll_rad: Array, world: Array) -> Array:
    """``(3, n)`` vectors of the world in the sensor's axes, ``(n, 3)``, at attitudes ``(n, 3)``."""
    (sa, sb, sc), (ca, cb, cc) = np.sin(yaw_pitch_roll_rad.T), np.cos(yaw_pitch_roll_rad.T)
    x, y, z = world
    level_x, level_y = ca * x + sa * y, ca * y - sa * x
    tilted_x, tilted_z = cb * level_x - sb * z, sb * level_x + cb * z
    return np.stack([tilted_x, cc * level_y + sc * tilted_z, cc * tilted_z - sc * level_y], axis=1)


def _constant(value: float, t: Array) -> Curve:
    return np.full_like(t, value), np.zeros_like(t), np.zeros_like(t)


def _nod(pitch: Curve) -> Curves:
    zero = np.zeros_like(pitch[0])
    return (zero, zero, zero), pitch, (zero, zero, zero)


def _rest(t: Array) -> tuple[Curves, Array]:
    return _nod(_constant(0.0, t)), np.zeros((3, len(t)))


def _posed(pose: Array) -> Callable[[Array], tuple[Curves, Array]]:
    def at(t: Array) -> tuple[Curves, Array]:
        yaw, pitch, roll = (_constant(float(angle), t) for angle in pose)
        return (yaw, pitch, roll), np.zeros((3, len(t)))

    return at


def _rock(
    duration_s: float, size_rad: float, lever_m: float, shape: Callable[[Array, float], Curve] = bump
) -> Callable[[Array], tuple[Curves, Array]]:
    """A pitch there and back about a point ``lever_m`` from the sensor."""

    def at(t: Array) -> tuple[Curves, Array]:
        pitch = add((size_rad, shape(t / duration_s, duration_s)))
        zero = np.zeros_like(t)
        return _nod(pitch), np.array([zero, zero, lever_m * pitch[2]])

    return at


def _shift(
    duration_s: float, away_m: Array, turn_rad: tuple[float, float, float], lift_m: float
) -> Callable[[Array], tuple[Curves, Array]]:
    """Lifted, set down elsewhere; the foot turns on the way and lies as before."""

    def at(t: Array) -> tuple[Curves, Array]:
        moved, lifted = travel(t / duration_s, duration_s), bump(t / duration_s, duration_s)
        yaw, pitch, roll = (add((size, lifted)) for size in turn_rad)
        world = np.outer(away_m, moved[2])
        world[2] += lift_m * lifted[2]
        return (yaw, pitch, roll), world

    return at


def _reach(duration_s: float, pose: Array, goal: Array, away_m: Array) -> Callable[[Array], tuple[Curves, Array]]:
    def at(t: Array) -> tuple[Curves, Array]:
        going = step(t / duration_s, duration_s)
        yaw, pitch, roll = (
            add((1.0, _constant(float(a), t)), (float(b - a), going)) for a, b in zip(pose, goal, strict=True)
        )
        return (yaw, pitch, roll), np.outer(away_m, going[2])

    return at


def _shake(duration_s: float, pose: Array, turn_rad: Array, away_m: Array) -> Callable[[Array], tuple[Curves, Array]]:
    def at(t: Array) -> tuple[Curves, Array]:
        there = wave(t / duration_s, duration_s)
        yaw, pitch, roll = (
            add((1.0, _constant(float(a), t)), (float(b), there)) for a, b in zip(pose, turn_rad, strict=True)
        )
        return (yaw, pitch, roll), np.outer(away_m, there[2])

    return at
