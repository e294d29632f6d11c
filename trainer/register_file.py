"""People go in, a register in the layout of GSTRIDE comes out, v1's text or v3's workbook: one reader for all.

Only what a twin has is written: gait figures, speed, falls, the five criteria, the index; every other cell is ``-``,
the database's own sign for a missing value. The notes of each line say that the person is synthetic.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.sources.register import CRITERIA, FIGURES, Person
from edge.sources.workbook import write_workbook

_BEFORE_GAIT: Final = (
    "Test index",
    "ID (VNNN)",
    "Notes",
    "Date (Month-YY)",
    "Falls during the last year - prior to test (YES/NO)",
    "Type of device (CSIC/Gaitup)",
    "Device Id. (identifier)",
    "Location (Consultation, Nursing home, Familiar)",
    "Test surface (type of surface)",
    "Age (range of years)",
    "Sex (M/ F)",
    "Living in a nursing home (YES/NO)",
    "Weight (kg)",
    "Height (m)",
    "Body-mass index (BMI)",
    "Global Deterioration Scale (GDS) questionnaire (index)",
    "Time duration 4m test (s)",
    "Gait speed (m/s)",
    "Unintentional weight loss (YES/NO)",
    "Low energy and resistance (YES/NO)",
    "Gait speed clinical assessment (YES/NO)",
    "Manual force  (kg)",
    "Manual force clinical assessment (YES/NO)",
    "Low activity level (YES/NO)",
    "Frailty assessment (index)",
    "Balance test (index)",
    "Gait speed test (index)",
    "Chair stand test (index)",
    "SPPB assessment (index)",
    "Time duration TUG test (s)",
    "Short FES-I assessment (index)",
    "Distance (m)",
    "Time (s)",
    "Strides",
)
_GAIT: Final = (
    ("Stride time", "s"),
    ("Load", "%"),
    ("Foot Flat", "%"),
    ("Push", "%"),
    ("Swing", "%"),
    ("Toe-Off angle", "°"),
    ("Heel-Strike angle", "°"),
    ("Cadence", "strides/min"),
    ("Step Speed", "m/s"),
    ("Stride Length", "m"),
    ("3D Path", "m"),
    ("2D Path", "m"),
    ("Clearance", "m"),
)
COLUMN_NAMES: Final = _BEFORE_GAIT + tuple(
    f"{name} - {kind} ({unit})" for name, unit in _GAIT for kind in ("Avg.", "STD")
)
"""The 60 columns of the real file, in its order."""
_ANSWERS: Final = {True: "YES", False: "NO", None: "-"}
_SECTIONS: Final = {1: "Test data", 18: "Frailty criteria", 31: "Gait data of synthetic walkers"}


def write_register(path: Path, people: Sequence[Person]) -> None:
    """Write people, who must have gait figures: ``.xlsx`` is a workbook, else cp1252, CRLF, ``;``, decimal commas."""
    rows: list[list[str | float]] = [
        [_SECTIONS.get(i, "") for i in range(len(COLUMN_NAMES))],
        list(COLUMN_NAMES),
        ["", "Number of a virtual walker", "Synthetic: computed, not recorded; no real person", *[""] * 57],
        *(_row(number, person) for number, person in enumerate(people, start=1)),
    ]
    if path.suffix == ".xlsx":
        write_workbook(path, "GSTRIDE", rows)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([[_with_comma(cell) for cell in row] for row in rows])
    path.write_bytes(text.getvalue().encode("cp1252"))


def _row(number: int, person: Person) -> list[str | float]:
    if person.gait is None:
        raise ValueError(f"{person.id} has no gait figures")
    cells: dict[str, str | float | None] = dict.fromkeys(COLUMN_NAMES)
    cells |= {
        "Test index": number,
        "ID (VNNN)": person.id,
        "Notes": person.notes,
        "Falls during the last year - prior to test (YES/NO)": _ANSWERS[person.fell],
        "Type of device (CSIC/Gaitup)": person.device,
        "Device Id. (identifier)": person.device_id,
        "Test surface (type of surface)": person.surface,
        "Gait speed (m/s)": person.gait_speed_m_s,
        "Frailty assessment (index)": person.frailty_index,
        "Time (s)": person.walking_time_s,
        "Cadence - Avg. (strides/min)": person.cadence_strides_min,
    }
    for i, criterion in enumerate(CRITERIA):
        # The register has a twin's index and no record of which criteria made it: the first ones stand for it.
        cells[f"{criterion} (YES/NO)"] = _ANSWERS[i < person.frailty_index]
    for field, name in FIGURES.items():
        unit = dict(_GAIT)[name]
        figure = getattr(person.gait, field)
        cells[f"{name} - Avg. ({unit})"] = figure.mean
        cells[f"{name} - STD ({unit})"] = figure.std
    return ["-" if cell is None else cell for cell in cells.values()]


def _with_comma(cell: str | float) -> str:
    return cell if isinstance(cell, str) else f"{cell:.6g}".replace(".", ",")
