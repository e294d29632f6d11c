"""A folder in the shape of GSTRIDE, real or twins, goes in; people with their recordings come out, and what is missing.

Files are found by their names (``Vnnn``), wherever they lie, and joined to the register by ID. A file that cannot be
read with certainty is left out and listed with its reason, never read by guess.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge.errors import DatasetError, RecordingError
from edge.sources.gstride import Overrides, read_gstride
from edge.sources.gstride_time import RateUnknownError
from edge.sources.recording import Recording
from edge.sources.register import LABELS, Person, find_register, read_register, registers_in
from trainer.datasets.dataset import PEOPLE, TWINS, Dataset, ReadProgress, Subject, Walk

KIND: Final = "gstride"
LICENCE: Final = "CC BY 4.0"
CREDIT: Final = (
    "GSTRIDE: García-de-Villa et al., A database of frailty and functional assessments with inertial gait data from "
    "elderly fallers and non-fallers populations, Scientific Data 10:566 (2023), doi 10.1038/s41597-023-02428-0, "
    "CC BY 4.0"
)
SPEED_BORDERS_M_S: Final = (0.8, 1.0)
"""Slow is below the first, fast above the second."""
_NAME: Final = re.compile(r"(V\d{3})(_[0-9A-Za-z]+)?")
_ENDINGS: Final = (".txt", ".csv")
_MIN_OF_A_DEVICE: Final = 10
_PREFERRED_FOLDERS: Final = ("calibrated", "imu")


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be learned: its classes in order, a person's class or None, and where the register has it."""

    labels: tuple[str, ...]
    label_of: Callable[[Person], str | None]
    column: str


FALLS: Final = ("non-faller", "faller")
SPEEDS: Final = ("slow", "mid", "fast")


def _frailty(person: Person) -> str | None:
    return person.label if person.n_criteria else None


def _falls(person: Person) -> str | None:
    return None if person.fell is None else FALLS[person.fell]


def _speed(person: Person) -> str | None:
    speed_m_s = person.gait_speed_m_s
    if speed_m_s is None:
        return None
    low, high = SPEED_BORDERS_M_S
    return SPEEDS[0] if speed_m_s < low else SPEEDS[1] if speed_m_s <= high else SPEEDS[2]


TARGETS: Final[Mapping[str, Target]] = {
    "frailty": Target(LABELS, _frailty, "Fried's five criteria"),
    "falls": Target(FALLS, _falls, "Falls during the last year"),
    "gait-speed": Target(SPEEDS, _speed, "Gait speed"),
}
DEFAULT_TARGET: Final = "frailty"


def recognises(folder: Path) -> bool:
    """Whether a folder holds a register of GSTRIDE, or recordings named as GSTRIDE names them."""
    return folder.is_dir() and bool(registers_in(folder, deep=True) or next(_recordings(folder), None))


def load_gstride(
    folder: Path,
    *,
    target: str | None = None,
    overrides: Overrides | None = None,
    progress: ReadProgress | None = None,
) -> Dataset:
    """Read every recording of a folder; ``target`` is one of `TARGETS`, frailty where None.

    `DatasetError` for another target, or where there is no folder, register, label or readable recording.
    """
    target = DEFAULT_TARGET if target is None else target
    if target not in TARGETS:
        raise DatasetError(f"target {target!r} is none of GSTRIDE's: choose {', '.join(TARGETS)}")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    register, problems = _find_register(folder)
    people = {person.id: person for person in read_register(register)}
    trained_on = _trained_on(register, people.values())
    problems += [line for person in people.values() if (line := _index_disagrees(person))]
    files, found = _find_files(folder)
    problems += found
    problems += [f"{files[i]}: {i} is not in {register}" for i in sorted(files.keys() - people.keys())]
    labels = {i: TARGETS[target].label_of(people[i]) for i in sorted(files.keys() & people.keys())}
    problems += [
        f'{i}: left out, no {target} label: nothing usable under "{TARGETS[target].column}" in the register'
        for i, label in labels.items()
        if label is None
    ]
    known = {i: label for i, label in labels.items() if label is not None}
    recordings, found = _read_all(
        {i: files[i] for i in known}, people, overrides or Overrides(), progress or (lambda *_: None)
    )
    problems += found
    if not recordings:
        first = f"; the first problem: {problems[0]}" if problems else ""
        raise DatasetError(f"{folder}: no recording that could be read (files named like V001.txt){first}")
    return Dataset(
        kind=KIND,
        folder=folder,
        register=register,
        target=target,
        labels=TARGETS[target].labels,
        subjects=tuple(_subject(folder, people[i], known[i], recordings[i]) for i in sorted(recordings)),
        gravity="included",
        trained_on=trained_on,
        licence=LICENCE,
        credit=CREDIT,
        without_recording=tuple(sorted(people.keys() - files.keys())),
        problems=tuple(problems),
    )


def _find_register(folder: Path) -> tuple[Path, list[str]]:
    registers = registers_in(folder, deep=True)
    if registers:
        unread = ", ".join(str(path) for path in registers[1:])
        return registers[0], [f"more than one register: {registers[0]} is read, not {unread}"] if unread else []
    above = find_register(folder / "any")
    if above is None:
        raise DatasetError(
            f"{folder}: no Database_register.csv (or .xlsx, or GSTRIDE_DDBB.xlsx) in it or above it; the labels of the "
            "people stand there"
        )
    return above, []


def _trained_on(register: Path, people: Collection[Person]) -> str:
    """Twins say in their register what they are: a model must never pass for one of people, nor the other way round."""
    n_synthetic = sum(person.notes.startswith("synthetic") for person in people)
    if n_synthetic not in {0, len(people)}:
        raise DatasetError(
            f"{register}: {n_synthetic} of {len(people)} people are synthetic by their notes; keep twins and people in "
            "folders of their own"
        )
    return TWINS if n_synthetic else PEOPLE


def _index_disagrees(person: Person) -> str:
    if not person.n_criteria or person.stated_index == person.frailty_index:
        return ""
    stated = "none" if person.stated_index is None else person.stated_index
    return (
        f"{person.id}: the register's frailty index is {stated}, its five criteria make {person.frailty_index} "
        f"({person.label}); the criteria count"
    )


def _recordings(folder: Path) -> Iterator[tuple[str, bool, Path]]:
    """The ID, whether the name says nothing else, and the path of each file named as a recording is."""
    for path in folder.rglob("V*"):
        match = _NAME.fullmatch(path.stem)
        if match is not None and path.suffix.lower() in _ENDINGS:
            yield match[1], match[2] is None, path


def _find_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """One file an ID: calibrated or v3 before raw; two of the same rank are a problem, not a choice."""
    candidates: dict[str, list[tuple[int, Path]]] = {}
    for person_id, is_plain, path in sorted(_recordings(folder)):
        place = str(path.relative_to(folder).parent).lower()
        preferred = any(word in place for word in _PREFERRED_FOLDERS)
        rank = 0 if preferred else 1 if is_plain and "raw" not in place else 2
        candidates.setdefault(person_id, []).append((rank, path))
    files: dict[str, Path] = {}
    problems: list[str] = []
    for person_id, found in candidates.items():
        best = min(rank for rank, _ in found)
        paths = [path for rank, path in found if rank == best]
        if len(paths) > 1:
            problems.append(f"{person_id}: more than one recording: {', '.join(map(str, paths))}; keep one")
        else:
            files[person_id] = paths[0]
    return files, problems


def _read_all(
    files: Mapping[str, Path], people: Mapping[str, Person], overrides: Overrides, progress: ReadProgress
) -> tuple[dict[str, Recording], list[str]]:
    """The recordings that can be read, by ID, and a line for each of the others."""
    recordings: dict[str, Recording] = {}
    problems: list[str] = []
    without_rate: dict[str, RateUnknownError] = {}
    for done, (person_id, path) in enumerate(files.items(), start=1):
        try:
            recordings[person_id] = read_gstride(path, overrides, people[person_id])
        except RateUnknownError as error:
            without_rate[person_id] = error
        except RecordingError as error:
            problems.append(str(error))
        progress(person_id, done, len(files))
    usual = {device: _rate_of_device(recordings, people, device) for device in {p.device for p in people.values()}}
    for person_id, unknown in without_rate.items():
        person = people[person_id]
        rate_hz = usual[person.device]
        if rate_hz is None:
            problems.append(str(unknown))
            continue
        try:
            recordings[person_id] = read_gstride(files[person_id], replace(overrides, rate_hz=rate_hz), person)
        except RecordingError as error:
            problems.append(str(error))
            continue
        problems.append(
            f"{unknown}; taken as {rate_hz:g} Hz, which all other recordings of a {person.device} device have"
        )
    return recordings, problems


def _rate_of_device(recordings: Mapping[str, Recording], people: Mapping[str, Person], device: str) -> float | None:
    """The rate that at least ten recordings of a device have, if all have the same."""
    rates = [recording.rate_hz for i, recording in recordings.items() if people[i].device == device]
    return rates[0] if len(rates) >= _MIN_OF_A_DEVICE and len(set(rates)) == 1 else None


def _subject(folder: Path, person: Person, label: str, recording: Recording) -> Subject:
    name = recording.path.relative_to(folder).as_posix()
    return Subject(person.id, label, (Walk(name, recording, person.device),), person.traits, person)
