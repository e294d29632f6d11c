"""What a session's reader gives without samples, all at once: what tests compare and the report takes in turn."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edge.messages import Message
from edge.recording.entries import SessionInfo
from edge.sources.session_reader import Published, SessionReader


@dataclass(frozen=True, slots=True)
class SessionLog:
    """What live published in a session, of the kinds that were asked for, in its order."""

    info: SessionInfo
    messages: tuple[Published, ...]
    losses: tuple[str, ...]
    parts: tuple[int, ...]


def read_messages(path: Path, kinds: Collection[type[Message]]) -> SessionLog:
    """Of a session's file, folder or name."""
    reader = SessionReader(path, kinds, whole_records=False)
    messages = tuple(itertools.chain.from_iterable(part.published for part in reader))
    return SessionLog(reader.info, messages, reader.losses, reader.parts)
