"""Two streams of one sensor, acceleration and rotation, made into one on the sensor's clock.

Packets of either enter, with the stamp of their last sample; blocks and gaps leave. Values are never made up or
blended: a paired sample is a sample of rotation with the sample of acceleration that was taken nearest to it. The
partner is found once, by time; from then on both are counted, and the partner changes only when the two are
`RELOCK_PERIODS` apart, so that jitter about the middle between two samples does not repeat one and skip the other. A
sample whose partner is missing is missing. A stream that stays behind by `MAX_WAIT_S` is given up so far, which bounds
what is kept.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, N_CHANNELS
from firmware_bridge.devices.clocked import ClockedCounter, Placed
from firmware_bridge.events import Block, DuplicatePacket, Event, Gap

RELOCK_PERIODS: Final = 0.75
MAX_WAIT_S: Final = 10.0
"""A packet at rest holds 130 samples of a Polar sensor, 2.5 s: several of those."""


class Half(Enum):
    """One of the two streams."""

    ACC = 0
    GYR = 1


@dataclass(slots=True)
class _Stream:
    """Samples that wait for their partners."""

    clock: ClockedCounter
    index: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    time_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 3), np.float32))
    saturated: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def append(self, placed: Placed, values: NDArray[np.float32], saturated: NDArray[np.bool_]) -> None:
        index = placed.first_sample_index + np.arange(len(values))
        self.index = np.concatenate((self.index, index))
        self.time_ns = np.concatenate((self.time_ns, placed.device_time_ns))
        self.values = np.concatenate((self.values, values))
        self.saturated = np.concatenate((self.saturated, saturated))

    def forget(self, before_index: int) -> None:
        start = int(np.searchsorted(self.index, before_index))
        self.index, self.time_ns = self.index[start:], self.time_ns[start:]
        self.values, self.saturated = self.values[start:], self.saturated[start:]


class PairedStreams:
    """Both streams at one rate; numbers are those of the rotation, from the first pair on."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._max_wait = round(MAX_WAIT_S * rate_hz)
        self._begin()

    def interrupted(self) -> None:
        """The link was lost."""
        for stream in self._streams.values():
            stream.clock.interrupted()

    def feed(
        self,
        half: Half,
        values: NDArray[np.float32],
        saturated: NDArray[np.bool_],
        stamp_ns: int,
        received_ns: int,
    ) -> list[Event]:
        """Take ``(n, 3)`` SI samples of one stream, the last one stamped; gives what can be said by now."""
        stream = self._streams[half]
        placed = stream.clock.place(len(values), stamp_ns, received_ns)
        if not isinstance(placed, Placed):
            return [placed]
        events: list[Event] = []
        if placed.is_restart:
            # The other stream's numbers mean nothing either: its next packet is its first.
            self._skip_to(self._end_of_waiting(), received_ns, events)
            events.extend(placed._replace(n_missing=0).preceding(received_ns))
            self._begin()
            self._streams[half] = stream
        stream.append(placed, values, saturated)
        if self._lag is None and not self._lock():
            stream.forget(stream.clock.next_index - self._max_wait)
            return events
        if stream.clock.next_index - self._lag_of(half) <= self._next:
            events.append(DuplicatePacket(stream.clock.next_index - 1, received_ns))
        return events + self._pair(received_ns)

    def _begin(self) -> None:
        self._streams = {half: _Stream(ClockedCounter(self._rate_hz)) for half in Half}
        self._lag: int | None = None
        self._base = self._next = 0

    def _end_of_waiting(self) -> int:
        """The number after the last sample that waits for its partner."""
        ends = [int(each.index[-1]) + 1 - self._lag_of(half) for half, each in self._streams.items() if len(each.index)]
        return max(ends, default=self._next) if self._lag is not None else self._next

    def _lag_of(self, half: Half) -> int:
        """From the number of a pair to the number in the stream."""
        return self._lag if half is Half.ACC and self._lag is not None else 0

    def _lock(self) -> bool:
        """Find the partners by time, once both streams have samples."""
        acc, gyr = self._streams[Half.ACC], self._streams[Half.GYR]
        if len(acc.index) == 0 or len(gyr.index) == 0:
            return False
        apart = round(int(acc.time_ns[-1] - gyr.time_ns[-1]) / gyr.clock.period_ns)
        self._lag = int(acc.index[-1] - gyr.index[-1]) - apart
        self._base = self._next = max(int(gyr.index[0]), int(acc.index[0]) - self._lag)
        return True

    def _pair(self, received_ns: int) -> list[Event]:
        acc, gyr = self._streams[Half.ACC], self._streams[Half.GYR]
        index, acc_at, gyr_at = self._partners(acc, gyr)
        ready = max(self._next, min(each.clock.next_index - self._lag_of(half) for half, each in self._streams.items()))
        for half, each in self._streams.items():
            if len(each.index) > self._max_wait:
                ready = max(ready, int(each.index[-self._max_wait]) - self._lag_of(half))
        is_due = (index >= self._next) & (index < ready)
        index, acc_at, gyr_at = index[is_due], acc_at[is_due], gyr_at[is_due]
        events: list[Event] = []
        cuts = np.flatnonzero(np.diff(index) > 1) + 1
        for run, run_acc, run_gyr in zip(
            np.split(index, cuts), np.split(acc_at, cuts), np.split(gyr_at, cuts), strict=True
        ):
            if len(run) == 0:
                continue
            self._skip_to(int(run[0]), received_ns, events)
            samples = np.empty((len(run), N_CHANNELS), np.float32)
            samples[:, ACC], samples[:, GYR] = acc.values[run_acc], gyr.values[run_gyr]
            saturated = acc.saturated[run_acc] | gyr.saturated[run_gyr]
            first = int(run[0]) - self._base
            events.append(Block(first, gyr.time_ns[run_gyr], samples, saturated, received_ns))
            self._next = int(run[-1]) + 1
        self._skip_to(ready, received_ns, events)
        acc.forget(ready + self._lag_of(Half.ACC))
        gyr.forget(ready)
        return events

    def _partners(self, acc: _Stream, gyr: _Stream) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
        """Numbers that both have, and where; the newest pair decides whether the lock still holds."""
        found = self._common(acc, gyr)
        if len(found[0]) > 0:
            apart = int(acc.time_ns[found[1][-1]] - gyr.time_ns[found[2][-1]]) / gyr.clock.period_ns
            if abs(apart) > RELOCK_PERIODS:
                self._lag = self._lag_of(Half.ACC) - round(apart)
                found = self._common(acc, gyr)
        return found

    def _common(self, acc: _Stream, gyr: _Stream) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
        index, acc_at, gyr_at = np.intersect1d(
            acc.index - self._lag_of(Half.ACC), gyr.index, assume_unique=True, return_indices=True
        )
        return index, acc_at, gyr_at

    def _skip_to(self, index: int, received_ns: int, events: list[Event]) -> None:
        if index > self._next:
            events.append(Gap(self._next - self._base, index - self._next, received_ns))
            self._next = index
