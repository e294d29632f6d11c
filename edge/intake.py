"""One sensor's way into the ring: what its decoder says enters, records leave, and everything is counted.

Nothing here waits: a full ring overwrites its oldest record, and the reader counts it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.records import MAX_BLOCK_SAMPLES, LinkState, LinkStatus, Record, encode_record
from edge.ring import RingWriter
from firmware_bridge.clock import LeastSquaresClock, LowerEnvelopeClock
from firmware_bridge.device import StreamInfo
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart

_SILENT_AFTER_NS: Final = 1_000_000_000


class Intake:
    """What one sensor sent, counted since this process began.

    ``rotation`` of shape ``(3, 3)`` turns the sensor's axes to the foot's, unless the sensor has done so itself.
    """

    def __init__(
        self, writer: RingWriter, stream_id: int, sensor: str, *, rotation: NDArray[np.float64] | None = None
    ) -> None:
        self._writer = writer
        self._stream_id = stream_id
        self._sensor = sensor
        self._given_rotation = None if rotation is None or np.array_equal(rotation, np.eye(3)) else rotation
        self._rotation: NDArray[np.float32] | None = None
        self._info: StreamInfo | None = None
        self._clock: LowerEnvelopeClock | LeastSquaresClock | None = None
        self._boot_id: int | None = None
        self._n_packets = self._n_corrupt = self._n_duplicates = 0
        self._n_samples = self._n_lost = self._n_estimated = self._n_gaps = 0
        self._counted_packets, self._counted_ns = 0, 0
        self.n_reconnects = 0
        self.battery_percent: int | None = None
        self.rssi_dbm: int | None = None
        self.heard_ns = 0
        """When the last notification came."""

    def started(self, info: StreamInfo, received_ns: int) -> None:
        """The sensor said what it will send; the first time, that is a `Restart`."""
        self._info = info
        self.heard_ns = received_ns
        rotation = None if info.is_foot_frame else self._given_rotation
        self._rotation = None if rotation is None else np.kron(np.eye(2), rotation.T).astype(np.float32)
        if self._boot_id is None:
            self.began_anew(received_ns)

    def began_anew(self, received_ns: int) -> None:
        """Nothing that the sensor counts goes on from before."""
        assert self._info is not None, "a sensor that began has said what it sends"
        self._put(Restart(self._info.boot_id, received_ns))

    def put(self, events: list[Event]) -> None:
        """Take what a decoder made of one notification; without any event too, which may wait for another one."""
        is_spoilt = any(isinstance(event, CorruptPacket | DuplicatePacket) for event in events)
        if not is_spoilt or any(isinstance(event, Block) for event in events):
            self._n_packets += 1
        for event in events:
            self._put(event)

    def is_silent(self, now_ns: int, after_ns: int = _SILENT_AFTER_NS) -> bool:
        """Whether nothing came for so long."""
        return now_ns - self.heard_ns > after_ns

    def status(self, state: LinkState, now_ns: int) -> None:
        """Say how the link is doing."""
        span_s = (now_ns - self._counted_ns) / 1e9
        n_new = self._n_packets - self._counted_packets
        packet_rate_hz = n_new / span_s if self._counted_ns and span_s > 0 else 0.0
        self._counted_packets, self._counted_ns = self._n_packets, now_ns
        info = self._info
        status = LinkStatus(
            state=state,
            sensor=self._sensor,
            rate_hz=info.rate_hz if info else 0.0,
            packets_received=self._n_packets,
            packets_corrupt=self._n_corrupt,
            packets_duplicate=self._n_duplicates,
            samples_received=self._n_samples,
            samples_lost=self._n_lost,
            reconnects=self.n_reconnects,
            received_ns=now_ns,
            samples_lost_estimated=self._n_estimated,
            gaps=self._n_gaps,
            packet_rate_hz=packet_rate_hz,
            packet_rate_expected_hz=info.packet_rate_hz if info else 0.0,
            battery_percent=self.battery_percent,
            rssi_dbm=self.rssi_dbm,
            boot_id=self._boot_id or 0,
            is_foot_frame=bool(info and info.is_foot_frame),
        )
        self._writer.write(encode_record(Record(self._stream_id, status)))

    def _put(self, event: Event) -> None:
        match event:
            case Block():
                self._n_samples += len(event.samples)
                self._put_block(event)
                return
            case Gap():
                self._n_lost += event.n_samples
                self._n_estimated += event.n_samples if event.is_estimated else 0
                self._n_gaps += 1
            case CorruptPacket():
                self._n_corrupt += 1
            case DuplicatePacket():
                self._n_duplicates += 1
            case Restart():
                if self._boot_id == event.boot_id and self._clock is None:
                    return  # the first boot, told by `started` before
                self._boot_id, self._clock = event.boot_id, None
        self._writer.write(encode_record(Record(self._stream_id, event)))

    def _put_block(self, block: Block) -> None:
        assert self._info is not None, "a sensor says what it sends before it sends"
        first_ns = int(block.device_time_ns[0])
        if self._info.has_clock:
            if not isinstance(self._clock, LowerEnvelopeClock):
                self._clock = LowerEnvelopeClock()
            self._clock.update(int(block.device_time_ns[-1]), block.received_ns)
            host_ns = self._clock.host_ns(first_ns)
        else:
            if not isinstance(self._clock, LeastSquaresClock):
                self._clock = LeastSquaresClock(self._info.rate_hz)
            self._clock.update(block.first_sample_index + len(block.samples) - 1, block.received_ns)
            host_ns = self._clock.host_ns(block.first_sample_index)
        samples = block.samples if self._rotation is None else block.samples @ self._rotation
        for begin in range(0, len(samples), MAX_BLOCK_SAMPLES):
            part = slice(begin, begin + MAX_BLOCK_SAMPLES)
            piece = Block(
                first_sample_index=block.first_sample_index + begin,
                device_time_ns=block.device_time_ns[part],
                samples=samples[part],
                saturated=block.saturated[part],
                received_ns=block.received_ns,
            )
            host_time_ns = host_ns + int(piece.device_time_ns[0]) - first_ns
            self._writer.write(encode_record(Record(self._stream_id, piece, host_time_ns)))
