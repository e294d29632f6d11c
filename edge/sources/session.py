"""A recorded session read back: every sensor's samples, gaps and restarts in the order in which live had them.

Files of `edge.recording` enter, a `Session` leaves that `edge.replay_session` pushes exactly as live did. What a
damaged or missing file takes away is said in `Session.losses`; nothing is made up for it, and nothing that no checksum
covers is believed.
"""

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.messages import Message
from edge.recording import entries
from edge.recording.entries import DropoutEntry, Entry, GapEntry, LinkEntry, RestartEntry, SamplesEntry, SessionInfo
from edge.recording.files import session_files, stray_files
from edge.recording.mcap_file import Salvaged, salvage
from edge.sources.recording import Recording
from firmware_bridge.channels import N_CHANNELS, Samples

_FOREIGN: Final = "it is another program's"
_MESSAGE_KINDS: Final = {name: kind for kind, name in entries.BUS_TOPICS.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """What live did next with one sensor.

    ``push`` samples ``[begin, end)`` of its track; ``restart``: what follows from ``begin`` on does not connect to what
    came before; ``gap``: tell of ``n_samples`` missing from ``first_sample_index`` on. ``received_ns`` is live's
    monotonic time, ``ring_sequence`` orders the steps of all sensors.
    """

    kind: Literal["push", "restart", "gap"]
    ring_sequence: int
    received_ns: int
    begin: int = 0
    end: int = 0
    first_sample_index: int = 0
    n_samples: int = 0
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One sensor of a session.

    ``time_ns`` ``(n,)`` is device time, strictly increasing between two restarts; ``samples`` ``(n, 6)``, ``saturated``
    ``(n,)``; ``rate_hz`` the sensor's nominal rate; ``statuses`` how its link was.
    """

    sensor: str
    kind: str
    rate_hz: float
    time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]
    steps: tuple[Step, ...]
    statuses: tuple[LinkEntry, ...]

    def segments(self) -> list[slice]:
        """The stretches of samples between restarts, none of them empty."""
        restarts = {step.begin for step in self.steps if step.kind == "restart"}
        borders = sorted({0, len(self.time_ns)} | restarts)
        return [slice(begin, end) for begin, end in itertools.pairwise(borders)]


@dataclass(frozen=True, slots=True)
class Session:
    """A session, whole or what is left of it; ``losses`` are lines for the user, none where nothing is missing.

    ``messages`` are what live published, of the kinds that were asked for, in its order.
    """

    path: Path
    info: SessionInfo
    tracks: tuple[Track, ...]
    messages: tuple[Message, ...]
    losses: tuple[str, ...]

    def recordings(self, track: Track) -> list[Recording]:
        """Each stretch of a track between restarts as a `Recording`, its times from 0."""
        return [
            Recording(
                path=self.path,
                rate_hz=track.rate_hz,
                time_ns=track.time_ns[part] - track.time_ns[part.start],
                samples=track.samples[part],
                gravity="included",
                saturated=track.saturated[part],
            )
            for part in track.segments()
        ]


def read_session(path: Path, kinds: Collection[type[Message]] = ()) -> Session:
    """Read a session: a file of it, its folder, or folder and name (`edge.recording.files.session_files`).

    ``kinds`` are the published messages to be read too. `RecordingError` for what is no session, or of which not even
    the beginning can be read; what else is damaged or missing stands in `Session.losses`.
    """
    files = session_files(path)
    found: dict[int, Entry] = {}  # a recorder that was killed may have written some of them twice
    published: dict[tuple[str, str, int], Message] = {}
    dropouts: list[DropoutEntry] = []
    losses = [f"{stray}: is not called as a file of a session, and was left out" for stray in stray_files(path)]
    info: SessionInfo | None = None
    first_part = 0
    for file in files:
        part = _salvage(file)
        part_info = _info(file, part)
        losses += _damage(file, part)
        if part_info is None:
            continue
        if info is not None and part_info.session != info.session:
            raise RecordingError(f"{file}: is of session {part_info.session}, {files[0]} of {info.session}")
        info = info or part_info
        first_part = first_part or part_info.part
        try:
            for message in part.messages:
                name = message.topic.split("/", 1)[0]
                if message.topic == entries.DROPOUT_TOPIC:
                    dropouts.append(msgspec.json.decode(message.data, type=DropoutEntry))
                elif (entry := entries.decode_entry(name, message.data)) is not None:
                    found.setdefault(entry.ring_sequence, entry)
                elif (kind := _MESSAGE_KINDS.get(name)) in kinds and kind is not None:
                    told = entries.decode_message(kind, message.data)
                    published.setdefault((message.topic, told.boot_id, told.sequence), told)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise RecordingError(f"{file}: {message.topic} is not what this program records: {error}") from error
    if info is None:
        raise RecordingError(f"{path}: holds nothing of a session: {'; '.join(losses) or _FOREIGN}")
    ordered = [found[sequence] for sequence in sorted(found)]
    losses += _holes(ordered, starts_at_0=first_part == 1)
    losses += [f"while live ran, {_dropped(dropout)}" for dropout in dropouts]
    tracks = tuple(
        _track(sensor.name, sensor.kind, [entry for entry in ordered if entry.sensor == sensor.name])
        for sensor in info.sensors
    )
    return Session(path, info, tracks, tuple(published.values()), tuple(losses))


def read_part(file: Path) -> tuple[SessionInfo, Salvaged]:
    """One file as it stands; `RecordingError` where not even its session can be told."""
    part = _salvage(file)
    info = _info(file, part)
    if info is None:
        raise RecordingError(f"{file}: holds nothing of a session: {'; '.join(_damage(file, part)) or _FOREIGN}")
    return info, part


def _salvage(file: Path) -> Salvaged:
    try:
        return salvage(file.read_bytes())
    except OSError as error:
        raise RecordingError(f"{file}: cannot be read: {error.strerror}") from error


def _info(file: Path, part: Salvaged) -> SessionInfo | None:
    """From the file's first message, or its metadata where the chunk with that message is damaged."""
    told = next((message.data for message in part.messages if message.topic == entries.SESSION_TOPIC), None)
    data = part.metadata.get("session", "").encode() if told is None else told
    if not data:
        return None
    try:
        return entries.decode_info(data)
    except ValueError as error:
        raise RecordingError(f"{file}: is an MCAP file, but no session that can be read: {error}") from error


def _damage(file: Path, part: Salvaged) -> list[str]:
    lines = []
    if part.n_damaged_bytes:
        lines.append(f"{file.name}: {part.n_damaged_bytes} bytes are damaged and were left out")
    if part.n_unnamed:
        lines.append(f"{file.name}: of {part.n_unnamed} messages the topic is lost")
    if not part.is_finished and not part.n_damaged_bytes:
        lines.append(f"{file.name}: was not finished; what was recorded last may be missing, at most one second")
    return lines


def _holes(ordered: list[Entry], *, starts_at_0: bool) -> list[str]:
    """The ring counts its records: whatever is not there was lost."""
    sequences = [entry.ring_sequence for entry in ordered]
    steps = [after - before - 1 for before, after in itertools.pairwise([-1, *sequences] if starts_at_0 else sequences)]
    n_places = sum(step > 0 for step in steps)
    return [f"{sum(steps)} records are missing in {n_places} place{'s' * (n_places > 1)}"] if n_places else []


def _dropped(dropout: DropoutEntry) -> str:
    return (
        f"{dropout.n_records} records with {dropout.n_samples} samples and {dropout.n_messages} messages were not "
        f"recorded: {dropout.why}"
    )


def _track(sensor: str, kind: str, ordered: list[Entry]) -> Track:
    steps: list[Step] = []
    blocks = []
    n_samples = 0
    newest_ns: int | None = None
    boot_id = -1
    for entry in ordered:
        if isinstance(entry, SamplesEntry):
            block = entries.block_of(entry)
            # The record that said so is lost, or live lost it too: it goes by the times then, as live does.
            is_anew = newest_ns is not None and int(block.device_time_ns[0]) <= newest_ns
            if is_anew or (boot_id != -1 and entry.boot_id not in {-1, boot_id}):
                steps.append(Step("restart", entry.ring_sequence, entry.received_ns, n_samples, n_samples))
            boot_id = entry.boot_id
            newest_ns = int(block.device_time_ns[-1])
            begin, n_samples = n_samples, n_samples + len(block.samples)
            steps.append(Step("push", entry.ring_sequence, entry.received_ns, begin, n_samples))
            blocks.append(block)
        elif isinstance(entry, RestartEntry):
            steps.append(Step("restart", entry.ring_sequence, entry.received_ns, n_samples, n_samples))
            newest_ns, boot_id = None, entry.boot_id
        elif isinstance(entry, GapEntry):
            steps.append(
                Step(
                    "gap",
                    entry.ring_sequence,
                    entry.received_ns,
                    n_samples,
                    n_samples,
                    entry.first_sample_index,
                    entry.n_samples,
                    entry.is_estimated,
                )
            )
    return Track(
        sensor=sensor,
        kind=kind,
        rate_hz=_rate_hz(ordered),
        time_ns=np.concatenate([np.empty(0, np.int64), *(block.device_time_ns for block in blocks)]),
        samples=np.concatenate([np.empty((0, N_CHANNELS), np.float32), *(block.samples for block in blocks)]),
        saturated=np.concatenate([np.empty(0, np.bool_), *(block.saturated for block in blocks)]),
        steps=tuple(steps),
        statuses=tuple(entry for entry in ordered if isinstance(entry, LinkEntry)),
    )


def _rate_hz(ordered: Iterable[Entry]) -> float:
    """The sensor's nominal rate, 0 where nothing that is left says it."""
    rates = (entry.rate_hz for entry in ordered if isinstance(entry, LinkEntry | SamplesEntry))
    return next((rate_hz for rate_hz in rates if rate_hz > 0), 0.0)
