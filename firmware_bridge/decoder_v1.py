"""From notifications of packet v1 to events: blocks in SI units, gaps counted in samples, and what went wrong.

Bytes enter in the order of their arrival, with the time of it; events leave. Everything but ``received_ns`` follows
from the bytes alone, so a recording gives what the live link gave. No bytes raise, and nothing is made up: each sample
of a `Block` stood in a notification, and from the first packet (or the last `Restart`) on

    samples in blocks + samples in gaps = samples the sensor took, up to the end of the last block.

The wire has no checksum, so a packet is believed only when its three counters tell one story: the sample index against
the packet sequence (each packet holds a sample, so no more packets than samples may be missing) and against the device
clock (`CLOCK_TOLERANCE`, `CLOCK_SLACK_US`). One that contradicts the last good packet is a `CorruptPacket`. When
`N_AGREEING` of them in a row agree with each other, they are the truth: after a long outage that the counters still
bridge, a `Gap` says exactly what is missing; else the old numbers cannot be connected with the new, and a `Restart` of
the same boot says so, followed by a `Gap` for the doubted packets themselves.

A packet that comes late, its place already a gap, is a `DuplicatePacket`: its samples stay counted as lost, since what
follows was delivered already. The link layer keeps the order, so this is rare.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.packet_v1 import FULL_COUNTS, MAX_SAMPLES, DataPacket, Info, PacketError

CLOCK_TOLERANCE: Final = 0.2
"""The device clock may say so much more or less than the nominal rate: IMU oscillators stray up to about 10 %."""
CLOCK_SLACK_US: Final = 100_000
"""And so much besides: firmware that stamps a packet late."""
RATE_TOLERANCE: Final = 0.1
"""A measured rate further from the nominal one than this is not used to place samples in time."""
N_AGREEING: Final = 3
"""Packets in a row that must agree with each other before they overrule the last good one."""
MAX_JUMP_US: Final = 30 * 60 * 1_000_000
"""A single packet may skip half an hour: below half the clock's wrap of 71.6 min the clock is a true witness."""
MAX_OUTAGE_US: Final = 7 * 24 * 3600 * 1_000_000
"""Agreeing packets may skip a week, more than a foot sensor's battery lasts; beyond that no gap is claimed."""
MAX_LATE_US: Final = 10 * 1_000_000
"""A packet may come so much late; older numbers point to a sensor that counts anew."""
RATE_SPAN_US: Final = 10 * 1_000_000
"""The rate is measured over one to two of these spans."""

_U16: Final = 0xFFFF
_U32: Final = 0xFFFF_FFFF
_HALF_U32: Final = 0x8000_0000
_LIMIT: Final = np.uint16(FULL_COUNTS)
_STEPS: Final = np.arange(MAX_SAMPLES, dtype=np.int64)


class _Seen(NamedTuple):
    """The counters of a packet, sample index and time with their wraps undone."""

    packet_seq: int
    sample_index: int
    t_us: int
    n_samples: int

    @classmethod
    def first(cls, packet: DataPacket) -> Self:
        """Of a packet before which nothing is known."""
        return cls(packet.packet_seq, packet.first_sample_index, packet.t_first_us, len(packet.counts))


class _Period(NamedTuple):
    """Microseconds from sample to sample: nominal, and the bounds of what is believed."""

    nominal_us: float
    low_us: float
    high_us: float

    @classmethod
    def of(cls, info: Info) -> Self:
        nominal_us = 1e6 / info.rate_hz
        return cls(nominal_us, nominal_us * (1 - CLOCK_TOLERANCE), nominal_us * (1 + CLOCK_TOLERANCE))

    def agrees(self, n_samples: int, elapsed_us: int) -> bool:
        """Whether the clock, modulo its wrap, can have advanced so much over so many samples (negative: back)."""
        one_us, other_us = n_samples * self.low_us, n_samples * self.high_us
        low_us = int(min(one_us, other_us)) - CLOCK_SLACK_US
        high_us = int(max(one_us, other_us)) + CLOCK_SLACK_US
        return (elapsed_us - low_us) & _U32 <= high_us - low_us


@dataclass(slots=True)
class _Stream:
    """What is known of the samples since the first packet or the last restart."""

    last: _Seen | None = None
    last_is_confirmed: bool = False
    """Another packet agreed with it, so it was not corrupt itself."""
    end_ns: int | None = None
    """The device time given to the last sample."""
    anchor: _Seen | None = None
    next_anchor: _Seen | None = None
    """The rate is measured from ``anchor`` on; the younger one takes its place in time."""
    doubted: _Seen | None = None
    first_doubted_index: int = 0
    n_doubted: int = 0
    """A row of packets that contradict the last one, but not each other."""


class DecoderV1:
    """One sensor's notifications, from its first connection on; an instance outlives the connections."""

    def __init__(self, info: Info) -> None:
        self._info = info
        self._scale = info.si_per_count
        self._period = self._believed = _Period.of(info)
        self._stream = _Stream()

    @property
    def info(self) -> Info:
        """What the sensor last said of itself."""
        return self._info

    def info_read(self, info: Info, received_ns: int) -> list[Event]:
        """Take the info that was read anew after a reconnection, or after the rate or the ranges were set.

        A new ``boot_id`` starts everything afresh (`Restart`); with the old one the next packet tells the outage.
        """
        old, old_period = self._info, self._period
        self._info = info
        self._scale = info.si_per_count
        self._period = self._believed = _Period.of(info)
        if info.boot_id != old.boot_id:
            self._stream = _Stream()
            return [Restart(info.boot_id, received_ns)]
        stream = self._stream
        stream.doubted = None
        if info.rate_tenth_hz != old.rate_tenth_hz:
            # The samples up to the next packet may have been taken at either rate.
            self._believed = self._period._replace(
                low_us=min(old_period.low_us, self._period.low_us),
                high_us=max(old_period.high_us, self._period.high_us),
            )
            stream.anchor = stream.next_anchor = None
        return []

    def feed(self, notification: bytes, received_ns: int) -> list[Event]:
        """What one notification of the data characteristic says; ``received_ns`` is the host's monotonic time."""
        try:
            packet = DataPacket.from_bytes(notification)
        except PacketError as error:
            return [CorruptPacket(str(error), received_ns)]
        last = self._stream.last
        if last is None:
            return [self._deliver(_Seen.first(packet), packet, received_ns)]
        advance = _signed(packet.first_sample_index - last.sample_index)
        if advance < last.n_samples and self._is_late(last, packet, advance):
            return [DuplicatePacket(packet.packet_seq, received_ns)]
        reason = self._contradiction(last, packet, advance, MAX_JUMP_US) or self._drift(packet, last, advance)
        if reason is not None:
            return self._doubt(last, packet, reason, received_ns)
        return self._accept(last, packet, advance, received_ns)

    def _is_late(self, last: _Seen, packet: DataPacket, advance: int) -> bool:
        """Whether the packet comes for the second time or too late, ``-advance`` samples before ``last``."""
        if advance == 0:
            return packet.packet_seq == last.packet_seq
        n_packets = (last.packet_seq - packet.packet_seq) & _U16
        return (
            advance + len(packet.counts) <= 0
            and -advance * self._period.nominal_us <= MAX_LATE_US
            and 1 <= n_packets <= -advance
            and self._believed.agrees(advance, packet.t_first_us - last.t_us)
        )

    def _contradiction(self, before: _Seen, packet: DataPacket, advance: int, limit_us: int) -> str | None:
        """Why the packet cannot stand ``advance`` samples after ``before``, or nothing."""
        n_missing = advance - before.n_samples
        if n_missing < 0:
            return f"sample index steps by {advance} after a packet of {before.n_samples} samples"
        if advance * self._period.nominal_us > limit_us:
            return f"sample index jumps by {advance}"
        n_missing_packets = (packet.packet_seq - before.packet_seq - 1) & _U16
        if n_missing_packets > n_missing:
            return f"{n_missing_packets} packets are missing by sequence, but {n_missing} samples by sample index"
        if not self._believed.agrees(advance, packet.t_first_us - before.t_us):
            return f"sample index steps by {advance}, the device clock does not"
        return None

    def _drift(self, packet: DataPacket, last: _Seen, advance: int) -> str | None:
        """Why sample index and clock contradict each other over a longer time, or nothing."""
        anchor = self._stream.anchor
        if anchor is None:
            return None
        n_samples = last.sample_index - anchor.sample_index + advance
        if self._believed.agrees(n_samples, packet.t_first_us - anchor.t_us):
            return None
        return f"sample index and device clock drifted apart over {n_samples} samples"

    def _doubt(self, last: _Seen, packet: DataPacket, reason: str, received_ns: int) -> list[Event]:
        """A packet that contradicts ``last``: corrupt, unless it completes a row of agreeing ones."""
        stream, doubted = self._stream, self._stream.doubted
        if doubted is not None:
            advance = _signed(packet.first_sample_index - doubted.sample_index)
            if advance == 0 and packet.packet_seq == doubted.packet_seq:
                return [DuplicatePacket(packet.packet_seq, received_ns)]
            if self._contradiction(doubted, packet, advance, MAX_JUMP_US) is None:
                stream.n_doubted += 1
                stream.doubted = _Seen.first(packet)._replace(sample_index=doubted.sample_index + advance)
                if stream.n_doubted == N_AGREEING:
                    return self._overrule(last, packet, stream.doubted, received_ns)
                return [CorruptPacket(reason, received_ns)]
        stream.doubted = _Seen.first(packet)
        stream.first_doubted_index = packet.first_sample_index
        stream.n_doubted = 1
        return [CorruptPacket(reason, received_ns)]

    def _overrule(self, last: _Seen, packet: DataPacket, doubted: _Seen, received_ns: int) -> list[Event]:
        """The row of agreeing packets is the truth: connected with ``last`` by a gap, or by nothing."""
        stream = self._stream
        advance = _signed(packet.first_sample_index - last.sample_index)
        if stream.last_is_confirmed and self._contradiction(last, packet, advance, MAX_OUTAGE_US) is None:
            return self._accept(last, packet, advance, received_ns)
        first_index = stream.first_doubted_index
        self._stream = _Stream()
        gap = Gap(first_index, doubted.sample_index - first_index, received_ns)
        return [Restart(self._info.boot_id, received_ns), gap, self._deliver(doubted, packet, received_ns)]

    def _accept(self, last: _Seen, packet: DataPacket, advance: int, received_ns: int) -> list[Event]:
        """The packet that stands ``advance`` samples after ``last``, and the gap between them."""
        sample_index = last.sample_index + advance
        elapsed_us = (packet.t_first_us - last.t_us) & _U32
        # How often the clock went round is told by the sample index: the time nearest to the expected one.
        expected_us = int(advance * self._measured_period_us(last))
        elapsed_us += ((expected_us - elapsed_us + _HALF_U32) >> 32) << 32
        self._stream.last_is_confirmed = True
        self._believed = self._period
        seen = _Seen(packet.packet_seq, sample_index, last.t_us + elapsed_us, len(packet.counts))
        block = self._deliver(seen, packet, received_ns)
        n_missing = advance - last.n_samples
        return [block] if n_missing == 0 else [Gap(sample_index - n_missing, n_missing, received_ns), block]

    def _deliver(self, seen: _Seen, packet: DataPacket, received_ns: int) -> Block:
        stream = self._stream
        stream.last, stream.doubted = seen, None
        if stream.next_anchor is None:
            stream.anchor = stream.next_anchor = seen
        elif seen.t_us - stream.next_anchor.t_us >= RATE_SPAN_US:
            stream.anchor, stream.next_anchor = stream.next_anchor, seen
        n_samples = seen.n_samples
        step_ns = int(self._measured_period_us(seen) * 1000)
        start_ns = seen.t_us * 1000
        if stream.end_ns is not None and start_ns <= stream.end_ns:
            # The clock is behind the end of the last block: squeeze the samples in between that and their own end.
            own_end_ns = start_ns + (n_samples - 1) * step_ns
            least_ns = step_ns // 4
            start_ns = stream.end_ns + least_ns
            step_ns = max(least_ns, (own_end_ns - start_ns) // max(1, n_samples - 1))
        stream.end_ns = start_ns + (n_samples - 1) * step_ns
        device_time_ns = _STEPS[:n_samples] * step_ns
        device_time_ns += start_ns
        # The magnitude of -32768 has no int16 of its own; read without a sign it is 32768.
        magnitude = np.abs(packet.counts).view(np.uint16)
        return Block(
            first_sample_index=seen.sample_index,
            device_time_ns=device_time_ns,
            samples=packet.counts * self._scale,
            saturated=np.logical_or.reduce(magnitude >= _LIMIT, axis=1),
            received_ns=received_ns,
        )

    def _measured_period_us(self, seen: _Seen) -> float:
        """Microseconds a sample from the anchor to ``seen``; nominal where that is too short or implausible."""
        nominal_us = self._period.nominal_us
        anchor = self._stream.anchor
        if anchor is None or seen.t_us - anchor.t_us < RATE_SPAN_US // 10:
            return nominal_us
        period_us = (seen.t_us - anchor.t_us) / (seen.sample_index - anchor.sample_index)
        return period_us if abs(period_us / nominal_us - 1) <= RATE_TOLERANCE else nominal_us


def _signed(difference: int) -> int:
    """A difference of two u32 counters, the short way round."""
    return ((difference + _HALF_U32) & _U32) - _HALF_U32
