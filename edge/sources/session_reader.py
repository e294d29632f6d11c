"""A session's files one after the other: their records in order, each once, and an account of what is missing.

Files of `edge.recording` enter, a `Part` a file leaves; never more than two files' content is held. Nothing is made up
for what is damaged or missing, nothing that no checksum covers is believed, and files of two runs are never mixed.
"""

import itertools
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.errors import RecordingError
from edge.messages import Message
from edge.recording import entries
from edge.recording.entries import DropoutEntry, EndEntry, Entry, SessionInfo
from edge.recording.files import part_number, session_files, stray_files
from edge.recording.mcap_file import Salvaged, StoredMessage, salvage

_FOREIGN: Final = "it is another program's"
_MESSAGE_KINDS: Final = {name: kind for kind, name in entries.BUS_TOPICS.items()}


@dataclass(frozen=True, slots=True)
class Published:
    """A message as live published it, and the monotonic time at which the recorder got it.

    That clock is the same in all files of a session, and no correction of the wall clock moves it.
    """

    message: Message
    received_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """What a file adds: records of the ring in order, and published messages in live's order."""

    info: SessionInfo
    entries: list[Entry]
    published: list[Published]


class _Envelope(msgspec.Struct, frozen=True):
    boot_id: str
    sequence: int


class SessionReader:
    """Reads a session once: iterate over the parts; then `losses` and `parts` are complete.

    ``path`` as for `edge.recording.files.session_files`. Of published messages those of ``kinds`` are given, the others
    only counted. Without ``whole_records`` a record is an `Entry` and no more: who needs no samples reads faster.
    `RecordingError` for what is no session, or two of them, or of which not even the beginning can be read.
    """

    def __init__(self, path: Path, kinds: Collection[type[Message]] = (), *, whole_records: bool = True) -> None:
        self.path = path
        self.damage: list[str] = []
        """What is said of single files."""
        self._kinds = kinds
        self._whole_records = whole_records
        self._info: SessionInfo | None = None
        self._files = session_files(path)
        self._is_alone = _is_one_file(path)
        self._parts: set[int] = set()
        self._end: EndEntry | None = None
        self._is_finished = False
        self._held: dict[int, Entry] = {}
        self._newest = -1
        self._n_missing = self._n_places = 0
        self._n_expected: Counter[tuple[str, str]] = Counter()
        self._sequences: dict[tuple[str, str], set[int]] = {}
        self._dropouts: dict[tuple[int, bytes], DropoutEntry] = {}

    @property
    def info(self) -> SessionInfo:
        """What the first file that can be read says of the session; of those read so far."""
        if self._info is None:
            why = "; ".join(self.damage) or _FOREIGN
            raise RecordingError(f"{self.path}: holds nothing of a session: {why}")
        return self._info

    @property
    def parts(self) -> tuple[int, ...]:
        """The numbers of the files, counted from 1 since the session began."""
        return tuple(sorted(self._parts))

    @property
    def losses(self) -> tuple[str, ...]:
        """What is missing or damaged, in lines for the user; empty where the session is whole."""
        strays = [
            f"{stray}: is not called as a file of a session, and was left out" for stray in stray_files(self.path)
        ]
        return (*strays, *self.damage, *self._missing_parts(), *self.holes)

    @property
    def holes(self) -> list[str]:
        """Records and messages that are missing between those that are there, and what live itself said of them."""
        lines = []
        if self._n_missing:
            lines.append(f"{self._n_missing} records are missing in {self._n_places} place{'s' * (self._n_places > 1)}")
        lines += [f"while live ran, {_dropped(dropout)}" for dropout in self._dropouts.values()]
        return lines + self._unheard()

    def __iter__(self) -> Iterator[Part]:
        for file in self._files:
            salvaged = read_file(file)
            info = read_info(file, salvaged)
            self._is_finished = salvaged.is_finished
            self.damage += damage_of(file, salvaged)
            number = part_number(file) if info is None else info.part
            if info is not None:
                self._check(file, info)
            if number is not None:
                self._parts.add(number)
            if info is None:
                continue
            try:
                found, published = self._decode(info, salvaged.messages)
            except ValueError as error:  # msgspec's errors are ValueErrors
                raise RecordingError(f"{file}: holds what this program does not record: {error}") from error
            del salvaged
            # Where a recorder was killed, the next file begins with what the one before may hold too.
            begin = min(found, default=0)
            done = sorted(sequence for sequence in self._held if sequence < begin)
            ready = [self._held.pop(sequence) for sequence in done]
            self._held = found | self._held
            yield Part(info, self._counted(ready), published)
        last = [self._held[sequence] for sequence in sorted(self._held)]
        self._held = {}
        yield Part(self.info, self._counted(last), [])
        if self._end is not None:
            self._count_hole(self._end.n_records)

    def _check(self, file: Path, info: SessionInfo) -> None:
        if self._info is None:
            self._info = info
        elif info.session != self._info.session:
            raise RecordingError(f"{file}: is of session {info.session}, {self._files[0]} of {self._info.session}")
        elif info.run_token != self._info.run_token:
            raise RecordingError(
                f"{file}: is of another run than {self._files[0]}, though both began in the same second: "
                "put each into a folder of its own"
            )
        elif info.part < max(self._parts, default=0):
            raise RecordingError(
                f"{file}: holds part {info.part} of its session: give it its old name, with that number"
            )

    def _decode(self, info: SessionInfo, messages: Iterable[StoredMessage]) -> tuple[dict[int, Entry], list[Published]]:
        found: dict[int, Entry] = {}
        published: list[Published] = []
        for message in messages:
            name = message.topic.split("/", 1)[0]
            if name in _MESSAGE_KINDS:
                told = self._published(_MESSAGE_KINDS[name], message)
                if told is not None:
                    published.append(Published(told, message.log_time_ns - info.wall_minus_monotonic_ns))
            elif message.topic == entries.DROPOUT_TOPIC:
                dropout = msgspec.json.decode(message.data, type=DropoutEntry)
                self._dropouts.setdefault((message.log_time_ns, message.data), dropout)
            elif message.topic == entries.END_TOPIC:
                self._end = msgspec.json.decode(message.data, type=EndEntry)
            elif (entry := entries.decode_entry(name, message.data, whole=self._whole_records)) is not None:
                found.setdefault(entry.ring_sequence, entry)
        return found, published

    def _published(self, kind: type[Message], message: StoredMessage) -> Message | None:
        """The message where it is wanted and new; it is counted in any case."""
        is_wanted = kind in self._kinds
        told = entries.decode_message(kind, message.data) if is_wanted else None
        envelope = told or msgspec.json.decode(message.data, type=_Envelope)
        key = (message.topic, envelope.boot_id)
        if key not in self._sequences:
            # Where the beginning is missing, so may be that of the publisher who was at work then.
            is_first = not any(topic == message.topic for topic, _ in self._sequences)
            self._n_expected[key] = -envelope.sequence if is_first and min(self._parts, default=1) > 1 else 0
            self._sequences[key] = set()
        is_new = envelope.sequence not in self._sequences[key]
        self._sequences[key].add(envelope.sequence)
        return told if is_new else None

    def _counted(self, ready: list[Entry]) -> list[Entry]:
        """Those that are new; the ring counts its records, so whatever is not there was lost."""
        new = [entry for entry in ready if entry.ring_sequence > self._newest]
        if self._newest < 0 and new and min(self._parts) > 1:
            self._newest = new[0].ring_sequence - 1  # how much the parts before it held, nobody knows
        for entry in new:
            self._count_hole(entry.ring_sequence)
            self._newest = entry.ring_sequence
        return new

    def _count_hole(self, until: int) -> None:
        n_missing = until - self._newest - 1
        if n_missing > 0:
            self._n_missing += n_missing
            self._n_places += 1

    def _missing_parts(self) -> list[str]:
        if not self._parts:
            return []
        first, last = self.parts[0], self.parts[-1]
        has_end = self._end is not None
        if self._is_alone and (first > 1 or not has_end):
            where = " and ".join(["before"] * (first > 1) + ["after"] * (not has_end))
            return [f"part {first} of the session alone: what came {where} it is not here"]
        missing = [
            f"part {before + 1} of the session is missing"
            if after == before + 2
            else f"parts {before + 1} to {after - 1} of the session are missing"
            for before, after in itertools.pairwise((0, *self.parts))
            if after > before + 1
        ]
        if has_end:
            return missing
        why = (
            f"what followed part {last} is not here"
            if self._is_finished
            else f"part {last} was not finished, so up to one second is lost, or what followed it is not here"
        )
        return [*missing, f"the session's end is missing: {why}"]

    def _unheard(self) -> list[str]:
        n_there: Counter[str] = Counter()
        n_all: Counter[str] = Counter()
        for (topic, boot_id), sequences in self._sequences.items():
            n_there[topic] += len(sequences)
            n_all[topic] += max(sequences) + 1 + self._n_expected[topic, boot_id]
        lines = []
        for topic, n in n_all.items():
            name, _, sensor = topic.rstrip("/").partition("/")
            n_lost = n - n_there[topic]
            if n_lost > 0:
                lines.append(f"sensor {sensor}: {n_lost} of {n} {name} messages were published and are not recorded")
        return lines


def _is_one_file(path: Path) -> bool:
    """Whether ``path`` names one file of a session, and not the whole; `session_files` has looked at it."""
    return path.exists() and not stat.S_ISDIR(path.stat().st_mode)


def read_file(file: Path) -> Salvaged:
    """What is whole in a file; `RecordingError` where it cannot be read."""
    try:
        return salvage(file.read_bytes())
    except OSError as error:
        raise RecordingError(f"{file}: cannot be read: {error.strerror}") from error


def read_part(file: Path) -> tuple[SessionInfo, Salvaged]:
    """One file as it stands; `RecordingError` where not even its session can be told."""
    part = read_file(file)
    info = read_info(file, part)
    if info is None:
        raise RecordingError(f"{file}: holds nothing of a session: {'; '.join(damage_of(file, part)) or _FOREIGN}")
    return info, part


def read_info(file: Path, part: Salvaged) -> SessionInfo | None:
    """From the file's first message, or its metadata where the chunk with that message is damaged."""
    told = next((message.data for message in part.messages if message.topic == entries.SESSION_TOPIC), None)
    data = part.metadata.get("session", "").encode() if told is None else told
    if not data:
        return None
    try:
        return entries.decode_info(data)
    except ValueError as error:
        raise RecordingError(f"{file}: is an MCAP file, but no session that can be read: {error}") from error


def damage_of(file: Path, part: Salvaged) -> list[str]:
    """What is damaged in a file, in lines for the user."""
    lines = []
    if part.n_damaged_bytes:
        lines.append(f"{file.name}: {part.n_damaged_bytes} bytes are damaged and were left out")
    if part.n_unnamed:
        lines.append(f"{file.name}: of {part.n_unnamed} messages the topic is lost")
    return lines


def _dropped(dropout: DropoutEntry) -> str:
    return (
        f"{dropout.n_records} records with {dropout.n_samples} samples and {dropout.n_messages} messages were not "
        f"recorded: {dropout.why}"
    )
