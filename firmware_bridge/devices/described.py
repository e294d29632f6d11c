"""Any sensor that a `Description` describes: its talk, and its notifications as events.

Bytes enter, events leave. Losses are counted by the sensor's counter where it has one, else by its clock, else
estimated from rate and silence; device times are its clock's where it has one, else sample numbers at the nominal rate.
"""

import math
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2
from firmware_bridge.device import Advert, DeviceKind, Losses, StreamInfo, Subscribe, Talk
from firmware_bridge.devices.clocked import ClockedCounter, Placed
from firmware_bridge.devices.counting import SampleCounter
from firmware_bridge.devices.description import FORMATS, Clock, Counter, Counts, Description, Number
from firmware_bridge.devices.numbering import DeviceTimes, Numbering, Verdict
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart

FULL_SHARE: Final = 0.999
"""Of its range, from which on a sample is saturated: rounding cuts a sensor's last counts off."""
_FAR_BEYOND: Final = 1000.0
"""So many ranges are a packet read wrongly, not a foot; below, single precision holds it."""
_MOST_NS: Final = float(1 << 62)


class DescribedDevice:
    """One sensor; see `firmware_bridge.device.Device`."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._stream = StreamInfo(
            rate_hz=description.rate_hz,
            samples_per_packet=description.samples_per_packet,
            acc_range_m_s2=description.acc_range_g * STANDARD_GRAVITY_M_S2,
            gyr_range_rad_s=math.radians(description.gyr_range_deg_s),
            has_clock=description.clock is not None,
            is_foot_frame=description.is_foot_frame,
        )
        self._scale = np.array([channel.si_per_count for channel in description.channels])
        self._low = np.array([channel.number.low for channel in description.channels])
        self._high = np.array([channel.number.high for channel in description.channels])
        self._full_si = np.empty(N_CHANNELS)
        self._full_si[ACC] = FULL_SHARE * self._stream.acc_range_m_s2
        self._full_si[GYR] = FULL_SHARE * self._stream.gyr_range_rad_s
        self._most_counts = _FAR_BEYOND * self._full_si / np.abs(self._scale)
        self._by_silence = SampleCounter(description.rate_hz)
        self._by_clock = None if description.clock is None else _clocked(description.rate_hz, description.clock)
        self._by_counter = None if description.counter is None else _numbering(description, description.counter)
        self._times = _times(description)
        self._next_index = 0
        self._was_started = False

    @property
    def stream(self) -> StreamInfo:
        """As described."""
        return self._stream

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Subscribe, then what the description says."""
        if self._was_started:
            self._by_silence.interrupted()
            if self._by_clock is not None:
                self._by_clock.interrupted()
            if self._by_counter is not None:
                self._by_counter.interrupted()
        self._was_started = True
        yield Subscribe(self._description.data_uuid)
        for step in self._description.start:  # noqa: UP028 - a tuple's iterator cannot be sent an answer
            yield step

    def stop(self) -> Talk:
        """What the description says."""
        for step in self._description.stop:  # noqa: UP028 - a tuple's iterator cannot be sent an answer
            yield step

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """The samples of one packet, after what was lost before them."""
        description = self._description
        if uuid != description.data_uuid:
            return [CorruptPacket(f"no data characteristic: {uuid}", received_ns)]
        if len(data) != description.packet_bytes:
            return [CorruptPacket(f"{len(data)} bytes, not {description.packet_bytes}", received_ns)]
        counts = self._counts(data)
        ticks = 0.0 if description.clock is None else _read(description.clock.number, data)
        # Written so that a floating-point value that is no number is none of these.
        if not (np.abs(counts) <= self._most_counts).all():
            return [CorruptPacket("a value is no number, or far beyond its range", received_ns)]
        if description.clock is not None and not abs(ticks) * description.clock.tick_ns < _MOST_NS:
            return [CorruptPacket("its time is no number, or centuries away", received_ns)]
        if self._by_counter is not None and description.counter is not None:
            # Below the wrap, also where its type has a sign: no event has a negative number.
            reading = int(_read(description.counter.number, data)) % description.counter.wrap
            return self._feed_counted(self._by_counter, reading, ticks, counts, received_ns)
        if self._by_clock is not None and description.clock is not None:
            stamp_ns = _last_stamp_ns(description, description.clock, ticks)
            clocked = self._by_clock.place(len(counts), stamp_ns, received_ns)
            if not isinstance(clocked, Placed):
                return [clocked]
            block = self._block(counts, clocked.first_sample_index, clocked.device_time_ns, received_ns)
            return [*clocked.preceding(received_ns), block]
        placed = self._by_silence.place(len(counts), received_ns)
        block = self._block(counts, placed.first_sample_index, placed.device_time_ns, received_ns)
        return [block] if placed.gap is None else [placed.gap, block]

    def _feed_counted(
        self, numbering: Numbering, reading: int, ticks: float, counts: NDArray[np.float64], received_ns: int
    ) -> list[Event]:
        description, n_samples = self._description, len(counts)
        advance = numbering.advance(reading, received_ns)
        if advance.verdict is Verdict.REPEATED:
            return [DuplicatePacket(reading, received_ns)]
        events = list[Event]()
        n_missing = 0
        if advance.verdict is Verdict.NEXT:
            n_missing = advance.n_samples - n_samples
            if n_missing < 0:
                reason = f"its counter steps by {advance.n_samples} after {n_samples} samples"
                return [CorruptPacket(reason, received_ns)]
        elif advance.verdict is Verdict.BEGUN_ANEW:
            events.append(Restart(0, received_ns))
            self._next_index = 0
            self._times = _times(self._description)
        n_unexplained = round(advance.unexplained_s * self._stream.rate_hz)
        for n_lost, is_estimated in ((n_missing, False), (n_unexplained, True)):
            if n_lost > 0:
                events.append(Gap(self._next_index, n_lost, received_ns, is_estimated))
                self._next_index += n_lost
        if self._times is None:
            index = np.arange(self._next_index, self._next_index + n_samples)
            time_ns = np.rint(index * (1e9 / self._stream.rate_hz)).astype(np.int64)
        else:
            n_on = n_samples + n_missing + n_unexplained
            if description.clock is not None and description.clock.is_of_last_sample:
                ticks -= (n_samples - 1) * 1e9 / description.rate_hz / description.clock.tick_ns
            time_ns = self._times.place(ticks, n_on, n_samples)
        events.append(self._block(counts, self._next_index, time_ns, received_ns))
        self._next_index += n_samples
        return events

    def _counts(self, data: bytes) -> NDArray[np.float64]:
        """``(n, 6)`` as sent."""
        description = self._description
        counts = np.empty((description.samples_per_packet, N_CHANNELS))
        for column, channel in enumerate(description.channels):
            counts[:, column] = np.ndarray(
                (description.samples_per_packet,),
                FORMATS[channel.number.type],
                data,
                channel.number.offset,
                (description.stride_bytes,),
            )
        return counts

    def _block(
        self, counts: NDArray[np.float64], first_index: int, time_ns: NDArray[np.int64], received_ns: int
    ) -> Block:
        samples = counts * self._scale
        is_full = (np.abs(samples) >= self._full_si) | (counts <= self._low) | (counts >= self._high)
        return Block(first_index, time_ns, samples.astype(np.float32), is_full.any(axis=1), received_ns)


def _read(number: Number, data: bytes) -> float:
    value: float = struct.unpack_from(FORMATS[number.type], data, number.offset)[0]
    return value


def _numbering(description: Description, counter: Counter) -> Numbering:
    samples_per_count = 1 if counter.counts is Counts.SAMPLES else description.samples_per_packet
    return Numbering(description.rate_hz, samples_per_count=samples_per_count, wrap=counter.wrap)


def _clocked(rate_hz: float, clock: Clock) -> ClockedCounter:
    return ClockedCounter(rate_hz, round(clock.wrap * clock.tick_ns) if clock.wrap else None)


def _last_stamp_ns(description: Description, clock: Clock, ticks: float) -> int:
    stamp_ns = ticks * clock.tick_ns
    if not clock.is_of_last_sample:
        stamp_ns += (description.samples_per_packet - 1) * 1e9 / description.rate_hz
    return round(stamp_ns) % round(clock.wrap * clock.tick_ns) if clock.wrap else round(stamp_ns)


def _times(description: Description) -> DeviceTimes | None:
    clock = description.clock
    return None if clock is None else DeviceTimes(description.rate_hz, tick_ns=clock.tick_ns, wrap=clock.wrap)


def fits(description: Description, advert: Advert) -> bool:
    """Whether an advertisement has all that the description says it is known by."""
    return advert.name.startswith(description.name_prefix) and (
        not description.service_uuid or description.service_uuid in advert.service_uuids
    )


def described_kind(description: Description) -> DeviceKind:
    """The line in the table of sensors. Never verified: what the description says is the user's word."""
    if description.counter is not None:
        losses = Losses.EXACT
    else:
        losses = Losses.ESTIMATED if description.clock is None else Losses.CLOCK
    return DeviceKind(
        key=description.key,
        title=description.title,
        source=description.source,
        is_verified=False,
        rate_hz=description.rate_hz,
        acc_range_g=description.acc_range_g,
        gyr_range_deg_s=description.gyr_range_deg_s,
        axes=description.axes,
        losses=losses,
        fits=lambda advert: fits(description, advert),
        make=lambda: DescribedDevice(description),
    )
