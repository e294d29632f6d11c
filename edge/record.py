"""The recording process: records from the ring and messages from the bus in, session files out.

It reads the ring as a reader of its own, so nothing ever waits for its disk; the ring keeps for it what comes while it
is dead. What the ring holds and no file is committed once a file has it.
"""

import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from edge.bundle import load_bundle
from edge.bus import Subscriber
from edge.errors import FrailedgeError
from edge.paths import default_bundle_dir
from edge.recording.entries import BUS_TOPICS, topic
from edge.recording.recorder import Recorder
from edge.recording.settings import RecordSettings, session_info
from edge.recording.status import TELL_EVERY_S, write_status
from edge.records import decode_record
from edge.ring import RingReader
from edge.run_settings import FAILED_FOR_GOOD, Stop

READER_ID: Final = 1
_WAIT_S: Final = 0.1
_LAST_MESSAGES_S: Final = 0.2
"""What inference published as its last is here by then."""


def record(settings: RecordSettings, stop: Stop) -> None:
    """Record until ``stop``; the supervisor says so when ingestion and inference have ended."""
    prefixes = [topic(name, sensor.name) for name in BUS_TOPICS.values() for sensor in settings.sensors]
    # First of all: the bus keeps no history.
    subscriber = Subscriber(settings.config.publish.endpoint, prefixes)
    try:
        with RingReader(Path(settings.ring), READER_ID) as reader:
            recorder = _recorder(settings, reader.lost)
            said = recorder.status
            write_status(Path(settings.ring), said)
            said_s = time.monotonic()
            is_last_round = False
            while not is_last_round:
                is_last_round = stop.is_set()
                _take_messages(subscriber, recorder, _LAST_MESSAGES_S if is_last_round else _WAIT_S)
                while (read := reader.read()) is not None:
                    recorder.take_record(read[0], decode_record(read[1]))
                recorder.count_overwritten(reader.lost)
                now_s = time.monotonic()
                if recorder.commit(now_s) if is_last_round else recorder.commit_if_due(now_s):
                    reader.commit()
                # Also when nothing changed, and by the time after the disk was waited for: silence means that it hangs.
                now_s = time.monotonic()
                if recorder.status != said or now_s - said_s >= TELL_EVERY_S:
                    said, said_s = recorder.status, now_s
                    write_status(Path(settings.ring), said)
            recorder.close()
            write_status(Path(settings.ring), recorder.status)
    finally:
        subscriber.close()


def _recorder(settings: RecordSettings, n_overwritten: int) -> Recorder:
    config = settings.config
    bundle_dir = Path(config.model.bundle) if config.model.bundle else default_bundle_dir()
    bundle = load_bundle(bundle_dir, config.model.variant or None)
    return Recorder(
        Path(config.record.directory),
        session_info(settings, bundle, time.time_ns() - time.monotonic_ns()),
        {sensor.stream_id: sensor.name for sensor in settings.sensors},
        rotate_s=config.record.rotate_minutes * 60,
        say=lambda line: print(f"frailedge: {line}", file=sys.stderr, flush=True),
        n_overwritten=n_overwritten,
    )


def _take_messages(subscriber: Subscriber, recorder: Recorder, within_s: float) -> None:
    until_s = time.monotonic() + within_s
    while (left_s := until_s - time.monotonic()) > 0:
        message = subscriber.receive(left_s)
        if message is not None:
            recorder.take_message(message, time.monotonic_ns())


def main() -> None:
    """Run the process; what a restart cannot mend ends it with `FAILED_FOR_GOOD` and one line."""
    settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=RecordSettings)
    try:
        record(settings, Stop(settings))
    except FrailedgeError as error:
        print(f"frailedge recorder: {error}", file=sys.stderr)
        sys.exit(FAILED_FOR_GOOD)


if __name__ == "__main__":
    main()
