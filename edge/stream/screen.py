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

from edge.stream.counted import CountedStrides, TimedStride, turned
from edge.stream.gait_figures import GaitFigures
from edge.stream.gate import AHEAD_BLOCKS, MIN_WALKING_SHARE, GaitGate, Motion
from edge.stream.mounting import MountingResult, MountingWatch
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import Flag, InputQuality, QualityThresholds
from edge.stream.resample import Resampled
from edge.stream.windows import Window
from firmware_bridge.channels import N_CHANNELS, Samples

Gravity = Literal["included", "removed"]
Mounting = Literal["correct", "trust"]
Refusal = Literal[
    "", "gaps", "standing", "not worn", "not walking", "poor quality", "unlike training data", "mounting unknown"
]
"""Why a window was not used; empty where it was."""

REFUSED_FLAGS: Final = (Flag.CLIPPING, Flag.RATE_OFF, Flag.FLAT, Flag.REPEATED, Flag.OUT_OF_RANGE, Flag.GRAVITY_OFF)
"""Not the gaps: a window with too many is refused in any case, one with few is as good as those of the training."""

MIN_JUDGED_WINDOW_S: Final = 1.5
"""The gate decides a sample up to 1 s after it was taken: of a window that lasts 1 s nothing is known when it is
complete, and the half second more holds one swing."""

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
    ``keeps_slope``: a sensor worn as configured is left with its slope, since the network was trained on such; one worn
    otherwise is turned in any case.
    """

    gravity: Gravity = "included"
    gate: bool = True
    mounting: Mounting = "correct"
    keeps_slope: bool = False
    min_walking_share: float = MIN_WALKING_SHARE
    refused_flags: tuple[Flag, ...] = REFUSED_FLAGS
    quality: QualityThresholds = field(default_factory=QualityThresholds)

    @property
    def finds_mounting(self) -> bool:
        """Whether the foot's frame is looked for."""
        return self.mounting == "correct" and self.gravity == "included"


def screen_problems(rate_hz: float, window_samples: int) -> Iterator[str]:
    """Why the gate could not judge such windows, a line each that begins with the name of the bundle's field."""
    if not window_samples >= MIN_JUDGED_WINDOW_S * rate_hz:
        yield (
            f"window_samples is {window_samples}, {window_samples / rate_hz:.3g} s at {rate_hz:g} Hz: the gate decides "
            f"a sample up to 1 s later, so a window that it judges must last {MIN_JUDGED_WINDOW_S:g} s or more"
        )


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
            rate_in_hz,
            mean=spec.mean,
            deviation=spec.deviation,
            gravity=screen.gravity,
            thresholds=screen.quality,
            window_s=spec.window_samples / spec.rate_hz,
        )
        self._watch = MountingWatch(spec.rate_hz)
        self._rotation: NDArray[np.float32] | None = None
        self._n_watched = 0
        # From which watched sample on another frame held, and whether it was known; for the windows not judged yet.
        self._frames: deque[tuple[int, bool]] = deque([(0, False)])
        self._strides = CountedStrides(
            spec.rate_hz,
            gravity_included=screen.gravity == "included",
            min_walking_share=screen.min_walking_share if screen.gate else None,
        )
        self._stretch = -1
        self._n_seen = self._held_from = 0
        self._gate = GaitGate(spec.rate_hz)
        self._samples: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._states: NDArray[np.uint8] = np.empty(0, np.uint8)

    @property
    def figures(self) -> GaitFigures:
        """Of the strides so far."""
        return self._strides.figures

    @property
    def new_strides(self) -> deque[TimedStride]:
        """Strides that nobody has taken yet; take them out of it."""
        return self._strides.new

    @property
    def mounting(self) -> MountingResult:
        """How the sensor sits, as far as is known."""
        return self._watch.current

    @property
    def mounting_strides(self) -> int:
        """How many strides there are to tell it by."""
        return self._watch.n_strides

    def restart(self) -> None:
        """The sensor began anew; it may sit as before."""
        self._quality.restart()

    def hear(self, time_ns: NDArray[np.int64], samples: Samples, saturated: NDArray[np.bool_]) -> None:
        """Input samples as the sensor sent them, before the pieces that are made of them."""
        self._quality.push(time_ns, samples, saturated)

    def end_stretch(self) -> None:
        """The stretch is over: strides under way end with it."""
        if self._stretch >= 0:
            self._strides.decide(self._gate.finish())
            self._strides.end_stretch()
        self._watch.end_stretch()
        self._stretch = -1

    def mounted(self, piece: Resampled) -> Resampled:
        """The piece in the foot frame, as far as that is known; gate and strides have seen it."""
        if piece.stretch != self._stretch:
            self.end_stretch()
            self._stretch = piece.stretch
            self._begin(piece.start_ns)
        # The gate goes by lengths of vectors alone: it sees the samples as they came, whatever becomes of the frame.
        states = self._gate.push(piece.samples)
        self._strides.decide(states)
        self._states = np.concatenate([self._states, states])
        self._n_seen += len(piece.samples)
        samples = self._in_foot_frame(piece.samples)
        self._samples = np.concatenate([self._samples, samples])
        return replace(piece, samples=samples)

    def judge(self, window: Window, stretch_start: int) -> Verdict:
        """The verdict on a window whose stretch began at sample ``stretch_start`` of the stream."""
        start, stop = window.sample_start - stretch_start, window.sample_stop - stretch_start
        # No more than half of a window may be decided by now, of a short one nothing.
        n_decided = max(self._n_decided_at(stop) - start, 0)
        states = self._states[start - self._held_from : start - self._held_from + n_decided]
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
        watched = self._n_watched - self._n_seen
        is_mounted = self._is_mounted(watched + start, watched + stop)
        refusal: Refusal = "gaps" if window.has_gaps else self._refusal(motion, walking_share, flags, is_mounted)
        return Verdict(refusal, motion, walking_share, flags)

    def forget(self, n_kept: int) -> None:
        """Windows that begin more than ``n_kept`` samples back were all judged."""
        # Never what the gate has not decided yet, however short the windows are.
        n_drop = min(len(self._samples) - n_kept, len(self._states))
        if n_drop > 0:
            self._samples, self._states = self._samples[n_drop:].copy(), self._states[n_drop:].copy()
            self._held_from += n_drop
        while len(self._frames) > 1 and self._frames[1][0] <= self._n_watched - n_kept:
            self._frames.popleft()

    def _refusal(self, motion: Motion, walking_share: float, flags: tuple[Flag, ...], is_mounted: bool) -> Refusal:
        if self._screen.gate and walking_share < self._screen.min_walking_share:
            return _REFUSAL_OF_MOTION.get(motion, "not walking")
        bad = [flag for flag in flags if flag in self._screen.refused_flags]
        if bad:
            return "unlike training data" if bad == [Flag.OUT_OF_RANGE] else "poor quality"
        return "" if is_mounted else "mounting unknown"

    def _is_mounted(self, start: int, stop: int) -> bool:
        """Whether one frame, and one that was known, held for all the samples ``[start, stop)`` as watched."""
        if not self._screen.finds_mounting:
            return True
        before = [is_known for index, is_known in self._frames if index <= start]
        return before[-1] and not any(start < index <= stop for index, _ in self._frames)

    def _begin(self, start_ns: int) -> None:
        self._strides.begin_stretch(start_ns)
        self._gate = GaitGate(self._spec.rate_hz)
        self._n_seen = self._held_from = 0
        self._samples, self._states = self._samples[:0], self._states[:0]

    def _in_foot_frame(self, samples: Samples) -> Samples:
        """Turned as is known at each sample."""
        if not self._screen.finds_mounting:
            self._strides.push(samples, is_known=True)
            return samples
        begin, parts = 0, []
        for change in self._watch.push(samples):
            index = change.sample_index - self._n_watched
            parts.append(self._turned(samples[begin:index]))
            begin = index
            is_known = change.result.state != "cannot tell"
            if is_known:
                is_left = self._screen.keeps_slope and change.result.state == "as configured"
                rotation = np.eye(3) if is_left else change.result.rotation
                self._rotation = rotation.astype(np.float32)
                self._strides.find_frame(self._rotation)
            else:
                self._strides.lose_frame()
            self._frames.append((change.sample_index, is_known))
        parts.append(self._turned(samples[begin:]))
        self._n_watched += len(samples)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _turned(self, samples: Samples) -> Samples:
        is_known = self._frames[-1][1]
        in_frame = samples if self._rotation is None else turned(samples, self._rotation)
        self._strides.push(in_frame if is_known else samples, is_known=is_known)
        return in_frame

    def _n_decided_at(self, n_samples: int) -> int:
        """How many samples of the stretch the gate had decided when it had seen so many."""
        block = (self._gate.lag_samples + 1) // AHEAD_BLOCKS
        return max(0, n_samples // block - AHEAD_BLOCKS + 1) * block
