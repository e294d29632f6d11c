"""The subject table of the GSTRIDE database goes in, one `Person` a line comes out.

As the real file has it: cp1252, semicolons, decimal comma, quoted cells; a line of sections, one of column names, one
of descriptions, then the people; or the same in a sheet of a workbook. Columns are found by name. The label is counted
anew from the five criteria, never taken on trust.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edge.errors import DatasetError
from edge.sources.workbook import Rows, read_workbook
from firmware_bridge.gait import Figure, GaitParameters

Label = Literal["robust", "pre-frail", "frail"]
LABELS: Final[tuple[Label, ...]] = ("robust", "pre-frail", "frail")
REGISTER_GLOBS: Final = ("*atabase_register*.csv", "*atabase_register*.xlsx", "*GSTRIDE_DDBB*.xlsx")
"""What a register may be called, the first to be preferred."""
PERSON_ID: Final = re.compile(r"V\d{3}")
MISSING: Final = frozenset({"", "-", "Incapable"})
CRITERIA: Final = (
    "Unintentional weight loss",
    "Low energy and resistance",
    "Gait speed clinical assessment",
    "Manual force clinical assessment",
    "Low activity level",
)
FIGURES: Final = {
    "stride_time_s": "Stride time",
    "load_percent": "Load",
    "foot_flat_percent": "Foot Flat",
    "push_percent": "Push",
    "swing_percent": "Swing",
    "toe_off_angle_deg": "Toe-Off angle",
    "heel_strike_angle_deg": "Heel-Strike angle",
    "stride_length_m": "Stride Length",
    "clearance_m": "Clearance",
}
"""The fields of `GaitParameters` and the names that their columns start with, before ``- Avg.`` and ``- STD``."""
TRAITS: Final = {
    "surface": "Test surface",
    "site": "Location",
    "sex": "Sex",
    "age": "Age",
    "nursing home": "Living in a nursing home",
    "device id": "Device Id.",
}
"""What could be mistaken for the label, and the columns that have it."""
_FALLS: Final = "Falls during the last year - prior to test"
_LEVELS_ABOVE: Final = 4


@dataclass(frozen=True, slots=True)
class Person:
    """One line of the register.

    ``frailty_index`` is the number of YES among Fried's five criteria, of which ``n_criteria`` are answered;
    ``stated_index`` is the table's own column. ``fell`` is about the year before, ``gait_speed_m_s`` of a walk of 4 m.
    ``gait`` is None where one of its figures is missing or cannot be anybody's, and ``missing`` then says which.
    ``traits`` are the cells named in `TRAITS`, where filled: what may be mistaken for the label.
    """

    id: str
    notes: str
    device: str
    device_id: str
    surface: str
    frailty_index: int
    stated_index: int | None
    cadence_strides_min: float | None
    walking_time_s: float | None
    gait: GaitParameters | None
    missing: tuple[str, ...] = ()
    n_criteria: int = 5
    fell: bool | None = None
    gait_speed_m_s: float | None = None
    traits: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> Label:
        """0 robust, 1 and 2 pre-frail, 3 or more frail."""
        return label_of(self.frailty_index)

    @property
    def has_recording(self) -> bool:
        """Whether the database holds a signal of this person."""
        return "no raw data" not in self.notes.lower()


def label_of(frailty_index: int) -> Label:
    """The class of a frailty index."""
    return "robust" if frailty_index == 0 else "pre-frail" if frailty_index <= 2 else "frail"


def find_register(recording: Path) -> Path | None:
    """The register beside a recording or in one of the four folders above it, the nearest first."""
    folder = recording.resolve().parent
    places = (folder, *list(folder.parents)[:_LEVELS_ABOVE])
    return next((found[0] for place in places if (found := registers_in(place))), None)


def registers_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Every register in a folder, and with ``deep`` in those below it, the one to be preferred first."""
    return [
        path
        for pattern in REGISTER_GLOBS
        for path in sorted(folder.rglob(pattern) if deep else folder.glob(pattern))
        if path.name[0] not in ".~"  # what an office program or a Mac leaves beside a file
    ]


def read_register(path: Path) -> tuple[Person, ...]:
    """Every person of a register, in its order; `DatasetError` names the line and the column that do not fit."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such register")
    names_at, rows = _find_table(
        path, read_workbook(path).values() if path.suffix.lower() == ".xlsx" else [_read_csv(path)]
    )
    header = rows[names_at]
    columns = {_short(name): i for i, name in enumerate(header)}
    people: list[Person] = []
    for i, row in enumerate(rows[names_at + 1 :], start=names_at + 2):
        person_id = row[columns["ID"]].strip() if len(row) > columns["ID"] else ""
        if PERSON_ID.fullmatch(person_id) is None:
            continue  # the line of descriptions, and blank ones
        if len(row) != len(header):
            raise DatasetError(f"{path}: line {i}: {len(row)} cells, the header has {len(header)}")
        people.append(_read_person(f"{path}: line {i}", columns, row))
    ids = [person.id for person in people]
    if twice := sorted({person_id for person_id in ids if ids.count(person_id) > 1}):
        raise DatasetError(f"{path}: {', '.join(twice)} stand in it more than once")
    if not people:
        raise DatasetError(f"{path}: it lists nobody; a line a person with an ID like V001 is needed")
    return tuple(people)


def _read_csv(path: Path) -> Rows:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def _find_table(path: Path, sheets: Iterable[Rows]) -> tuple[int, Rows]:
    """The rows of the first sheet that has a line of column names, and the number of that line from 0."""
    for rows in sheets:
        for i, row in enumerate(rows[:10]):
            if any(cell.strip().startswith("ID (V") for cell in row):
                return i, rows
    raise DatasetError(f'{path}: no line with a column "ID (VNNN)": this is no register of the GSTRIDE database')


def _short(name: str) -> str:
    """A column's name without unit or explanation, blanks made one: "Time  (s)" is "Time"."""
    return " ".join(name.partition("(")[0].split())


def _read_person(where: str, columns: dict[str, int], row: list[str]) -> Person:
    def optional(name: str) -> str:
        return row[columns[name]].strip() if name in columns else ""

    def text(name: str) -> str:
        if name not in columns:
            raise DatasetError(
                f'{where.rpartition(": ")[0]}: no column "{name}"; this is no register of the GSTRIDE database'
            )
        return optional(name)

    def number(name: str, cell: str) -> float | None:
        if cell in MISSING:
            return None
        try:
            return float(cell.replace(",", "."))
        except ValueError:
            raise DatasetError(f'{where}: "{cell}" under {name} is no number') from None

    def answer(name: str, cell: str) -> bool | None:
        if cell in MISSING:
            return None
        if cell.upper() not in {"YES", "NO"}:
            raise DatasetError(f'{where}: "{cell}" under {name} is neither YES nor NO')
        return cell.upper() == "YES"

    figures: dict[str, Figure] = {}
    missing: list[str] = []
    for field_name, name in FIGURES.items():
        mean, std = (number(column, text(column)) for column in (f"{name} - Avg.", f"{name} - STD"))
        if mean is None or std is None:
            missing.append(field_name)
        else:
            figures[field_name] = Figure(mean, std)
    gait = None
    if not missing:
        try:
            gait = GaitParameters(**figures)
        except ValueError as error:
            missing.append(str(error))
    answers = [answer(name, text(name)) for name in CRITERIA]
    stated = number("Frailty assessment", text("Frailty assessment"))
    return Person(
        id=text("ID"),
        notes=text("Notes"),
        device=text("Type of device"),
        device_id=text("Device Id."),
        surface=text("Test surface"),
        frailty_index=answers.count(True),
        stated_index=None if stated is None else int(stated),
        cadence_strides_min=number("Cadence - Avg.", text("Cadence - Avg.")),
        walking_time_s=number("Time", text("Time")),
        gait=gait,
        missing=tuple(missing),
        n_criteria=len(answers) - answers.count(None),
        fell=answer(_FALLS, optional(_FALLS)),
        gait_speed_m_s=number("Gait speed", optional("Gait speed")),
        traits={trait: cell for trait, name in TRAITS.items() if (cell := optional(name)) not in MISSING},
    )
