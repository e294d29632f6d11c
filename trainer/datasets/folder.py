"""Any recordings that a sensor's TOML file describes, and a CSV of people; see ``docs/datasets.md``.

A folder with ``people.csv`` goes in: one line a person, with label, files and whatever else may be mistaken for the
class. The whole table is checked before the first recording is read. A recording that cannot be read is left out and
listed with its reason; nothing is guessed.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edge.errors import DatasetError, RecordingError
from edge.sources.described import load_sensor, read_described, sensor_names
from trainer.datasets.dataset import PEOPLE, TWINS, Dataset, ReadProgress, Subject, Walk

PEOPLE_FILE: Final = "people.csv"
LOOKS_FOR: Final = "people.csv, a line a person (docs/datasets.md)"
NEEDED: Final = ("person", "label", "file")
OPTIONAL: Final = ("sensor", "side", "device")
FACTS: Final = ("labels", "target", "licence", "credit", "synthetic")
"""What the lines ``# name: value`` before the header may say."""
_SIDES: Final[dict[str, tuple[Literal["left", "right"] | None, ...]]] = {
    "": (None,),
    "left": ("left",),
    "right": ("right",),
    "both": ("left", "right"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    """One person of the table: ``where`` names the line, ``files`` exist."""

    where: str
    id: str
    label: str
    files: tuple[Path, ...]
    sensor: str
    sides: tuple[Literal["left", "right"] | None, ...]
    device: str
    traits: Mapping[str, str] = field(default_factory=dict)


def recognises(folder: Path) -> bool:
    """Whether ``people.csv`` is in it."""
    return (folder / PEOPLE_FILE).is_file()


def load_folder(folder: Path, *, target: str | None = None, progress: ReadProgress | None = None) -> Dataset:
    """Read a folder; ``target`` names the column of labels where it is not ``label``.

    `DatasetError` names line and column of what is wrong with the table, `ConfigError` what is wrong with a TOML file.
    """
    register = folder / PEOPLE_FILE
    if not register.is_file():
        raise DatasetError(f"{folder}: no {PEOPLE_FILE} in it; docs/datasets.md says how to write one")
    facts, header, rows = _read_table(register)
    stated = facts.get("target", "label")
    column = "label" if target in {None, stated} else str(target)
    if column not in header or column in {"person", "file", *OPTIONAL}:
        raise DatasetError(f'{register}: no column of labels "{column}"; the header has {", ".join(header)}')
    lines = [_read_line(folder, where, cells, column) for where, cells in rows]
    _refuse_what_is_shared(register, lines)
    labels, problems = _order_labels(register, lines, facts.get("labels", "") if column == "label" else "")

    subjects: list[Subject] = []
    for done, line in enumerate(sorted(lines, key=lambda line: line.id), start=1):
        walks, unreadable = _read_walks(folder, line)
        problems += unreadable
        if walks:
            subjects.append(Subject(line.id, line.label, tuple(walks), line.traits))
        if progress is not None:
            progress(line.id, done, len(lines))
    if not subjects:
        first = f"; the first problem: {problems[-1]}" if problems else ""
        raise DatasetError(f"{register}: not one of {len(lines)} people has a recording that can be read{first}")
    first_walk = subjects[0].walks[0].recording
    for subject in subjects:
        for walk in subject.walks:
            if walk.recording.gravity != first_walk.gravity:
                raise DatasetError(
                    f"{folder}: gravity is {first_walk.gravity} in {first_walk.path.name} and "
                    f"{walk.recording.gravity} in {walk.recording.path.name}; one model cannot learn from both"
                )
    there = {subject.id for subject in subjects}
    return Dataset(
        kind="folder",
        folder=folder,
        register=register,
        target=stated if column == "label" else column,
        labels=labels,
        subjects=tuple(subjects),
        gravity=first_walk.gravity,
        trained_on=TWINS if facts.get("synthetic") == "yes" else PEOPLE,
        licence=facts.get("licence", f"not stated in {PEOPLE_FILE}"),
        credit=facts.get("credit", f"not stated in {PEOPLE_FILE}"),
        without_recording=tuple(sorted(line.id for line in lines if line.id not in there)),
        problems=tuple(problems),
    )


def _read_table(register: Path) -> tuple[dict[str, str], list[str], list[tuple[str, dict[str, str]]]]:
    """The facts before the header, the header, and for each person where the line is and its cells by column."""
    try:
        text = register.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(f"{register}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{register}: no UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    facts: dict[str, str] = {}
    n_before = 0
    while n_before < len(text) and text[n_before].lstrip().startswith("#"):
        name, _, value = text[n_before].lstrip().lstrip("#").partition(":")
        n_before += 1
        if name.strip() not in FACTS:
            raise DatasetError(f'{register}: line {n_before}: "# {name.strip()}:" is none of {", ".join(FACTS)}')
        facts[name.strip()] = value.strip().strip(",").strip()  # a spreadsheet fills such a line up with commas
    if facts.get("synthetic", "no") not in {"yes", "no"}:
        raise DatasetError(f'{register}: "# synthetic: {facts["synthetic"]}": say yes or no')
    rows = _rows(register, text, n_before)
    where, cells = next(rows, (f"{register}: line {n_before + 1}", []))
    header = [name.strip() for name in cells]
    if missing := [name for name in NEEDED if name not in header]:
        hint = "; separate by commas" if len(header) == 1 else ""
        raise DatasetError(f"{where}: no column {' and '.join(missing)}; it has {', '.join(header)}{hint}")
    if twice := sorted({name or "(no name)" for name in header if header.count(name) > 1}):
        raise DatasetError(f"{where}: more than one column {', '.join(twice)}")
    people = []
    for where, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DatasetError(f"{where}: {len(cells)} cells, the header has {len(header)}")
        people.append((where, dict(zip(header, map(str.strip, cells), strict=True))))
    if not people:
        raise DatasetError(f"{register}: it lists nobody; a line a person is needed")
    return facts, header, people


def _rows(register: Path, text: list[str], n_before: int) -> Iterator[tuple[str, list[str]]]:
    """The cells of each row behind so many lines, and where it is."""
    rows = csv.reader(text[n_before:])
    try:
        for cells in rows:
            yield f"{register}: line {n_before + rows.line_num}", cells
    except csv.Error as error:
        raise DatasetError(f"{register}: line {n_before + rows.line_num}: no row of a table ({error})") from error


def _read_line(folder: Path, where: str, cells: Mapping[str, str], label_column: str) -> _Line:
    if not cells["person"]:
        raise DatasetError(f"{where}: no person; give each an ID of its own")
    if not cells[label_column]:
        raise DatasetError(f"{where}: no {label_column} of {cells['person']}; fill it in, or leave the line out")
    side = cells.get("side", "")
    if side not in _SIDES:
        raise DatasetError(f'{where}: side "{side}": say left, right or both, or nothing for a file of one sensor')
    files = tuple(path for name in cells["file"].split(";") if name.strip() for path in _find(folder, where, name))
    sensor = _find_sensor(folder, where, cells.get("sensor", ""))
    own = {"person", "file", label_column, *OPTIONAL}
    return _Line(
        where=where,
        id=cells["person"],
        label=cells[label_column],
        files=files,
        sensor=sensor,
        sides=_SIDES[side],
        device=cells.get("device") or Path(sensor).stem,
        traits={name: value for name, value in cells.items() if name not in own and value},
    )


def _find(folder: Path, where: str, name: str) -> list[Path]:
    """The files of one name or pattern, sorted; one at least."""
    name = name.strip()
    if Path(name).is_absolute():
        raise DatasetError(f"{where}: {name}: give files relative to {folder}")
    plain = folder / name
    try:
        found = [plain] if plain.is_file() else sorted(path for path in folder.glob(name) if path.is_file())
    except ValueError as error:
        raise DatasetError(f"{where}: {name}: {error}") from error
    if not found:
        raise DatasetError(f"{where}: no file {name} in {folder}")
    return found


def _find_sensor(folder: Path, where: str, name: str) -> str:
    """The sensor as `read_described` takes it; without a name the only TOML file of the folder."""
    if not name:
        own = sorted(folder.glob("*.toml"))
        if len(own) != 1:
            raise DatasetError(
                f"{where}: no sensor, and {folder} has {len(own)} TOML files; fill in the column sensor: one of "
                f"{', '.join(sensor_names())}, or the name of a TOML file"
            )
        name = own[0].name
    sensor = str(folder / name) if name.endswith(".toml") else name
    if not (Path(sensor).is_file() if name.endswith(".toml") else name in sensor_names()):
        raise DatasetError(
            f"{where}: no such sensor: {name}; known are {', '.join(sensor_names())}, or a TOML file in {folder}"
        )
    load_sensor(sensor)
    return sensor


def _refuse_what_is_shared(register: Path, lines: list[_Line]) -> None:
    ids = [line.id for line in lines]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise DatasetError(f"{register}: more than one line for {', '.join(twice)}; separate several files by ;")
    owner: dict[Path, str] = {}
    for line in lines:
        for path in line.files:
            other = owner.setdefault(path.resolve(), line.id)
            if other != line.id:
                raise DatasetError(f"{line.where}: {path.name} belongs to {other} already; a recording has one person")
        if len({path.resolve() for path in line.files}) != len(line.files):
            raise DatasetError(f"{line.where}: a file of {line.id} is named twice")


def _order_labels(register: Path, lines: list[_Line], stated: str) -> tuple[tuple[str, ...], list[str]]:
    """The labels in the order that the table states, else sorted, and that this was so."""
    there = {line.label for line in lines}
    if not stated:
        labels = tuple(sorted(there))
        return labels, [
            f'{register}: labels taken in the order of the alphabet: {", ".join(labels)}; a first line "# labels: …" '
            "sets another"
        ]
    try:
        (cells,) = csv.reader([stated], skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise DatasetError(f'{register}: "# labels: {stated}": {error}; put quotes round a whole label') from error
    labels = tuple(label.strip() for label in cells)
    if len(set(labels)) != len(labels) or "" in labels:
        raise DatasetError(f'{register}: "# labels: {stated}": name each label once, separated by commas')
    for line in lines:
        if line.label not in labels:
            raise DatasetError(f'{line.where}: label "{line.label}" is none of {", ".join(labels)} (line "# labels")')
    return labels, [f"{register}: nobody is {label}" for label in labels if label not in there]


def _read_walks(folder: Path, line: _Line) -> tuple[list[Walk], list[str]]:
    walks: list[Walk] = []
    problems: list[str] = []
    for path, side in _files_and_sides(line):
        try:
            recording = read_described(path, line.sensor, side)
        except RecordingError as error:
            # `read_described` speaks of the options of `frailedge replay`; here they are columns.
            words = str(error).replace("--sensor", "column sensor").replace("--side", "column side")
            problems.append(f"{line.where}: {words}")
            continue
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        walks.append(Walk(f"{name} {side}" if side else name, recording, line.device, side))
    return walks, problems


def _files_and_sides(line: _Line) -> Iterator[tuple[Path, Literal["left", "right"] | None]]:
    return ((path, side) for path in line.files for side in line.sides)
