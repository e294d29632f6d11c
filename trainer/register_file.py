"""People go in, a register in the layout of GSTRIDE's v1 comes out, so that one reader serves both.

Only what a twin has is written: gait figures, the five criteria, the index; every other cell is ``-``, the database's
own sign for a missing value. The notes of each line say that the person is synthetic.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.sources.register import CRITERIA, FIGURES, Person

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
_SECTIONS: Final = {1: "Test data", 18: "Frailty criteria", 31: "Gait data of synthetic walkers"}


def write_register(path: Path, people: Sequence[Person]) -> None:
    """Write people, who must have gait figures, as cp1252 with CRLF, semicolons and decimal commas."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([_SECTIONS.get(i, "") for i in range(len(COLUMN_NAMES))])
    writer.writerow(COLUMN_NAMES)
    writer.writerow(["", "Number of a virtual walker", "Synthetic: computed, not recorded; no real person"] + [""] * 57)
    for number, person in enumerate(people, start=1):
        writer.writerow(_row(number, person))
    path.write_bytes(text.getvalue().encode("cp1252"))


def _row(number: int, person: Person) -> list[str]:
    if person.gait is None:
        raise ValueError(f"{person.id} has no gait figures")
    cells = dict.fromkeys(COLUMN_NAMES, "-")
    cells |= {
        "Test index": str(number),
        "ID (VNNN)": person.id,
        "Notes": person.notes,
        "Type of device (CSIC/Gaitup)": person.device,
        "Device Id. (identifier)": person.device_id,
        "Test surface (type of surface)": person.surface,
        "Frailty assessment (index)": str(person.frailty_index),
        "Time (s)": _number(person.walking_time_s),
        "Cadence - Avg. (strides/min)": _number(person.cadence_strides_min),
    }
    for i, criterion in enumerate(CRITERIA):
        # The register has a twin's index and no record of which criteria made it: the first ones stand for it.
        cells[f"{criterion} (YES/NO)"] = "YES" if i < person.frailty_index else "NO"
    for field, name in FIGURES.items():
        unit = dict(_GAIT)[name]
        figure = getattr(person.gait, field)
        cells[f"{name} - Avg. ({unit})"] = _number(figure.mean)
        cells[f"{name} - STD ({unit})"] = _number(figure.std)
    return list(cells.values())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}".replace(".", ",")
