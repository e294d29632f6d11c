"""Which windows a decision may rest on: walking, of a sound signal, of a sensor whose mounting is known.

Input samples with their marks and resampled pieces enter; pieces in the foot frame leave, and for each window of them a
verdict. Everything follows from samples and their numbers, never from how the stream was cut: what is known of a window
is what was known when its last sample came.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.stream.gait_figures import GaitFigures
from edge.stream.gate import AHEAD_BLOCKS, MIN_WALKING_SHARE, GaitGate, Motion
from edge.stream.mounting import MountingResult, MountingWatch
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import Flag, InputQuality, QualityThresholds
from edge.stream.resample import Resampled
from edge.stream.strides import Stride, StrideDetector
from edge.stream.windows import Window
from firmware_bridge.channels import N_CHANNELS, Samples

Gravity = Literal["included", "removed"]
Mounting = Literal["correct", "trust"]
Refusal = Literal["", "standing", "not worn", "not walking", "poor quality", "unlike training data", "mounting unknown"]
"""Why a window was not used; empty where it was."""

REFUSED_FLAGS: Final = (Flag.CLIPPING, Flag.RATE_OFF, Flag.FLAT, Flag.REPEATED, Flag.OUT_OF_RANGE, Flag.GRAVITY_OFF)
"""Not the gaps: a window with too many is never made, and one with few is as good as the network was trained on."""

_KNOWN_EVENTS: Final = 16
_REFUSAL_OF_MOTION: Final[dict[Motion, Refusal]] = {
    Motion.UNKNOWN: "not walking",
    Motion.STANDING: "standing",
    Motion.NOT_WORN: "not worn",
    Motion.OTHER: "not walking",
}


@dataclass(frozen=True, slots=True)
class ScreenSpec:
    """What is looked at, and from where on a window is refused.

    ``gravity`` says what the samples hold: without it no mounting can be found, so it is then trusted as configured.
    """

    gravity: Gravity = "included"
    gate: bool = True
    mounting: Mounting = "trust"
    min_walking_share: float = MIN_WALKING_SHARE
    refused_flags: tuple[Flag, ...] = REFUSED_FLAGS
    quality: QualityThresholds = field(default_factory=QualityThresholds)

    @property
    def finds_mounting(self) -> bool:
        """Whether the foot's frame is looked for."""
        return self.mounting == "correct" and self.gravity == "included"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a window: ``motion`` is the most frequent one of its samples decided by then."""

    refusal: Refusal
    motion: Motion
    walking_share: float
    flags: tuple[Flag, ...]


class Screen:
    """One sensor's stream, judged window by window."""

    def __init__(self, spec: SignalSpec, rate_in_hz: float, screen: ScreenSpec) -> None:
        self._spec = spec
        self._screen = screen
        self._quality = InputQuality(
            rate_in_hz, mean=spec.mean, deviation=spec.deviation, gravity=screen.gravity, thresholds=screen.quality
        )
        self._watch = MountingWatch(spec.rate_hz)
        self._rotation: NDArray[np.float32] | None = None
        self._n_watched = 0
        # From which watched sample on the mounting was known, or no longer; a few, for the windows not judged yet.
        self._known: deque[tuple[int, bool]] = deque([(0, not screen.finds_mounting)], maxlen=_KNOWN_EVENTS)
        self._strides = StrideDetector(spec.rate_hz, gravity_included=screen.gravity == "included")
        self._given = (-1, -1)  # stretch as resampled, and as handed on: a turn of the frame begins another
        self._offset = self._n_seen = self._held_from = 0
        self._gate = GaitGate(spec.rate_hz)
        self._samples: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._states: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.figures = GaitFigures()
        self.new_strides: deque[Stride] = deque()
        """Plausible strides that nobody has taken yet."""

    @property
    def mounting(self) -> MountingResult:
        """How the sensor sits, as far as is known."""
        return self._watch.current

    def restart(self) -> None:
        """The sensor began anew; it may sit as before."""
        self._quality.restart()

    def hear(self, time_ns: NDArray[np.int64], samples: Samples, saturated: NDArray[np.bool_]) -> None:
        """Input samples as the sensor sent them, before the pieces that are made of them."""
        self._quality.push(time_ns, samples, saturated)

    def end_stretch(self) -> None:
        """The stretch is over: strides under way end with it."""
        self._add_strides(self._strides.finish())
        self._watch.end_stretch()
        self._given = (-1, self._given[1])

    def mounted(self, piece: Resampled) -> Iterator[Resampled]:
        """The piece in the foot frame, cut where that was found to be another one; gate and strides have seen it.

        Windows of a part are to be judged before the next part is asked for.
        """
        if piece.stretch != self._given[0]:
            if self._given[0] >= 0:
                self.end_stretch()
            self._given = (piece.stretch, self._given[1] + 1)
            self._offset = 0
            self._begin()
        begin, watched = 0, self._n_watched
        for index, rotation in self._turns(piece.samples):
            self._n_watched = watched + index
            if index > begin:
                yield self._part(piece, begin, index)
            self._add_strides(self._strides.finish())
            self._rotation = rotation
            self._given = (piece.stretch, self._given[1] + 1)
            self._offset = piece.first_index + index
            self._begin()
            begin = index
        self._n_watched = watched + len(piece.samples)
        if len(piece.samples) > begin:
            yield self._part(piece, begin, len(piece.samples))

    def judge(self, window: Window, stretch_start: int) -> Verdict:
        """The verdict on a window whose stretch began at sample ``stretch_start`` of the stream."""
        start, stop = window.sample_start - stretch_start, window.sample_stop - stretch_start
        states = self._states[start - self._held_from : self._n_decided_at(stop) - self._held_from]
        motion, walking_share = Motion.UNKNOWN, 0.0
        if len(states):
            counts = np.bincount(states, minlength=len(Motion))
            motion, walking_share = Motion(int(counts.argmax())), float(counts[Motion.WALKING] / len(states))
        flags = self._quality.window_flags(
            window.start_ns,
            window.stop_ns,
            self._samples[start - self._held_from : stop - self._held_from],
            window.bridged_share,
        )
        watched = self._n_watched - (self._n_seen - stop)
        return Verdict(self._refusal(motion, walking_share, flags, watched), motion, walking_share, flags)

    def forget(self, n_kept: int) -> None:
        """Windows that begin more than ``n_kept`` samples back were all judged."""
        n_drop = len(self._samples) - n_kept
        if n_drop > 0:
            self._samples, self._states = self._samples[n_drop:].copy(), self._states[n_drop:].copy()
            self._held_from += n_drop

    def _refusal(self, motion: Motion, walking_share: float, flags: tuple[Flag, ...], watched: int) -> Refusal:
        if self._screen.gate and walking_share < self._screen.min_walking_share:
            return _REFUSAL_OF_MOTION.get(motion, "not walking")
        bad = [flag for flag in flags if flag in self._screen.refused_flags]
        if bad:
            return "unlike training data" if bad == [Flag.OUT_OF_RANGE] else "poor quality"
        is_known = next((known for index, known in reversed(self._known) if index <= watched), False)
        return "" if is_known else "mounting unknown"

    def _begin(self) -> None:
        self._gate = GaitGate(self._spec.rate_hz)
        self._n_seen = self._held_from = 0
        self._samples, self._states = self._samples[:0], self._states[:0]

    def _turns(self, samples: Samples) -> list[tuple[int, NDArray[np.float32] | None]]:
        """Where in the piece another rotation begins to hold, and which."""
        turns: list[tuple[int, NDArray[np.float32] | None]] = []
        before = self._n_watched
        if not self._screen.finds_mounting:
            return turns
        rotation = self._rotation
        for change in self._watch.push(samples):
            is_known = change.result.state != "cannot tell"
            self._known.append((change.sample_index, is_known))
            if not is_known:
                continue
            new = change.result.rotation.astype(np.float32) if change.result.state == "corrected" else None
            is_same = new is rotation if new is None or rotation is None else np.array_equal(new, rotation)
            if not is_same:
                rotation = new
                turns.append((min(max(change.sample_index - before, 0), len(samples)), rotation))
        return turns

    def _part(self, piece: Resampled, begin: int, end: int) -> Resampled:
        samples = piece.samples[begin:end]
        if self._rotation is not None:
            samples = _turned(samples, self._rotation)
        self._add_strides(self._strides.push(samples))
        self._n_seen += len(samples)
        self._samples = np.concatenate([self._samples, samples])
        self._states = np.concatenate([self._states, self._gate.push(samples)])
        return replace(
            piece,
            stretch=self._given[1],
            first_index=piece.first_index + begin - self._offset,
            start_ns=piece.start_ns + round(self._offset * 1e9 / self._spec.rate_hz),
            samples=samples,
            bridged=piece.bridged[begin:end],
        )

    def _add_strides(self, strides: list[Stride]) -> None:
        self.new_strides.extend(stride for stride in strides if self.figures.add(stride))

    def _n_decided_at(self, n_samples: int) -> int:
        """How many samples of the stretch the gate had decided when it had seen so many."""
        block = (self._gate.lag_samples + 1) // AHEAD_BLOCKS
        return max(0, n_samples // block - AHEAD_BLOCKS + 1) * block


def _turned(samples: Samples, rotation: NDArray[np.float32]) -> Samples:
    # Written out: the last bit of a matrix product may change with the number of rows.
    turned = np.empty_like(samples)
    for first in (0, 3):
        x, y, z = (samples[:, first + axis] for axis in range(3))
        for axis, (to_x, to_y, to_z) in enumerate(rotation):
            turned[:, first + axis] = x * to_x + y * to_y + z * to_z
    return turned
