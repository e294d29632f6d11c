"""Sessions for tests: what a virtual sensor sent, through ring and recorder, as live does it, on a clock of its own."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.bundle import Bundle
from edge.config import Config, RecordConfig, VirtualConfig
from edge.infer import Inference
from edge.intake import Intake
from edge.messages import Message
from edge.model import Classifier
from edge.recording.recorder import Recorder
from edge.recording.settings import RecordSettings, session_info
from edge.records import LinkState, Record, decode_record
from edge.ring import RingReader, RingWriter
from edge.run_settings import RunSensor
from edge.sources.virtual import virtual_foot
from firmware_bridge.devices.v1 import DeviceV1
from firmware_bridge.peripheral import rehearse

SESSION = "20261122T224415Z"
RUN_TOKEN = "0c0ffee0"
START_NS = 1_000_000_000_000
WALL_MINUS_MONOTONIC_NS = 1_763_800_000_000_000_000
SECOND_NS = 1_000_000_000

NumberedRecord = tuple[int, Record]


def settings(folder: Path, *sensors: str, rotate_minutes: float = 10.0, run_token: str = RUN_TOKEN) -> RecordSettings:
    return RecordSettings(
        config=Config(
            record=RecordConfig(on=True, directory=str(folder), rotate_minutes=rotate_minutes, person="P007")
        ),
        sensors=tuple(RunSensor(stream_id=i, name=name) for i, name in enumerate(sensors)),
        is_virtual=True,
        ring="",
        doorbell=-1,
        supervisor_pid=0,
        session=SESSION,
        run_token=run_token,
    )


def sent(folder: Path, duration_s: float, *, n_boots: int = 1, **of_the_sensor: float) -> list[NumberedRecord]:
    """What ingestion writes for a virtual sensor that boots so many times, each for ``duration_s``."""
    ring = folder / "ring"
    with RingWriter(ring, slots=65_536) as writer:
        intake = Intake(writer, 0, "left")
        now_ns = START_NS
        for boot in range(n_boots):
            foot, device = virtual_foot(VirtualConfig(seed=boot + 1, **of_the_sensor)), DeviceV1()  # type: ignore[arg-type]
            intake.status(LinkState.CONNECTING, now_ns)
            rehearse(device.start(now_ns), foot)
            if boot:
                intake = Intake(writer, 0, "left")
            intake.started(device.stream, now_ns)
            start_ns, next_status_ns = now_ns, now_ns
            for device_us, (uuid, data) in foot.notifications(round(duration_s * 1e6)):
                now_ns = start_ns + device_us * 1000 + 5_000_000
                intake.put(device.feed(uuid, data, now_ns))
                if now_ns >= next_status_ns:
                    intake.status(LinkState.STREAMING, now_ns)
                    next_status_ns += SECOND_NS
        intake.status(LinkState.ENDED, now_ns)
    with RingReader(ring, 0) as reader:
        found = []
        while (read := reader.read()) is not None:
            found.append((read[0], decode_record(read[1])))
        assert reader.lost == 0
    ring.unlink()
    return found


def recorder(
    folder: Path,
    bundle: Bundle,
    say: Callable[[str], object],
    *,
    rotate_s: float = 600.0,
    run_token: str = RUN_TOKEN,
) -> Recorder:
    made = settings(folder, "left", run_token=run_token)
    info = session_info(made, bundle, WALL_MINUS_MONOTONIC_NS)
    return Recorder(folder, info, {0: "left"}, rotate_s=rotate_s, say=say)


def live(
    records: list[NumberedRecord],
    bundle: Bundle,
    classifier: Classifier,
    sink: Callable[[Message], object],
    also: Recorder | None = None,
) -> None:
    """Inference as live runs it, over all records; a recorder is given everything too, committing as time goes."""
    inference = Inference(settings(Path(), "left"), "left", bundle, classifier, sink, is_first_life=True)
    for sequence, record in records:
        inference.take(record)
        if also is not None:
            also.take_record(sequence, record)
            also.commit_if_due(record.item.received_ns / 1e9)
    inference.finish()


def record_all(records: list[NumberedRecord], recording: Recorder) -> None:
    """All records into the recorder and its file, which is closed."""
    for sequence, record in records:
        recording.take_record(sequence, record)
        recording.commit_if_due(record.item.received_ns / 1e9)
    recording.commit(records[-1][1].item.received_ns / 1e9)
    recording.close()


@contextmanager
def as_nobody_special() -> Iterator[None]:
    """Root may write everywhere: be somebody else for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def shut_out_of(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be read or made for a while."""
    mode = folder.stat().st_mode
    folder.chmod(0)
    try:
        with as_nobody_special():
            yield
    finally:
        folder.chmod(mode)
