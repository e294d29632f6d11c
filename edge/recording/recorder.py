"""The recorder: ring records and messages in, files out, a chunk every half second, a new file every so often.

It may be killed at any time, and the disk may fill up or vanish: then what comes is kept for a while, tried again in a
new file, and counted where it had to be given up. It never raises for what a disk does.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.messages import Message
from edge.recording import entries
from edge.recording.entries import DropoutEntry, EndEntry, SessionInfo
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
    ``n_overwritten``: so many records were gone from the ring, and told, before this recorder's life.
    """

    def __init__(
        self,
        folder: Path,
        info: SessionInfo,
        sensors: dict[int, str],
        *,
        rotate_s: float,
        say: Callable[[str], object],
        n_overwritten: int = 0,
    ) -> None:
        self._folder = folder
        self._info = info
        self._sensors = sensors
        self._rotate_s = rotate_s or float("inf")
        self._say = say
        self._schemas = entries.schemas(info)
        self._rate_hz = dict.fromkeys(sensors, 0.0)
        self._boot_id = dict.fromkeys(sensors, -1)
        self._pending: deque[_Pending] = deque()
        self._dropped = _Dropped()
        self._file: McapFile | None = None
        self._opened_s = 0.0
        self._due_s = 0.0
        self._problem = self._why = ""
        self._n_recorded = self._n_samples = self._n_unrecorded = self._n_unrecorded_samples = 0
        self._n_overwritten = n_overwritten
        self._n_bytes_before = self._next_sequence = 0
        self._has_ended = self._had_lives = self._knows_earlier = False
        self._look_for_earlier()

    @property
    def status(self) -> RecorderStatus:
        """How it goes."""
        return RecorderStatus(
            file="" if self._file is None else self._file.path.name,
            problem=self._problem,
            has_ended=self._has_ended,
            n_bytes=self._n_bytes_before + (0 if self._file is None else self._file.n_committed_bytes),
            n_recorded=self._n_recorded,
            n_samples=self._n_samples,
            n_unrecorded=self._n_unrecorded,
            n_unrecorded_samples=self._n_unrecorded_samples,
            n_overwritten=self._n_overwritten,
            had_lives=self._had_lives,
        )

    def take_record(self, ring_sequence: int, record: Record) -> None:
        """A record of the ring, in its order."""
        self._next_sequence = ring_sequence + 1
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
        """So many records in all, over all lives, were gone from the ring before they were read."""
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
            self._finish_file()
        if not self._pending and not self._dropped.why:
            return True
        return self._write(now_s)

    def close(self) -> None:
        """End the session: what waits, the mark of its end, and the file finished; what the disk refuses is counted."""
        self._has_ended = True
        if self._write(0.0, is_end=True):
            self._finish_file()
        while self._pending:
            self._give_up()

    def _write(self, now_s: float, *, is_end: bool = False) -> bool:
        try:
            if self._file is None:
                self._open(now_s)
            assert self._file is not None, "it was opened"
            if self._dropped.why:
                self._file.add(self._stored(entries.DROPOUT_TOPIC, time.monotonic_ns(), self._dropped.entry()))
            for pending in self._pending:
                self._file.add(pending.message)
            if is_end:
                end = EndEntry(n_records=self._next_sequence)
                self._file.add(self._stored(entries.END_TOPIC, time.monotonic_ns(), end))
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

    def _finish_file(self) -> None:
        """What was committed stays where the disk refuses even that."""
        assert self._file is not None, "there is one"
        try:
            self._file.close()
        except OSError as error:
            self._failed(error)
        else:
            self._leave_file()

    def _leave_file(self) -> None:
        if self._file is not None:
            self._n_bytes_before += self._file.n_committed_bytes
            self._file = None

    def _look_for_earlier(self) -> None:
        """Count what earlier recorders of this run left; while the disk is away that is asked again, before a file."""
        if self._knows_earlier:
            return
        session, run_token = self._info.session, self._info.run_token
        try:
            part = next_part(self._folder, session, run_token)
        except OSError:
            return  # nothing is there yet, or the disk refuses: `_open` meets the same, and says it
        self._knows_earlier, self._had_lives = True, part > 1
        for earlier in range(1, part):
            with contextlib.suppress(OSError):  # taken away by the user
                self._n_bytes_before += part_path(self._folder, session, run_token, earlier).stat().st_size

    def _open(self, now_s: float) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._look_for_earlier()
        part = next_part(self._folder, self._info.session, self._info.run_token)
        info = msgspec.structs.replace(self._info, part=part)
        path = part_path(self._folder, info.session, info.run_token, part)
        file = McapFile(path, self._schemas, {"session": entries.encode(info).decode()})
        file.add(self._stored(entries.SESSION_TOPIC, time.monotonic_ns(), info))
        self._file, self._opened_s = file, now_s

    def _failed(self, error: OSError) -> None:
        """Nothing is lost yet: what waits goes into the next file."""
        if self._file is not None and self._file.n_commits == 0:
            with contextlib.suppress(OSError):  # a disk that may not be written lets nobody tidy up either
                self._file.path.unlink()
                self._file = None  # none of its bytes are there
        self._leave_file()
        self._why = f"the disk refused: {error.strerror}"
        problem = f"cannot record in {self._folder}: {error.strerror}"
        if problem != self._problem:
            again = "" if self._has_ended else f", and recording is tried again every {RETRY_EVERY_S:g} s"
            self._say(f"{problem}; the classification goes on{again}")
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
            self._give_up()

    def _give_up(self) -> None:
        given_up = self._pending.popleft()
        self._n_unrecorded += 1
        self._n_unrecorded_samples += given_up.n_samples
        # Not the problem itself, which names the folder.
        self._dropped.add(given_up, self._why if self._problem else "they came faster than the disk takes them")

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
