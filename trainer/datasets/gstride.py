"""A folder in the shape of GSTRIDE, real or twins, goes in; people with their recordings come out, and what is missing.

Files are found by their names (``Vnnn``), wherever they lie, and joined to the register by ID. A file that cannot be
read with certainty is left out and listed with its reason, never read by guess.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np

from edge.errors import DatasetError, RecordingError
from edge.sources.gstride import Overrides, RateUnknownError, read_gstride
from edge.sources.recording import Recording
from edge.sources.register import LABELS, REGISTER_GLOB, Person, find_register, read_register
from firmware_bridge.gait import GaitParameters
from trainer.class_figures import gait_vector

_NAME: Final = re.compile(r"(V\d{3})(_[0-9A-Za-z]+)?")
_MIN_OF_A_DEVICE: Final = 10
_PREFERRED_FOLDERS: Final = ("calibrated", "imu")


@dataclass(frozen=True, slots=True)
class PersonRecording:
    """One person and the walk recorded of them."""

    person: Person
    recording: Recording


@dataclass(frozen=True, slots=True)
class Dataset:
    """``without_recording``: IDs that no file belongs to; ``problems``: what was left out or assumed, and why."""

    folder: Path
    register: Path
    people: tuple[PersonRecording, ...]
    without_recording: tuple[str, ...]
    problems: tuple[str, ...]


def load_people(
    folder: Path,
    *,
    overrides: Overrides | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Dataset:
    """Read every recording of a folder, sorted by ID; ``progress`` gets the ID, how many are done, and of how many.

    `DatasetError` where there is no folder, register or readable recording.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    registers = sorted(folder.rglob(REGISTER_GLOB))
    register = registers[0] if registers else find_register(folder / "any")
    if register is None:
        raise DatasetError(
            f"{folder}: no Database_register.csv in it or above it; the labels of the people stand there"
        )
    people = {person.id: person for person in read_register(register)}
    files, problems = _find_files(folder)
    problems += [f"{files[i]}: {i} is not in {register}" for i in sorted(files.keys() - people.keys())]
    known = sorted(files.keys() & people.keys())
    overrides = overrides or Overrides()
    loaded: list[PersonRecording] = []
    without_rate: dict[str, RateUnknownError] = {}
    for done, person_id in enumerate(known, start=1):
        try:
            recording = read_gstride(files[person_id], overrides, people[person_id])
            loaded.append(PersonRecording(people[person_id], recording))
        except RateUnknownError as error:
            without_rate[person_id] = error
        except RecordingError as error:
            problems.append(str(error))
        if progress is not None:
            progress(person_id, done, len(known))
    usual = {person.device: _rate_of_device(loaded, person.device) for person in people.values()}
    for person_id, unknown in without_rate.items():
        person = people[person_id]
        rate_hz = usual[person.device]
        if rate_hz is None:
            problems.append(str(unknown))
            continue
        try:
            recording = read_gstride(files[person_id], replace(overrides, rate_hz=rate_hz), person)
        except RecordingError as error:
            problems.append(str(error))
            continue
        problems.append(
            f"{unknown}; taken as {rate_hz:g} Hz, which all other recordings of a {person.device} device have"
        )
        loaded.append(PersonRecording(person, recording))
    loaded.sort(key=lambda item: item.person.id)
    if not loaded:
        first = f"; the first problem: {problems[0]}" if problems else ""
        raise DatasetError(f"{folder}: no recording that could be read (files named like V001.txt){first}")
    without = tuple(sorted(people.keys() - files.keys()))
    return Dataset(folder, register, tuple(loaded), without, tuple(problems))


def _rate_of_device(loaded: Sequence[PersonRecording], device: str) -> float | None:
    """The rate that at least ten recordings of a device have, if all have the same."""
    rates = [item.recording.rate_hz for item in loaded if item.person.device == device]
    return rates[0] if len(rates) >= _MIN_OF_A_DEVICE and len(set(rates)) == 1 else None


def _find_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """One file an ID: calibrated or v3 before raw; two of the same rank are a problem, not a choice."""
    candidates: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.rglob("V*")):
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in {".txt", ".csv"}:
            continue
        place = str(path.relative_to(folder).parent).lower()
        preferred = any(word in place for word in _PREFERRED_FOLDERS)
        rank = 0 if preferred else 1 if match[2] is None and "raw" not in place else 2
        candidates.setdefault(match[1], []).append((rank, path))
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


def demo_pair(people: Sequence[Person]) -> tuple[Person, Person]:
    """The robust and the frail person with a recording whose gait figures are nearest the median of their class.

    Figures are divided by their deviation over all these people; distance is Euclidean; the lower ID wins a tie. The
    twins of these two walk in the demo, so they belong to the held-out people of the default bundle.
    """
    with_gait = [(p, gait_vector(p.gait)) for p in people if p.has_recording and p.gait is not None]
    if not with_gait:
        raise DatasetError("nobody in the register has a recording and all gait figures")
    deviation = np.array([vector for _, vector in with_gait]).std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    chosen: list[Person] = []
    for label in (LABELS[0], LABELS[-1]):
        own = [(person, vector / scale) for person, vector in with_gait if person.label == label]
        if not own:
            raise DatasetError(f"nobody in the register is {label} with a recording and all gait figures")
        median = np.median([vector for _, vector in own], axis=0)
        chosen.append(min(own, key=lambda item: (float(np.linalg.norm(item[1] - median)), item[0].id))[0])
    return chosen[0], chosen[1]


def write_walker_toml(person: Person) -> str:
    """The text of a file for `edge.sources.walkers.read_walker` with this person's gait figures."""
    if person.gait is None:
        raise ValueError(f"{person.id} has no gait figures")
    lines = [
        f"# A synthetic twin of {person.id} of the GSTRIDE database: gait figures of its register, no recording.",
        f"# Of the {person.label} people with a recording, the nearest the class median (trainer.datasets.demo_pair).",
        "# Derived from García-de-Villa et al., Sci. Data 10:566 (2023), doi 10.1038/s41597-023-02428-0, CC BY 4.0.",
        f'label = "{person.label}"',
        "",
        "[gait]",
    ]
    for item in fields(GaitParameters):
        figure = getattr(person.gait, item.name)
        lines.append(f"{item.name} = {{ mean = {figure.mean:g}, std = {figure.std:g} }}")
    return "\n".join(lines) + "\n"
