"""The recorder: ring records and messages in, files out, a chunk every half second, a new file every so often.

It may be killed at any time, and the disk may fill up or vanish: then what comes is kept for a while, tried again in a
new file, and counted where it had to be given up. It never raises for what a disk does.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.messages import Message
from edge.recording import entries
from edge.recording.entries import DropoutEntry, SessionInfo
from edge.recording.files import next_part, part_path
from edge.recording.mcap_file import McapFile, StoredMessage
from edge.recording.status import RecorderStatus
from edge.records import LinkStatus, Record
from firmware_bridge.events import Block, Restart

COMMIT_EVERY_S: Final = 0.5
"""With the time that a slow card takes, no more than one second is ever uncommitted."""
RETRY_EVERY_S: Final = 5.0
MAX_PENDING: Final = 8192
"""What waits for a disk that is full or away: about two minutes of one sensor."""


@dataclass(frozen=True, slots=True)
class _Pending:
    message: StoredMessage
    n_samples: int
    is_record: bool


class Recorder:
    """One session into ``folder``; ``say`` gets a line when the recording stops or goes on.

    ``sensors`` gives each stream's name, as in `SessionInfo`; the times given are seconds of the monotonic clock.
    """

    def __init__(
        self, folder: Path, info: SessionInfo, sensors: dict[int, str], *, rotate_s: float, say: Callable[[str], object]
    ) -> None:
        self._folder = folder
        self._info = info
        self._sensors = sensors
        self._rotate_s = rotate_s or float("inf")
        self._say = say
        self._schemas = {topic: (kind.__name__, entries.schema(kind)) for topic, kind in entries.topics(info).items()}
        self._rate_hz = dict.fromkeys(sensors, 0.0)
        self._boot_id = dict.fromkeys(sensors, -1)
        self._pending: deque[_Pending] = deque()
        self._dropped = _Dropped()
        self._file: McapFile | None = None
        self._opened_s = 0.0
        self._due_s = 0.0
        self._problem = ""
        self._n_recorded = self._n_samples = self._n_unrecorded = self._n_unrecorded_samples = 0
        self._n_overwritten = 0

    @property
    def status(self) -> RecorderStatus:
        """How it goes."""
        return RecorderStatus(
            file="" if self._file is None else self._file.path.name,
            problem=self._problem,
            n_recorded=self._n_recorded,
            n_samples=self._n_samples,
            n_unrecorded=self._n_unrecorded,
            n_unrecorded_samples=self._n_unrecorded_samples,
            n_overwritten=self._n_overwritten,
        )

    def take_record(self, ring_sequence: int, record: Record) -> None:
        """A record of the ring, in its order."""
        stream_id, item = record.stream_id, record.item
        sensor = self._sensors[stream_id]
        if isinstance(item, LinkStatus) and item.rate_hz > 0:
            self._rate_hz[stream_id] = item.rate_hz
        if isinstance(item, Restart):
            self._boot_id[stream_id] = item.boot_id
        entry = entries.entry_of(
            record, sensor, ring_sequence, rate_hz=self._rate_hz[stream_id], boot_id=self._boot_id[stream_id]
        )
        n_samples = len(item.samples) if isinstance(item, Block) else 0
        topic = entries.topic(entries.RING_TOPICS[type(entry)], sensor)
        self._put(topic, item.received_ns, entry, sequence=ring_sequence, n_samples=n_samples, is_record=True)
        if isinstance(item, Block):
            topic = entries.topic(entries.PLOT_TOPIC, sensor)
            for time_ns, point in entries.plot_points(item, sensor, record.host_time_ns or item.received_ns):
                self._put(topic, time_ns, point)

    def take_message(self, message: Message, received_ns: int) -> None:
        """A published message; those that follow from the samples and are large are left out."""
        name = entries.BUS_TOPICS.get(type(message))
        if name is not None:
            topic = entries.topic(name, message.sensor)
            self._put(
                topic, received_ns, message, sequence=message.sequence, publish_time_ns=round(message.time_s * 1e9)
            )

    def count_overwritten(self, n_records: int) -> None:
        """So many records in all were gone from the ring before they were read."""
        if n_records > self._n_overwritten:
            self._dropped.n_records += n_records - self._n_overwritten
            self._dropped.why = "overwritten in the ring before they were read"
            self._n_overwritten = n_records

    def commit_if_due(self, now_s: float) -> bool:
        """Bring what was taken to the disk if it is time; tells whether nothing waits any more."""
        if now_s < self._due_s:
            return False
        is_done = self.commit(now_s)
        self._due_s = now_s + (COMMIT_EVERY_S if is_done else RETRY_EVERY_S)
        return is_done

    def commit(self, now_s: float) -> bool:
        """Bring what was taken to the disk; False where the disk does not let us."""
        if self._file is not None and now_s - self._opened_s >= self._rotate_s:
            self.close()
        if not self._pending:
            return True
        try:
            if self._file is None:
                self._open(now_s)
            assert self._file is not None, "it was opened"
            if self._dropped.why:
                self._file.add(self._stored(entries.DROPOUT_TOPIC, time.monotonic_ns(), self._dropped.entry()))
            for pending in self._pending:
                self._file.add(pending.message)
            self._file.commit()
        except OSError as error:
            self._failed(error)
            return False
        self._n_recorded += len(self._pending)
        self._n_samples += sum(pending.n_samples for pending in self._pending)
        self._pending.clear()
        if self._problem:
            lost = f"; {self._dropped.n_records} records were not recorded" if self._dropped.n_records else ""
            self._say(f"recording again{lost}")
        self._problem = ""
        self._dropped = _Dropped()
        return True

    def close(self) -> None:
        """Finish the file, if there is one; what was committed stays where the disk refuses even that."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            self._failed(error)

    def _open(self, now_s: float) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = next_part(self._folder, self._info.session)
        info = msgspec.structs.replace(self._info, part=part)
        path = part_path(self._folder, info.session, part)
        file = McapFile(path, self._schemas, {"session": entries.encode(info).decode()})
        file.add(self._stored(entries.SESSION_TOPIC, time.monotonic_ns(), info))
        self._file, self._opened_s = file, now_s

    def _failed(self, error: OSError) -> None:
        """Nothing is lost yet: what waits goes into the next file."""
        if self._file is not None and self._file.n_commits == 0:
            self._file.path.unlink(missing_ok=True)
        self._file = None
        problem = f"cannot record in {self._folder}: {error.strerror}"
        if problem != self._problem:
            self._say(f"{problem}; the classification goes on, and recording is tried again every {RETRY_EVERY_S:g} s")
        self._problem = problem

    def _put(
        self,
        topic: str,
        time_ns: int,
        value: msgspec.Struct,
        *,
        sequence: int = 0,
        publish_time_ns: int | None = None,
        n_samples: int = 0,
        is_record: bool = False,
    ) -> None:
        stored = self._stored(topic, time_ns, value, sequence=sequence, publish_time_ns=publish_time_ns)
        self._pending.append(_Pending(stored, n_samples, is_record))
        if len(self._pending) > MAX_PENDING:
            given_up = self._pending.popleft()
            self._n_unrecorded += 1
            self._n_unrecorded_samples += given_up.n_samples
            self._dropped.add(given_up, self._problem or "they came faster than the disk takes them")

    def _stored(
        self, topic: str, time_ns: int, value: msgspec.Struct, *, sequence: int = 0, publish_time_ns: int | None = None
    ) -> StoredMessage:
        log_time_ns = time_ns + self._info.wall_minus_monotonic_ns
        publish_time_ns = log_time_ns if publish_time_ns is None else publish_time_ns
        return StoredMessage(topic, log_time_ns, publish_time_ns, sequence, entries.encode(value))


@dataclass(slots=True)
class _Dropped:
    """What was given up since the last commit."""

    n_records: int = 0
    n_samples: int = 0
    n_messages: int = 0
    why: str = ""

    def add(self, pending: _Pending, why: str) -> None:
        self.n_records += pending.is_record
        self.n_messages += not pending.is_record
        self.n_samples += pending.n_samples
        self.why = why

    def entry(self) -> DropoutEntry:
        return DropoutEntry(
            n_records=self.n_records, n_samples=self.n_samples, n_messages=self.n_messages, why=self.why
        )
