"""Sample numbers for a sensor that stamps its packets with a clock of its own: what is missing follows from the stamps.

The stamp of a packet's last sample and its time of arrival enter; a place for the samples, or why they have none,
leaves. The arrival never decides a number: it only says how often a short clock went round, and whether a stamp is
credible. Counts are exact while the clock strays less than half a sample over an outage. No stamp raises.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.events import CorruptPacket, DuplicatePacket, Event, Gap, Restart

CLOCK_SLACK_NS: Final = 60_000_000_000
"""A stamp may be so much ahead of the host's clock (a link that stalled and caught up), or behind after an outage."""
LATE_NS: Final = 1_000_000_000
"""While connected, a stamp that goes back less is a repeated packet; further back the clock itself went."""
RATE_SPAN_NS: Final = 60_000_000_000
"""The rate is measured over one to two of these spans."""
RATE_TOLERANCE: Final = 0.1
"""A measured rate further from the nominal one than this is not believed."""
UNMEASURED_SHARE: Final = 0.1
MEASURED_SHARE: Final = 0.01
"""Of its own samples a packet may be so many late before one is missing: the rate is not known better. At least ½."""


class Placed(NamedTuple):
    """Where samples stand: how many are missing before them, the first one's number, ``(n,)`` increasing times.

    ``is_restart``: the clock began anew, and the numbers with it.
    """

    is_restart: bool
    n_missing: int
    first_sample_index: int
    device_time_ns: NDArray[np.int64]

    def preceding(self, received_ns: int) -> list[Event]:
        """What is to be told before these samples."""
        events: list[Event] = [Restart(0, received_ns)] if self.is_restart else []
        if self.n_missing > 0:
            events.append(Gap(self.first_sample_index - self.n_missing, self.n_missing, received_ns))
        return events


class _Seen(NamedTuple):
    """The last sample of a packet: the time it was given, its number, when it came, and its packet's length."""

    time_ns: int
    number: int
    received_ns: int
    n_samples: int


class ClockedCounter:
    """One stream's samples, numbered from its first packet on; ``wrap_ns`` is what the clock counts to, if it wraps."""

    def __init__(self, rate_hz: float, wrap_ns: int | None = None) -> None:
        self._nominal_ns = 1e9 / rate_hz
        self._wrap_ns = wrap_ns
        self._last: _Seen | None = None
        self._doubted: _Seen | None = None
        self._was_interrupted = False
        self._anchor: _Seen | None = None
        self._next_anchor: _Seen | None = None

    @property
    def next_index(self) -> int:
        """The number after the last sample placed."""
        return 0 if self._last is None else self._last.number + 1

    @property
    def period_ns(self) -> float:
        """From sample to sample, as measured; nominal where that is too short or implausible."""
        return self._measured_ns() or self._nominal_ns

    def interrupted(self) -> None:
        """The link was lost: the sensor may have booted meanwhile, so that a clock gone back is believed at once."""
        self._was_interrupted = True
        self._doubted = None

    def place(self, n_samples: int, stamp_ns: int, received_ns: int) -> Placed | CorruptPacket | DuplicatePacket:
        """Number ``n_samples`` more, whose last one is stamped ``stamp_ns`` (below the wrap)."""
        last = self._last
        if last is None:
            return self._begin(stamp_ns, n_samples, 0, received_ns)
        elapsed_ns = self._elapsed_ns(last, stamp_ns, received_ns)
        if self._was_interrupted:
            host_ns = received_ns - last.received_ns
            if elapsed_ns == 0:
                return DuplicatePacket(last.number, received_ns)
            if not self._holds(elapsed_ns, n_samples) or abs(elapsed_ns - host_ns) > CLOCK_SLACK_NS:
                return self._begin(stamp_ns, n_samples, 0, received_ns, is_restart=True)
            return self._accept(last, elapsed_ns, n_samples, received_ns)
        if -LATE_NS <= elapsed_ns <= 0:
            return DuplicatePacket(last.number, received_ns)
        if self._is_credible(last, elapsed_ns, n_samples, received_ns):
            return self._accept(last, elapsed_ns, n_samples, received_ns)
        return self._doubt(elapsed_ns, n_samples, stamp_ns, received_ns)

    def _elapsed_ns(self, before: _Seen, stamp_ns: int, received_ns: int) -> int:
        """From ``before`` to the stamp; of all the times that a clock may have gone round, the host's clock knows."""
        if self._wrap_ns is None:
            return stamp_ns - before.time_ns
        elapsed_ns = (stamp_ns - before.time_ns) % self._wrap_ns
        host_ns = max(0, received_ns - before.received_ns)
        return elapsed_ns + self._wrap_ns * round((host_ns - elapsed_ns) / self._wrap_ns)

    def _holds(self, elapsed_ns: int, n_samples: int) -> bool:
        """Whether so many samples fit into the time."""
        return elapsed_ns >= n_samples * self._nominal_ns / 2

    def _is_credible(self, before: _Seen, elapsed_ns: int, n_samples: int, received_ns: int) -> bool:
        host_ns = max(0, received_ns - before.received_ns)
        return self._holds(elapsed_ns, n_samples) and elapsed_ns <= host_ns + CLOCK_SLACK_NS

    def _doubt(
        self, elapsed_ns: int, n_samples: int, stamp_ns: int, received_ns: int
    ) -> Placed | CorruptPacket | DuplicatePacket:
        """A stamp that the last one and the host contradict: corrupt, unless the next one follows from it."""
        doubted = self._doubted
        if doubted is not None:
            since_ns = self._elapsed_ns(doubted, stamp_ns, received_ns)
            if since_ns == 0:
                return DuplicatePacket(self.next_index - 1, received_ns)
            if self._is_credible(doubted, since_ns, n_samples, received_ns):
                n_missing = doubted.n_samples + self._n_missing(since_ns, n_samples)
                return self._begin(stamp_ns, n_samples, n_missing, received_ns, is_restart=True)
        self._doubted = _Seen(stamp_ns, 0, received_ns, n_samples)
        return CorruptPacket(f"its clock steps by {elapsed_ns / 1e9:.3f} s for {n_samples} samples", received_ns)

    def _begin(
        self, stamp_ns: int, n_samples: int, n_missing: int, received_ns: int, *, is_restart: bool = False
    ) -> Placed:
        self._anchor = self._next_anchor = None
        times_ns = self._times_back(stamp_ns, n_samples)
        self._deliver(_Seen(stamp_ns, n_missing + n_samples - 1, received_ns, n_samples))
        return Placed(is_restart, n_missing, n_missing, times_ns)

    def _accept(self, last: _Seen, elapsed_ns: int, n_samples: int, received_ns: int) -> Placed:
        n_missing = self._n_missing(elapsed_ns, n_samples)
        time_ns = last.time_ns + elapsed_ns
        if n_missing == 0:
            steps = np.arange(1, n_samples + 1) * (elapsed_ns / n_samples)
            times_ns = last.time_ns + np.rint(steps).astype(np.int64)
        else:
            times_ns = self._times_back(time_ns, n_samples)
        index = last.number + n_missing + n_samples
        self._deliver(_Seen(time_ns, index, received_ns, n_samples))
        return Placed(False, n_missing, index - n_samples + 1, times_ns)

    def _deliver(self, seen: _Seen) -> None:
        self._last, self._doubted, self._was_interrupted = seen, None, False
        if self._next_anchor is None:
            self._anchor = self._next_anchor = seen
        elif seen.time_ns - self._next_anchor.time_ns >= RATE_SPAN_NS:
            self._anchor, self._next_anchor = self._next_anchor, seen

    def _times_back(self, time_ns: int, n_samples: int) -> NDArray[np.int64]:
        steps = np.rint(np.arange(1 - n_samples, 1) * self.period_ns)
        times_ns: NDArray[np.int64] = time_ns + steps.astype(np.int64)
        return times_ns

    def _n_missing(self, elapsed_ns: int, n_samples: int) -> int:
        measured_ns = self._measured_ns()
        excess = elapsed_ns / (measured_ns or self._nominal_ns) - n_samples
        share = MEASURED_SHARE if measured_ns else UNMEASURED_SHARE
        return round(excess) if excess > max(0.5, share * n_samples) else 0

    def _measured_ns(self) -> float | None:
        anchor, last = self._anchor, self._last
        if anchor is None or last is None or last.time_ns - anchor.time_ns < RATE_SPAN_NS // 60:
            return None
        period_ns = (last.time_ns - anchor.time_ns) / (last.number - anchor.number)
        return period_ns if abs(period_ns / self._nominal_ns - 1) <= RATE_TOLERANCE else None
