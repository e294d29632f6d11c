"""The ingestion process: notifications in, records in the ring out, and nothing else.

It never waits for inference, disk or a subscriber: a full ring overwrites its oldest record, and the reader counts it.
"""

import time
from pathlib import Path
from typing import Final

from edge.records import LinkState, LinkStatus, Record, encode_record
from edge.ring import RingWriter
from edge.run_settings import RunSettings, Stop, run_process
from edge.sources.virtual import VirtualFoot
from firmware_bridge.clock import LowerEnvelopeClock
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.packet_v1 import Info

_STATUS_EVERY_NS: Final = 1_000_000_000
_STREAM_ID: Final = 0
_SILENT_AFTER_NS: Final = 1_000_000_000
# A machine that slept longer than this does not catch up on hours of virtual walking at once: the walker stood still.
_MAX_BEHIND_NS: Final = 5_000_000_000


class Ingestion:
    """One sensor's way into the ring."""

    def __init__(self, writer: RingWriter, sensor: str, info: Info, received_ns: int) -> None:
        self._writer = writer
        self._sensor = sensor
        self._info = info
        self._decoder = DecoderV1(info)
        fill_time_ns = round((info.n_samples - 1) * 1e9 / info.rate_hz)
        self._clock = LowerEnvelopeClock(fill_time_ns)
        self._n_packets = self._n_corrupt = self._n_duplicates = 0
        self._n_samples = self._n_lost = 0
        self._heard_ns = received_ns
        self.status(LinkState.CONNECTING, received_ns)
        self._put(Restart(info.boot_id, received_ns))

    def notification(self, data: bytes, received_ns: int) -> None:
        """Take one notification, stamped first thing when it came."""
        self._heard_ns = received_ns
        for event in self._decoder.feed(data, received_ns):
            self._put(event)

    def streaming_status(self, now_ns: int) -> None:
        """Say that the link stands, and whether anything comes over it."""
        is_silent = now_ns - self._heard_ns > _SILENT_AFTER_NS
        self.status(LinkState.SILENT if is_silent else LinkState.STREAMING, now_ns)

    def status(self, state: LinkState, received_ns: int) -> None:
        """Say how the link is doing."""
        status = LinkStatus(
            state=state,
            sensor=self._sensor,
            rate_hz=self._info.rate_hz,
            packets_received=self._n_packets,
            packets_corrupt=self._n_corrupt,
            packets_duplicate=self._n_duplicates,
            samples_received=self._n_samples,
            samples_lost=self._n_lost,
            reconnects=0,
            received_ns=received_ns,
        )
        self._writer.write(encode_record(Record(_STREAM_ID, status)))

    def _put(self, event: Event) -> None:
        host_time_ns = None
        match event:
            case Block():
                self._n_packets += 1
                self._n_samples += len(event.samples)
                first_ns = int(event.device_time_ns[0])
                self._clock.update(first_ns, event.received_ns)
                host_time_ns = self._clock.host_ns(first_ns)
            case Gap():
                self._n_lost += event.n_samples
            case CorruptPacket():
                self._n_corrupt += 1
            case DuplicatePacket():
                self._n_duplicates += 1
            case Restart():
                pass
        self._writer.write(encode_record(Record(_STREAM_ID, event, host_time_ns)))


def ingest_virtual(settings: RunSettings, stop: Stop) -> None:
    """Run the virtual sensor in real time until ``stop``."""
    config = settings.config
    foot = VirtualFoot(config.virtual)
    period_s = foot.info.n_samples / foot.info.rate_hz
    with RingWriter(Path(settings.ring), slots=config.live.ring_slots, doorbell=settings.doorbell) as writer:
        start_ns = last_ns = next_status_ns = time.monotonic_ns()
        ingestion = Ingestion(writer, config.virtual.sensor, foot.info, start_ns)
        while not stop.is_set():
            now_ns = time.monotonic_ns()
            if now_ns - last_ns > _MAX_BEHIND_NS:
                start_ns += now_ns - last_ns
            last_ns = now_ns
            for _, notification in foot.notifications((now_ns - start_ns) // 1000):
                ingestion.notification(notification, time.monotonic_ns())
            if now_ns >= next_status_ns:
                ingestion.streaming_status(now_ns)
                next_status_ns = now_ns + _STATUS_EVERY_NS
            stop.wait(period_s / 4)
        ingestion.status(LinkState.ENDED, time.monotonic_ns())


if __name__ == "__main__":
    run_process("ingestion", ingest_virtual)
