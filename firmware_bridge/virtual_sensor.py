"""A foot sensor without hardware: samples in SI units enter, byte-exact notifications of packet v1 leave.

It keeps the counters and obeys the control commands as a firmware does, and can be told to misbehave; it counts what
it does, so that a test can hold a receiver to account. It knows no wall clock: whoever drives it asks for everything
up to a device time, and it never sleeps.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, assert_never

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.packet_v1 import FULL_COUNTS, Answer, Command, DataPacket, Info, Op, PacketError, Status

SampleSource = Callable[[float], Iterable[Samples]]
"""From a rate in Hz to chunks of samples at that rate, ``(n, 6)`` with any n; called anew after each change of rate."""

RATES_TENTH_HZ: Final = (260, 520, 1040, 1280, 2080, 4160)
ACC_RANGES_G: Final = (2, 4, 8, 16)
GYR_RANGES_DEG_S: Final = (125, 250, 500, 1000, 2000)

_U16: Final = 0xFFFF
_U32: Final = 0xFFFF_FFFF
_CODES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a streamed packet fares badly; each is a probability a packet.

    A queue drop happens before the radio, so ``packet_seq`` does not count it; a radio drop after. Either takes
    ``burst_packets`` packets in a row. A spoilt packet is cut, prolonged, or has a wrong first or second byte.
    """

    queue_drop: float = 0.0
    radio_drop: float = 0.0
    burst_packets: int = 1
    spoil: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0

    def __post_init__(self) -> None:
        for name in ("queue_drop", "radio_drop", "spoil", "repeat", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a probability, got {getattr(self, name)}")
        if self.burst_packets < 1:
            raise ValueError(f"burst_packets must be positive, got {self.burst_packets}")


@dataclass(slots=True)
class SensorCounts:
    """What a sensor did since it was made: taken = idle + sent + dropped + spoilt + held."""

    samples_taken: int = 0
    samples_idle: int = 0
    """Taken while nobody wanted them."""
    samples_sent: int = 0
    samples_dropped: int = 0
    samples_spoilt: int = 0
    samples_held: int = 0
    """In a packet that waits to be sent after its successor."""
    packets_sent: int = 0
    packets_dropped: int = 0
    packets_spoilt: int = 0
    packets_repeated: int = 0
    packets_reordered: int = 0


def quantise(samples: Samples, info: Info) -> NDArray[np.int16]:
    """``(n, 6)`` SI samples as counts of this sensor, to the nearest, saturating."""
    counts = np.rint(samples.astype(np.float64) / info.si_per_count)
    saturated: NDArray[np.int16] = np.clip(counts, -FULL_COUNTS - 1, FULL_COUNTS).astype(np.int16)
    return saturated


class VirtualSensorV1:
    """One sensor from its boot on; it samples at once and streams once it is told to start.

    ``rate_error`` is how far the true rate lies from the nominal one, relative. ``first_…`` are the counters' first
    values, to bring their wraps near. ``seed`` decides the faults.
    """

    def __init__(
        self,
        source: SampleSource,
        info: Info,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        rate_error: float = 0.0,
        first_packet_seq: int = 0,
        first_sample_index: int = 0,
        first_t_us: int = 0,
    ) -> None:
        self._source = source
        self._info = info
        self._faults = faults or Faults()
        self._random = random.Random(seed)
        self._rate_error = rate_error
        self._counts = SensorCounts()
        self._boot(first_packet_seq, first_sample_index, first_t_us)

    @property
    def info(self) -> Info:
        """What a read of the info characteristic gives now."""
        return self._info

    @property
    def counts(self) -> SensorCounts:
        """A copy of the counts so far."""
        return replace(self._counts)

    @property
    def is_streaming(self) -> bool:
        """Whether it was told to start."""
        return self._is_streaming

    @property
    def is_exhausted(self) -> bool:
        """Whether the source has no more samples."""
        return self._is_exhausted

    def write_control(self, data: bytes, now_us: int) -> bytes:
        """Obey a write to the control characteristic at device time ``now_us``; returns the indication."""
        try:
            command = Command.from_bytes(data)
        except PacketError:
            is_known = bool(data) and data[0] in list(Op)
            return bytes(Answer(data[0] if data else 0, Status.BAD_VALUE if is_known else Status.UNKNOWN))
        return bytes(self._obey(command, now_us))

    def link_lost(self) -> None:
        """Stream no more until told to start again; samples are still taken and counted."""
        self._is_streaming = False
        self._drop_held()

    def reboot(self, boot_id: int) -> None:
        """Start afresh: all counters and the device clock from 0, not streaming, the source from its beginning."""
        self._drop_held()
        self._info = replace(self._info, boot_id=boot_id)
        self._boot(0, 0, 0)

    def notifications(self, until_us: int) -> Iterator[tuple[int, bytes]]:
        """Take all samples up to a device time (wraps undone); yields each notification with the time it is ready at.

        A packet is ready with its last sample. The last packet of a source may be short. What is not drawn from the
        iterator is not taken.
        """
        while not self._is_exhausted and self._time_us(self._index + self._info.n_samples - 1) <= until_us:
            samples = self._take(self._info.n_samples)
            if len(samples) > 0:
                ready_us = self._time_us(self._index + len(samples) - 1)
                for notification in self._send(samples):
                    yield ready_us, notification
        if self._is_exhausted and self._held is not None:
            ready_us = self._time_us(self._index - 1)
            yield ready_us, self._release(self._held)

    def _boot(self, packet_seq: int, sample_index: int, t_us: int) -> None:
        self._packet_seq = packet_seq
        self._index = self._base_index = sample_index
        self._base_us = float(t_us)
        self._is_streaming = False
        self._burst_left = 0
        self._burst_in_queue = False
        self._held: DataPacket | None = None
        self._open_source()

    def _open_source(self) -> None:
        self._chunks = iter(self._source(self._info.rate_hz))
        self._chunk: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._is_exhausted = False

    def _time_us(self, sample_index: int) -> int:
        period_us = 1e6 / (self._info.rate_hz * (1 + self._rate_error))
        return round(self._base_us + (sample_index - self._base_index) * period_us)

    def _take(self, n_samples: int) -> Samples:
        """The next samples of the source, fewer at its end."""
        while len(self._chunk) < n_samples and not self._is_exhausted:
            more = next(self._chunks, None)
            if more is None:
                self._is_exhausted = True
            else:
                self._chunk = more if len(self._chunk) == 0 else np.concatenate((self._chunk, more))
        taken, self._chunk = self._chunk[:n_samples], self._chunk[n_samples:]
        return taken

    def _send(self, samples: Samples) -> Iterator[bytes]:
        counts, faults, chance = self._counts, self._faults, self._random.random
        n_samples = len(samples)
        first_index = self._index
        self._index += n_samples
        counts.samples_taken += n_samples
        if not self._is_streaming:
            counts.samples_idle += n_samples
            return
        if self._burst_left == 0:
            self._burst_in_queue = chance() < faults.queue_drop
            if self._burst_in_queue or chance() < faults.radio_drop:
                self._burst_left = faults.burst_packets
        is_dropped = self._burst_left > 0
        packet = DataPacket(
            self._packet_seq, first_index & _U32, self._time_us(first_index) & _U32, quantise(samples, self._info)
        )
        if not (is_dropped and self._burst_in_queue):
            self._packet_seq = (self._packet_seq + 1) & _U16
        if is_dropped:
            self._burst_left -= 1
            self._count_dropped(packet)
        elif chance() < faults.spoil:
            counts.samples_spoilt += n_samples
            counts.packets_spoilt += 1
            yield self._spoil(bytes(packet))
        elif self._held is None and chance() < faults.reorder:
            self._held = packet
            counts.samples_held = n_samples
        else:
            self._count_sent(packet)
            yield bytes(packet)
            if chance() < faults.repeat:
                counts.packets_repeated += 1
                yield bytes(packet)
            if self._held is not None:
                counts.packets_reordered += 1
                yield self._release(self._held)

    def _release(self, held: DataPacket) -> bytes:
        self._held = None
        self._counts.samples_held = 0
        self._count_sent(held)
        return bytes(held)

    def _drop_held(self) -> None:
        if self._held is not None:
            self._count_dropped(self._held)
            self._held = None
            self._counts.samples_held = 0

    def _count_sent(self, packet: DataPacket) -> None:
        self._counts.samples_sent += len(packet.counts)
        self._counts.packets_sent += 1

    def _count_dropped(self, packet: DataPacket) -> None:
        self._counts.samples_dropped += len(packet.counts)
        self._counts.packets_dropped += 1

    def _spoil(self, notification: bytes) -> bytes:
        """A notification that is recognisably none."""
        how = self._random.choice(("cut", "prolonged", "version", "n_samples"))
        if how == "cut":
            return notification[: self._random.randrange(len(notification))]
        if how == "prolonged":
            return notification + self._random.randbytes(self._random.randint(1, 20))
        spoilt = bytearray(notification)
        position = 0 if how == "version" else 1
        spoilt[position] ^= self._random.randint(1, 255)
        return bytes(spoilt)

    def _obey(self, command: Command, now_us: int) -> Answer:
        status = Status.DONE
        match command.op:
            case Op.START:
                self._is_streaming = True
            case Op.STOP:
                self.link_lost()
            case Op.SET_RATE:
                status = self._set_rate(*command.arguments)
            case Op.SET_RANGES:
                status = self._set_ranges(*command.arguments)
            case Op.TIME_ECHO:
                return Answer(command.op, status, command.arguments[0], now_us & _U32)
            case _:
                assert_never(command.op)
        return Answer(command.op, status)

    def _set_rate(self, rate_tenth_hz: int) -> Status:
        if rate_tenth_hz not in RATES_TENTH_HZ:
            return Status.BAD_VALUE
        if self._is_streaming:
            return Status.BUSY
        self._base_us = float(self._time_us(self._index))
        self._base_index = self._index
        self._info = replace(self._info, rate_tenth_hz=rate_tenth_hz)
        self._open_source()
        return Status.DONE

    def _set_ranges(self, acc_g: int, gyr_deg_s: int) -> Status:
        if acc_g not in ACC_RANGES_G or gyr_deg_s not in GYR_RANGES_DEG_S:
            return Status.BAD_VALUE
        if self._is_streaming:
            return Status.BUSY
        # 2000 deg/s are 16.4 counts per deg/s with every maker, a little less than the counter holds.
        gyr_lsb_per_10_deg_s = 164 * max(GYR_RANGES_DEG_S) // gyr_deg_s
        self._info = replace(self._info, acc_lsb_per_g=_CODES // 2 // acc_g, gyr_lsb_per_10_deg_s=gyr_lsb_per_10_deg_s)
        return Status.DONE
