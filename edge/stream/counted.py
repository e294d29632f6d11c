"""The strides that count: of a foot in a known frame, while the gate says that it walks.

Samples as they came, what is known of the frame, and the gate's decisions enter; strides with their device time leave.
Samples from before the frame was known are held for `HELD_S`, and their strides counted once it is. Nothing depends on
how the stream was cut, and memory is bounded.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.stream.gait_figures import GaitFigures
from edge.stream.gate import Motion
from edge.stream.strides import Stride, StrideDetector
from firmware_bridge.channels import Samples

HELD_S: Final = 60.0
"""Ten slow strides, twice: the frame of 163 twins was found within 30 s, standing included."""

Rotation = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TimedStride:
    """``start_ns`` is the device time at which the stride began: the foot came down."""

    start_ns: int
    stride: Stride


@dataclass(slots=True, eq=False)
class _Stretch:
    """``states`` are the gate's decisions from sample ``first_state`` on; ``is_over``: no more will come."""

    start_ns: int
    states: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    first_state: int = 0
    is_over: bool = False

    @property
    def n_decided(self) -> int:
        return self.first_state + len(self.states)


@dataclass(frozen=True, slots=True)
class _Held:
    """Samples of a stretch, from its sample ``first`` on, in a frame that was not known yet."""

    stretch: _Stretch
    first: int
    samples: Samples


class CountedStrides:
    """One sensor's strides. Without ``min_walking_share`` the gate is not asked."""

    def __init__(self, rate_hz: float, *, gravity_included: bool, min_walking_share: float | None) -> None:
        self._rate_hz = rate_hz
        self._min_walking_share = min_walking_share
        self._n_kept = round(HELD_S * rate_hz)
        self._detector = StrideDetector(rate_hz, gravity_included=gravity_included)
        self._detects_from = 0  # sample of the stretch with which the detector began
        self._stretch = _Stretch(0)
        self._n_samples = 0  # of the stretch
        self._held: deque[_Held] = deque()
        self._n_held = 0
        self._waiting: deque[tuple[_Stretch, int, Stride]] = deque()
        self.figures = GaitFigures()
        self.new: deque[TimedStride] = deque()
        """Plausible strides that nobody has taken yet."""

    def begin_stretch(self, start_ns: int) -> None:
        """Samples and decisions from here on are of a stretch that began at this device time."""
        self._stretch = _Stretch(start_ns)
        self._n_samples = self._detects_from = 0

    def end_stretch(self) -> None:
        """Strides under way end with the stretch; all its samples are decided."""
        self._stretch.is_over = True
        self._wait(self._stretch, self._detector.finish())
        self._settle()

    def push(self, samples: Samples, *, is_known: bool) -> None:
        """The next ``(n, 6)`` samples of the stretch: in the foot frame, or as they came while it is not known."""
        if is_known:
            self._wait(self._stretch, self._detector.push(samples))
        elif len(samples):
            self._held.append(_Held(self._stretch, self._n_samples, samples))
            self._n_held += len(samples)
            while self._n_held - len(self._held[0].samples) >= self._n_kept:
                self._n_held -= len(self._held.popleft().samples)
        self._n_samples += len(samples)
        self._settle()
        self._forget()

    def lose_frame(self) -> None:
        """The frame does not hold any longer: strides under way end."""
        self._wait(self._stretch, self._detector.finish())

    def find_frame(self, rotation: Rotation) -> None:
        """Another frame holds from here on, and held for the samples since the last was lost."""
        self._wait(self._stretch, self._detector.finish())
        before: _Stretch | None = None
        n_over = max(0, self._n_held - self._n_kept)  # of the first piece: what is held must not depend on the cut
        for held in self._held:
            if held.stretch is not before:
                if before is not None:
                    self._wait(before, self._detector.finish())
                before, self._detects_from = held.stretch, held.first + n_over
            self._wait(held.stretch, self._detector.push(turned(held.samples[n_over:], rotation)))
            n_over = 0
        if before is not None and before is not self._stretch:
            self._wait(before, self._detector.finish())
            before = None
        if before is None:
            self._detects_from = self._n_samples
        self._held.clear()
        self._n_held = 0
        self._settle()

    def decide(self, states: NDArray[np.uint8]) -> None:
        """The gate's decisions on the stretch's next samples, in order."""
        self._stretch.states = np.concatenate([self._stretch.states, states])

    def _wait(self, stretch: _Stretch, strides: list[Stride]) -> None:
        self._waiting.extend((stretch, self._detects_from, stride) for stride in strides)

    def _settle(self) -> None:
        """Count the strides of which every sample is decided."""
        while self._waiting:
            stretch, offset, stride = self._waiting[0]
            is_decided = stretch.is_over or stretch.n_decided >= offset + stride.stop_index
            if self._min_walking_share is not None and not is_decided:
                return
            self._waiting.popleft()
            if self._is_walked(stretch, offset, stride) and self.figures.add(stride):
                start_ns = stretch.start_ns + round((offset + stride.start_index) * 1e9 / self._rate_hz)
                self.new.append(TimedStride(start_ns, stride))

    def _forget(self) -> None:
        """Decisions that neither a stride that waits nor what is held can ask for."""
        stretch = self._stretch
        n_old = self._n_samples - 2 * self._n_kept - stretch.first_state
        if n_old > self._n_kept:  # rarely, and then much
            stretch.states = stretch.states[n_old:].copy()
            stretch.first_state += n_old

    def _is_walked(self, stretch: _Stretch, offset: int, stride: Stride) -> bool:
        if self._min_walking_share is None:
            return True
        start, stop = (max(0, offset + at - stretch.first_state) for at in (stride.start_index, stride.stop_index))
        states = stretch.states[start:stop]
        return len(states) > 0 and bool(np.mean(states == Motion.WALKING) >= self._min_walking_share)


def turned(samples: Samples, rotation: Rotation) -> Samples:
    """``(n, 6)`` samples in another frame, the same to the bit however many rows there are."""
    # Written out: the last bit of a matrix product may change with the number of rows.
    vectors = samples.reshape(-1, 2, 3)
    result = vectors[..., :1] * rotation[:, 0] + vectors[..., 1:2] * rotation[:, 1] + vectors[..., 2:] * rotation[:, 2]
    return np.asarray(result.reshape(samples.shape))
