"""What it costs when ingestion dies and a new one takes over: its counters begin at zero, and nobody took samples.

Statuses, restarts and blocks of one sensor enter in the ring's order; the counts of earlier lives and the gap between
two of them leave. A sensor that numbers its samples since its boot is counted exactly; another by rate and silence.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from edge.messages import EarlierCounts
from edge.records import LinkStatus
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart


@dataclass(slots=True)
class EarlierLives:
    """What earlier lives of ingestion had counted when they ended, and what was lost between them."""

    n_packets: int = 0
    n_corrupt: int = 0
    n_duplicates: int = 0
    n_lost_samples: int = 0
    n_lost_estimated: int = 0
    n_gaps: int = 0
    n_reconnects: int = 0
    n_samples_received: int = 0

    @property
    def told(self) -> EarlierCounts:
        """As they are published."""
        return EarlierCounts(**asdict(self))

    def add(self, status: LinkStatus) -> None:
        """The last status of a life that is over."""
        self.n_packets += status.packets_received
        self.n_corrupt += status.packets_corrupt
        self.n_duplicates += status.packets_duplicate
        self.n_lost_samples += status.samples_lost
        self.n_lost_estimated += status.samples_lost_estimated
        self.n_gaps += status.gaps
        self.n_reconnects += status.reconnects
        self.n_samples_received += status.samples_received

    def add_events(self, events: Iterable[Event]) -> None:
        """What came after that status."""
        before: Event | None = None
        for event in events:
            self.add_event(event)
            if isinstance(event, Block) and isinstance(before, Block) and event.received_ns == before.received_ns:
                self.n_packets -= 1  # a long notification is cut into several blocks
            before = event

    def add_event(self, event: Event) -> None:
        """One of them, or what was lost between two lives."""
        match event:
            case Block():
                self.n_packets += 1
                self.n_samples_received += len(event.samples)
            case Gap():
                self.n_lost_samples += event.n_samples
                self.n_lost_estimated += event.n_samples if event.is_estimated else 0
                self.n_gaps += 1
            case CorruptPacket():
                self.n_corrupt += 1
            case DuplicatePacket():
                self.n_duplicates += 1
            case Restart():
                pass


def has_begun_anew(status: LinkStatus, before: LinkStatus | None, since: Iterable[Event]) -> bool:
    """Whether another ingestion says this than said ``before``, or than wrote what came ``since``.

    Its counters went back, or they are at 0 though something came that the one before would have counted.
    """
    counters = _counters(status)
    if before is not None and any(now < then for now, then in zip(counters, _counters(before), strict=True)):
        return True
    return not any(counters) and any(not isinstance(event, Restart) for event in since)


def _counters(status: LinkStatus) -> tuple[int, ...]:
    return (
        status.packets_received,
        status.packets_corrupt,
        status.packets_duplicate,
        status.samples_received,
        status.samples_lost,
        status.samples_lost_estimated,
        status.gaps,
        status.reconnects,
    )


class Handover:
    """One sensor's samples from one life of ingestion to the next."""

    def __init__(self) -> None:
        self._boot_id = 0
        self._last_boot_id = 0
        self._next_index = 0
        self._last_received_ns: int | None = None
        self._is_new_life = False

    def new_life(self) -> None:
        """The counters began at zero again."""
        self._is_new_life = self._last_received_ns is not None
        self._last_boot_id = self._boot_id

    def restart(self, boot_id: int) -> None:
        """The sensor's boot, as the first record of each life says it; 0 where a sensor does not count its boots."""
        self._boot_id = boot_id

    def block(self, block: Block, rate_hz: float) -> Gap | None:
        """The gap before a block, if it is the first one of a new life.

        None after a boot in between: a sensor that boots anew begins anew.
        """
        gap = None
        if self._is_new_life and self._last_received_ns is not None and self._boot_id == self._last_boot_id:
            if self._boot_id:
                n_missing = block.first_sample_index - self._next_index
            else:
                silence_s = (block.received_ns - self._last_received_ns) / 1e9
                n_missing = max(1, round(silence_s * rate_hz) - len(block.samples))
            if n_missing > 0:
                first = self._next_index if self._boot_id else block.first_sample_index
                gap = Gap(first, n_missing, block.received_ns, is_estimated=not self._boot_id)
        self._is_new_life = False
        self._next_index = block.first_sample_index + len(block.samples)
        self._last_received_ns = block.received_ns
        return gap
