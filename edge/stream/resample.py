"""From any sensor's rate to the bundle's rate, streaming and gap-aware.

Samples with their device times enter, samples on a regular grid leave. The result depends on the samples and their
times alone, never on how the stream was cut: every output is a sum over a fixed set of taps, added in a fixed order.
Arrival times never enter here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples

MIN_RATE_HZ: Final = 20.0
RELIABLE_RATE_HZ: Final = 50.0
"""Below it foot strikes are lost: sources refuse such a sensor unless the user insists."""
MAX_RATE_HZ: Final = 500.0

# Windowed-sinc interpolation (J. O. Smith, "Digital Audio Resampling"): zero crossings on each side of the centre.
# Six hold the pass band to 0.1 dB up to 0.8 of the Nyquist rate and cost 58 ms of look-ahead at 104 Hz.
ZERO_CROSSINGS: Final = 6
KAISER_BETA: Final = 7.0
# When going down the pass band ends a little below the new Nyquist rate, so that the transition band folds less.
ANTI_ALIAS_FRACTION: Final = 0.9
# Times are whole nanoseconds: a grid point that falls on a stretch's last sample may seem to lie just after it.
_ROUNDING_NS: Final = 100
_TABLE_STEPS: Final = 512  # a zero crossing; linear interpolation between them errs by less than 1e-6


def _kernel_table() -> NDArray[np.float64]:
    """The right half of the windowed sinc, exactly 1 at 0 and exactly 0 at the other zero crossings."""
    position = np.arange(ZERO_CROSSINGS * _TABLE_STEPS + 2) / _TABLE_STEPS
    inside = np.clip(1.0 - (position / ZERO_CROSSINGS) ** 2, 0.0, None)
    table = np.sinc(position) * np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
    table[_TABLE_STEPS::_TABLE_STEPS] = 0.0
    table[ZERO_CROSSINGS * _TABLE_STEPS :] = 0.0
    return np.asarray(table, dtype=np.float64)


_KERNEL: Final = _kernel_table()


@dataclass(frozen=True, slots=True)
class Resampled:
    """Consecutive samples of one stretch, on the output grid.

    ``samples`` has shape ``(n, 6)``, ``bridged`` ``(n,)``: whether a sample stands where signal was missing.
    ``stretch`` counts stretches without a long gap, ``first_index`` counts grid points since the stretch began,
    ``start_ns`` is the device time of the stretch's first sample: grid point k lies ``k / rate`` after it.
    """

    stretch: int
    first_index: int
    start_ns: int
    samples: Samples
    bridged: NDArray[np.bool_]


@dataclass(slots=True)
class GapCounts:
    """What was missing in the input, in input samples."""

    n_samples: int = 0
    n_bridged_gaps: int = 0
    n_bridged_samples: int = 0
    n_long_gaps: int = 0
    n_long_gap_samples: int = 0


class Resampler:
    """One sensor's stream on its way to ``rate_out_hz``.

    Up to ``max_bridged_gap_ms`` of missing signal are filled by linear interpolation and marked; a longer gap ends the
    stretch, and the next sample begins a new one with a new grid. Grid points are handed on in whole batches of
    ``batch_samples``, counted from the stretch's start, the rest at its end: what a packet of four samples costs here
    and behind is mostly the call.
    """

    def __init__(
        self, rate_in_hz: float, rate_out_hz: float, max_bridged_gap_ms: float, batch_samples: int = 1
    ) -> None:
        if not MIN_RATE_HZ <= rate_in_hz <= MAX_RATE_HZ:
            raise ValueError(f"rate_in_hz must lie in [{MIN_RATE_HZ:g}, {MAX_RATE_HZ:g}], got {rate_in_hz:g}")
        self.rate_in_hz = rate_in_hz
        self.rate_out_hz = rate_out_hz
        self._batch = batch_samples
        self.counts = GapCounts()
        self._period_in_ns = 1e9 / rate_in_hz
        self._max_bridged_gap_ns = max_bridged_gap_ms * 1e6
        # Kernel stretched over the input when going down: fewer, wider lobes cut what the output cannot carry.
        going_down = rate_in_hz > rate_out_hz
        self._kernel_scale = ANTI_ALIAS_FRACTION * rate_out_hz / rate_in_hz if going_down else 1.0
        self._half_taps = int(np.ceil(ZERO_CROSSINGS / self._kernel_scale))
        self._last_ns: int | None = None
        self._stretch = -1
        self._begin_stretch(0)

    def push(self, time_ns: NDArray[np.int64], samples: Samples) -> list[Resampled]:
        """Take ``(n,)`` device times, strictly increasing, and ``(n, 6)`` samples; give what can be computed by now."""
        if len(time_ns) == 0:
            return []
        previous = self._last_ns
        steps_ns = np.diff(time_ns, prepend=time_ns[0] if previous is None else previous)
        if previous is None:
            steps_ns[0] = round(self._period_in_ns)
        if np.any(steps_ns <= 0):
            raise ValueError("device times must be strictly increasing")
        missing = np.maximum(np.rint(steps_ns / self._period_in_ns).astype(np.int64) - 1, 0)
        self.counts.n_samples += len(time_ns)
        long_gap = missing * self._period_in_ns > self._max_bridged_gap_ns
        pieces: list[Resampled] = []
        begin = 0
        for border in [*np.flatnonzero(long_gap).tolist(), len(time_ns)]:
            if border > begin:
                self._append(time_ns[begin:border], samples[begin:border], missing[begin:border])
                pieces += self._emit(final=False)
            if border < len(time_ns):
                self.counts.n_long_gaps += 1
                self.counts.n_long_gap_samples += int(missing[border])
                missing[border] = 0
                pieces += self.finish()
            begin = border
        return pieces

    def finish(self) -> list[Resampled]:
        """Give the rest of the stretch; what is pushed next begins a new one."""
        pieces = self._emit(final=True)
        self._last_ns = None
        return pieces

    def _begin_stretch(self, start_ns: int) -> None:
        self._stretch += 1
        self._start_ns = start_ns
        self._last_ns = None
        self._next_output = 0
        self._times = np.empty(0, dtype=np.int64)
        self._values = np.empty((0, N_CHANNELS), dtype=np.float64)
        self._bridged = np.empty(0, dtype=np.bool_)

    def _append(self, time_ns: NDArray[np.int64], samples: Samples, missing: NDArray[np.int64]) -> None:
        """Add one piece without long gaps, its short gaps filled."""
        if self._last_ns is None:
            if self._next_output or len(self._times):
                self._begin_stretch(int(time_ns[0]))
            else:
                self._start_ns = int(time_ns[0])
            missing[0] = 0
        values = samples.astype(np.float64)
        bridged = np.zeros(len(time_ns), dtype=np.bool_)
        n_missing = int(missing.sum())
        if n_missing:
            before_ns = np.concatenate(([self._last_ns or 0], time_ns[:-1]))
            before = np.concatenate((self._values[-1:] if len(self._values) else values[:1], values[:-1]))
            # For every sample: the missing ones before it, then itself; step counts 1..missing + 1.
            owner = np.repeat(np.arange(len(time_ns)), missing + 1)
            ends = np.cumsum(missing + 1)
            step = np.arange(len(owner)) - (ends - missing - 1)[owner] + 1
            share = step / (missing[owner] + 1)
            bridged = step <= missing[owner]
            values = before[owner] + (values[owner] - before[owner]) * share[:, None]
            values[~bridged] = samples
            time_ns = before_ns[owner] + np.rint((time_ns[owner] - before_ns[owner]) * share).astype(np.int64)
            self.counts.n_bridged_gaps += int(np.count_nonzero(missing))
            self.counts.n_bridged_samples += n_missing
        self._last_ns = int(time_ns[-1])
        self._times = np.concatenate((self._times, time_ns))
        self._values = np.concatenate((self._values, values))
        self._bridged = np.concatenate((self._bridged, bridged))

    def _grid_ns(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        offset_ns: NDArray[np.int64] = np.rint(index * (1e9 / self.rate_out_hz)).astype(np.int64)
        return self._start_ns + offset_ns

    def _emit(self, *, final: bool) -> list[Resampled]:
        """Compute every grid point whose taps are there; at the end of a stretch, every grid point left."""
        n_usable = len(self._times) - self._half_taps
        if len(self._times) == 0 or (n_usable <= 0 and not final):
            return []
        # A grid point between samples j and j + 1 needs the taps up to j + half_taps: it lies before times[n_usable].
        limit_ns = int(self._times[-1]) + _ROUNDING_NS if final else int(self._times[n_usable]) - 1
        # At most so many; the exact number follows.
        n_outputs = int((limit_ns - self._start_ns) * self.rate_out_hz / 1e9) + 2 - self._next_output
        if n_outputs < (1 if final else self._batch - self._next_output % self._batch):
            return []
        index = np.arange(self._next_output, self._next_output + n_outputs)
        grid_ns = self._grid_ns(index)
        grid_ns = grid_ns[: int(np.searchsorted(grid_ns, limit_ns, side="right"))]
        if not final:
            n_whole = (self._next_output + len(grid_ns)) // self._batch * self._batch - self._next_output
            grid_ns = grid_ns[: max(0, n_whole)]
        if len(grid_ns) == 0:
            return []
        samples, bridged = self._interpolate(grid_ns)
        piece = Resampled(self._stretch, self._next_output, self._start_ns, samples, bridged)
        self._next_output += len(grid_ns)
        self._forget()
        return [piece]

    def _interpolate(self, grid_ns: NDArray[np.int64]) -> tuple[Samples, NDArray[np.bool_]]:
        left = np.searchsorted(self._times, grid_ns, side="right") - 1
        right = np.minimum(left + 1, len(self._times) - 1)
        step_ns = np.maximum(self._times[right] - self._times[left], 1)
        fraction = np.minimum((grid_ns - self._times[left]) / step_ns, right - left)
        bridged = self._bridged[left] | (self._bridged[right] & (fraction > 0))
        total = np.zeros((len(grid_ns), N_CHANNELS))
        weight_sum = np.zeros(len(grid_ns))
        last = len(self._times) - 1
        # One tap after the other, always from left to right: the order of the additions must not depend on the cut.
        for tap in range(1 - self._half_taps, self._half_taps + 1):
            position = np.abs(tap - fraction) * (self._kernel_scale * _TABLE_STEPS)
            cell = np.minimum(position.astype(np.int64), len(_KERNEL) - 2)
            weight = _KERNEL[cell] + (_KERNEL[cell + 1] - _KERNEL[cell]) * np.minimum(position - cell, 1.0)
            source = left + tap
            weight[(source < 0) | (source > last)] = 0.0  # beyond the stretch there is no signal to weigh
            if not weight.any():
                continue  # every grid point falls on a sample, as at equal rates: adding zeros changes no bit
            total += weight[:, None] * self._values[np.clip(source, 0, last)]
            weight_sum += weight
        return (total / weight_sum[:, None]).astype(np.float32), bridged

    def _forget(self) -> None:
        """Drop what no later grid point can need."""
        next_ns = self._grid_ns(np.array([self._next_output]))[0]
        left = int(np.searchsorted(self._times, next_ns, side="right")) - 1
        keep_from = max(0, left - self._half_taps)
        self._times = self._times[keep_from:]
        self._values = self._values[keep_from:]
        self._bridged = self._bridged[keep_from:]


def resample_all(
    time_ns: NDArray[np.int64],
    samples: Samples,
    *,
    rate_in_hz: float,
    rate_out_hz: float,
    max_bridged_gap_ms: float,
) -> list[Resampled]:
    """A whole recording at once, a piece a stretch; what the trainer learns limits and scaler from."""
    resampler = Resampler(rate_in_hz, rate_out_hz, max_bridged_gap_ms)
    pieces = resampler.push(time_ns, samples) + resampler.finish()
    joined: list[Resampled] = []
    for stretch in sorted({piece.stretch for piece in pieces}):
        parts = [piece for piece in pieces if piece.stretch == stretch]
        joined.append(
            Resampled(
                stretch,
                0,
                parts[0].start_ns,
                np.concatenate([part.samples for part in parts]),
                np.concatenate([part.bridged for part in parts]),
            )
        )
    return joined
