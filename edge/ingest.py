"""The ingestion process: notifications in, records in the ring out, and nothing else.

It never waits for inference, disk or a subscriber: a full ring overwrites its oldest record, and the reader counts it.
"""

import time
from pathlib import Path
from typing import Final

from edge.intake import Intake
from edge.records import LinkState
from edge.ring import RingWriter
from edge.run_settings import RunSettings, Stop, run_process
from edge.sources.virtual import virtual_foot
from firmware_bridge.devices.v1 import DeviceV1
from firmware_bridge.peripheral import rehearse

_STATUS_EVERY_NS: Final = 1_000_000_000
# A machine that slept longer than this does not catch up on hours of virtual walking at once: the walker stood still.
_MAX_BEHIND_NS: Final = 5_000_000_000


def ingest(settings: RunSettings, stop: Stop) -> None:
    """Bring what the run's sensors send into the ring until ``stop``."""
    with RingWriter(Path(settings.ring), slots=settings.config.live.ring_slots, doorbell=settings.doorbell) as writer:
        if settings.is_virtual:
            _ingest_virtual(settings, writer, stop)
        else:
            # Only where there is a radio: a virtual walk needs neither bleak nor its time to be imported.
            from edge.ble.ingest import ingest_ble  # noqa: PLC0415

            ingest_ble(settings, writer, stop)


def _ingest_virtual(settings: RunSettings, writer: RingWriter, stop: Stop) -> None:
    """Run the virtual sensor in real time."""
    foot, device = virtual_foot(settings.config.virtual), DeviceV1()
    period_s = foot.info.n_samples / foot.info.rate_hz
    (sensor,) = settings.sensors
    intake = Intake(writer, sensor.stream_id, sensor.name)
    start_ns = last_ns = next_status_ns = time.monotonic_ns()
    intake.status(LinkState.CONNECTING, start_ns)
    rehearse(device.start(start_ns), foot)
    intake.started(device.stream, start_ns)
    while not stop.is_set():
        now_ns = time.monotonic_ns()
        if now_ns - last_ns > _MAX_BEHIND_NS:
            start_ns += now_ns - last_ns
        last_ns = now_ns
        for _, (uuid, data) in foot.notifications((now_ns - start_ns) // 1000):
            intake.heard_ns = time.monotonic_ns()
            intake.put(device.feed(uuid, data, intake.heard_ns))
        if now_ns >= next_status_ns:
            intake.status(LinkState.SILENT if intake.is_silent(now_ns) else LinkState.STREAMING, now_ns)
            next_status_ns = now_ns + _STATUS_EVERY_NS
        stop.wait(period_s / 4)
    intake.status(LinkState.ENDED, time.monotonic_ns())


if __name__ == "__main__":
    run_process("ingestion", ingest)
