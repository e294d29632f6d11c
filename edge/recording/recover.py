"""A damaged or unfinished session file goes in; a sound copy of all that is whole comes out, and what was lost.

The damaged file is never changed, and nothing is ever overwritten.
"""

import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import RecordingError
from edge.recording import entries
from edge.recording.entries import SamplesEntry
from edge.recording.files import SUFFIX, session_files
from edge.recording.mcap_file import McapFile, StoredMessage
from edge.sources.session_reader import SessionReader, damage_of, read_part

_MESSAGES_A_CHUNK: Final = 256
"""About what the recorder puts into one."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """``copy`` is None where the file was whole and finished: there was nothing to do."""

    copy: Path | None
    n_messages: int
    n_samples: dict[str, int]
    losses: tuple[str, ...]

    def summary(self, path: Path) -> str:
        """A line for the user, without the losses."""
        samples = ", ".join(f"{sensor} {n}" for sensor, n in self.n_samples.items())
        if self.copy is None:
            return f"{path}: is whole and finished ({samples} samples): nothing to recover"
        return f"{self.copy}: {self.n_messages} messages; samples: {samples}"


def recovered_path(path: Path) -> Path:
    """Where a copy goes unless the user says otherwise; a session's folder may hold both."""
    return path.with_name(f"{path.stem}-recovered{SUFFIX}")


def recover(path: Path, copy: Path) -> Recovered:
    """Write ``copy``; `RecordingError` where nothing can be read, or the copy is there already or cannot be written."""
    if session_files(path) != [path]:
        raise RecordingError(f"{path}: is no file; name one file of a session")
    info, part = read_part(path)
    reader = SessionReader(path)
    n_samples = dict.fromkeys((sensor.name for sensor in info.sensors), 0)
    for entry in itertools.chain.from_iterable(piece.entries for piece in reader):
        if isinstance(entry, SamplesEntry) and entry.sensor in n_samples:
            n_samples[entry.sensor] += entry.n_samples
    if part.is_finished and not part.n_damaged_bytes and not part.n_unnamed:
        return Recovered(None, len(part.messages), n_samples, ())
    counts = Counter(message.topic for message in part.messages)
    schemas = entries.schemas(info)
    unknown = {topic: ("unknown", b'{"type":"object","properties":{}}') for topic in counts if topic not in schemas}
    try:
        file = McapFile(copy, schemas | unknown, {"session": entries.encode(info).decode()})
        if not counts[entries.SESSION_TOPIC]:
            begin_ns = part.messages[0].log_time_ns if part.messages else 0
            file.add(StoredMessage(entries.SESSION_TOPIC, begin_ns, begin_ns, 0, entries.encode(info)))
        for n_before, message in enumerate(part.messages):
            file.add(message)
            if n_before % _MESSAGES_A_CHUNK == _MESSAGES_A_CHUNK - 1:
                file.commit()
        file.close()
    except FileExistsError as error:
        raise RecordingError(f"{copy}: is there already; remove it or give another --out") from error
    except OSError as error:
        with contextlib.suppress(OSError):  # half a copy helps nobody
            copy.unlink()
        raise RecordingError(f"{copy}: cannot be written: {error.strerror}") from error
    cut = () if part.is_finished else (f"{path.name}: was not finished: at most the last second before that is lost",)
    return Recovered(copy, len(part.messages), n_samples, (*damage_of(path, part), *cut, *reader.holes))
