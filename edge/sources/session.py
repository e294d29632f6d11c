"""A recorded session read back: every sensor's samples, gaps and restarts in the order in which live had them.

Files of `edge.recording` enter. A `Session` leaves, which `edge.replay_session` pushes exactly as live did. What is
damaged or missing is said in ``losses``. Who needs no samples reads with `edge.sources.session_reader` alone.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.recording import entries
from edge.recording.entries import (
    Entry,
    GapEntry,
    LinkEntry,
    RecordedSensor,
    RestartEntry,
    SamplesEntry,
    SessionInfo,
)
from edge.sources.recording import Recording
from edge.sources.session_reader import SessionReader
from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.events import Block


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
    """A session, whole or what is left of it; ``losses`` are lines for the user, none where nothing is missing."""

    path: Path
    info: SessionInfo
    tracks: tuple[Track, ...]
    losses: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """From the first step of any sensor to the last, by live's clock."""
        received_ns = [step.received_ns for track in self.tracks for step in track.steps]
        return (max(received_ns) - min(received_ns)) / 1e9 if received_ns else 0.0

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


@dataclass(frozen=True, slots=True)
class TrackPart:
    """What a file adds to a `Track`: its steps count samples since the session began, its arrays since the file did.

    ``stretches``: of each stretch between two restarts that has samples here, its number from 1, those samples, and
    the monotonic time of the host at which the first of them was taken.
    """

    steps: tuple[Step, ...]
    time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]
    stretches: tuple[tuple[int, slice, int], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive samples of a stretch between two restarts of a sensor.

    Arrays as in `Track`. ``stretch`` counts the stretches with samples, from 1; ``taken_ns`` is the host's
    monotonic time at which the first sample was taken.
    """

    sensor: RecordedSensor
    stretch: int
    taken_ns: int
    rate_hz: float
    time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]


def read_session(path: Path) -> Session:
    """All samples of a session: a file of it, its folder, or folder and name (`edge.recording.files.session_files`).

    `RecordingError` for what is no session, or of which not even the beginning can be read; what else is damaged or
    missing stands in `Session.losses`.
    """
    reader = SessionReader(path)
    builders: dict[str, TrackBuilder] = {}
    found: dict[str, list[TrackPart]] = {}
    for part in reader:
        for sensor in part.info.sensors:
            builder = builders.setdefault(sensor.name, TrackBuilder(path, sensor.name))
            found.setdefault(sensor.name, []).append(builder.take(part.entries))
    tracks = tuple(
        Track(
            sensor=sensor.name,
            kind=sensor.kind,
            rate_hz=builders[sensor.name].rate_hz,
            time_ns=np.concatenate([piece.time_ns for piece in found[sensor.name]]),
            samples=np.concatenate([piece.samples for piece in found[sensor.name]]),
            saturated=np.concatenate([piece.saturated for piece in found[sensor.name]]),
            steps=tuple(step for piece in found[sensor.name] for step in piece.steps),
            statuses=tuple(builders[sensor.name].statuses),
        )
        for sensor in reader.info.sensors
    )
    return Session(path, reader.info, tracks, reader.losses)


def read_pieces(reader: SessionReader) -> Iterator[Piece]:
    """All samples of a session, file by file, each sensor's in order; then the reader's account is complete."""
    builders: dict[str, TrackBuilder] = {}
    for part in reader:
        for sensor in part.info.sensors:
            builder = builders.setdefault(sensor.name, TrackBuilder(reader.path, sensor.name))
            found = builder.take(part.entries)
            for stretch, samples, taken_ns in found.stretches:
                yield Piece(
                    sensor=sensor,
                    stretch=stretch,
                    taken_ns=taken_ns,
                    rate_hz=builder.rate_hz,
                    time_ns=found.time_ns[samples],
                    samples=found.samples[samples],
                    saturated=found.saturated[samples],
                )


class TrackBuilder:
    """One sensor's records, file by file and in order, become samples and steps.

    ``rate_hz`` is the sensor's nominal rate as far as was read, 0 where nothing says it. `RecordingError`, which names
    ``path``, where a record is whole but holds no signal.
    """

    def __init__(self, path: Path, sensor: str) -> None:
        self.rate_hz = 0.0
        self.statuses: list[LinkEntry] = []
        self._path = path
        self._sensor = sensor
        self._n_samples = 0
        self._newest_ns: int | None = None
        self._boot_id = -1
        self._stretch = 0
        self._is_fresh = True

    def take(self, ordered: Iterable[Entry]) -> TrackPart:
        """What these records add; those of other sensors are passed over."""
        steps: list[Step] = []
        blocks: list[Block] = []
        begun: list[tuple[int, int, int]] = []
        first = self._n_samples
        for entry in ordered:
            if entry.sensor != self._sensor:
                continue
            if isinstance(entry, LinkEntry | SamplesEntry) and not self.rate_hz:
                self.rate_hz = max(0.0, entry.rate_hz)
            if isinstance(entry, SamplesEntry):
                try:
                    blocks.append(entries.block_of(entry))
                except ValueError as error:
                    raise self._no_signal(entry, str(error)) from error
                steps += self._push(entry, blocks[-1])
                if self._is_fresh or not begun:
                    self._stretch += self._is_fresh
                    self._is_fresh = False
                    begun.append((self._stretch, steps[-1].begin - first, _taken_ns(entry, blocks[-1])))
            elif isinstance(entry, RestartEntry):
                steps.append(self._restart(entry))
                self._newest_ns, self._boot_id = None, entry.boot_id
            elif isinstance(entry, GapEntry):
                steps.append(self._gap(entry))
            elif isinstance(entry, LinkEntry):
                self.statuses.append(entry)
        ends = [begin for _, begin, _ in begun[1:]] + [self._n_samples - first]
        return TrackPart(
            steps=tuple(steps),
            time_ns=np.concatenate([np.empty(0, np.int64), *(block.device_time_ns for block in blocks)]),
            samples=np.concatenate([np.empty((0, N_CHANNELS), np.float32), *(block.samples for block in blocks)]),
            saturated=np.concatenate([np.empty(0, np.bool_), *(block.saturated for block in blocks)]),
            stretches=tuple(
                (number, slice(begin, end), taken_ns)
                for (number, begin, taken_ns), end in zip(begun, ends, strict=False)
            ),
        )

    def _push(self, entry: SamplesEntry, block: Block) -> list[Step]:
        if np.any(np.diff(block.device_time_ns) <= 0):
            raise self._no_signal(entry, "device times do not rise")
        # The record that said so is lost, or live lost it too: it goes by the times then, as live does.
        is_anew = self._newest_ns is not None and int(block.device_time_ns[0]) <= self._newest_ns
        if is_anew or (self._boot_id != -1 and entry.boot_id not in {-1, self._boot_id}):
            restarts = [self._restart(entry)]
        else:
            restarts = []
        self._boot_id = entry.boot_id
        self._newest_ns = int(block.device_time_ns[-1])
        begin, self._n_samples = self._n_samples, self._n_samples + len(block.samples)
        return [*restarts, Step("push", entry.ring_sequence, entry.received_ns, begin, self._n_samples)]

    def _restart(self, entry: Entry) -> Step:
        self._is_fresh = True
        return Step("restart", entry.ring_sequence, entry.received_ns, self._n_samples, self._n_samples)

    def _gap(self, entry: GapEntry) -> Step:
        return Step(
            "gap",
            entry.ring_sequence,
            entry.received_ns,
            self._n_samples,
            self._n_samples,
            entry.first_sample_index,
            entry.n_samples,
            entry.is_estimated,
        )

    def _no_signal(self, entry: Entry, why: str) -> RecordingError:
        return RecordingError(
            f"{self._path}: record {entry.ring_sequence} of sensor {entry.sensor} is no signal: {why}"
        )


def _taken_ns(entry: SamplesEntry, block: Block) -> int:
    """When the first sample was taken, by the host's clock; by the packet's arrival where nothing better is known."""
    if entry.host_time_ns:
        return entry.host_time_ns
    return entry.received_ns - int(block.device_time_ns[-1] - block.device_time_ns[0])
