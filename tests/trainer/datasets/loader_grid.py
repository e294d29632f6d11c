"""One layout of GSTRIDE's files, from twins on disk to decisions by person, counted: agreed, refused, wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.config import ModelConfig
from edge.errors import DatasetError
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import spec_of
from edge.sources.gstride import Overrides
from edge.sources.register import Person
from trainer.class_figures import draw_people
from trainer.datasets.dataset import Dataset
from trainer.datasets.gstride import load_gstride
from trainer.evaluate import decide_by_person
from trainer.register_file import COLUMN_NAMES, write_register
from trainer.store import build_store, capped, coefficients_of
from trainer.train_config import SignalConfig
from trainer.twins import Layout, format_samples, make_twins, walk_of

SEED = 3
WALK_S = 45.0
WINDOWS_PER_PERSON = 12
N_PEOPLE = 40
_FOLDERS = {"calibrated": "Test_recordings_calibrated/{}.txt", "raw": "raw/{}_TWIN.txt", "v3": "_IMU/{}.csv"}


@cache
def everybody() -> tuple[Person, ...]:
    """The twins that the grid is run on."""
    return tuple(make_twins(draw_people(N_PEOPLE, SEED))[0])


@cache
def walked(person_id: str, rate_hz: float) -> NDArray[np.float64]:
    person = next(p for p in everybody() if p.id == person_id)
    return walk_of(person, duration_s=WALK_S, rate_hz=rate_hz, seed=SEED)


def write(folder: Path, people: Sequence[Person], layout: Layout) -> None:
    """The recordings of ``people``, and a register of everybody with the traps of the real one."""
    rate_hz = layout.rate_hz or 104.0
    register = folder / "GSTRIDE_DDBB.xlsx" if layout.folder == "v3" else folder / "Database_register.csv"
    lost = replace(everybody()[0], id="V900", notes="synthetic; No raw data")
    write_register(register, [*everybody(), lost])
    if register.suffix == ".csv":
        _lay_traps(register)
    for person in people:
        path = folder / _FOLDERS[layout.folder].format(person.id)
        path.parent.mkdir(exist_ok=True)
        path.write_text(format_samples(walked(person.id, rate_hz), rate_hz, layout), encoding="utf-8")


def _lay_traps(register: Path) -> None:
    """``"NO "`` for falls, ``-`` and ``Incapable`` where a figure is not needed."""
    lines = [line.split(";") for line in register.read_bytes().decode("cp1252").split("\r\n")]
    for i, cells in enumerate(lines[3:-1]):
        cells[COLUMN_NAMES.index("Falls during the last year - prior to test (YES/NO)")] = ("NO ", "YES", "-")[i % 3]
        cells[COLUMN_NAMES.index("Clearance - Avg. (m)")] = "-"
        cells[COLUMN_NAMES.index("Manual force  (kg)")] = "Incapable"
        if cells[COLUMN_NAMES.index("Low activity level (YES/NO)")] == "NO":
            cells[COLUMN_NAMES.index("Low activity level (YES/NO)")] = ("-", "Incapable")[i % 2]
    register.write_bytes("\r\n".join(";".join(cells) for cells in lines).encode("cp1252"))


@cache
def _model() -> tuple[Bundle, Classifier]:
    return open_model(ModelConfig(variant="dynamic"))


def decisions(dataset: Dataset) -> dict[str, str]:
    """What the bundle that ships says of each person, over windows spread evenly."""
    bundle, classifier = _model()
    store = build_store(dataset, SignalConfig(), for_training=False)  # three people may be of one class
    windows = capped(store, np.arange(len(store.subject_ids)), WINDOWS_PER_PERSON)
    coefficients = coefficients_of(store.raw(windows), spec_of(bundle.manifest))
    probabilities = np.array([classifier.predict(window) for window in coefficients])
    people, classes = decide_by_person(probabilities, store.person_ids(windows))
    return {str(person): classifier.labels[k] for person, k in zip(people, classes, strict=True)}


@dataclass(slots=True)
class Count:
    """Recordings: decided as in the plain layout, refused with a reason, decided otherwise; ``lost`` without a word."""

    agreed: int = 0
    refused: int = 0
    wrong: int = 0
    lost: int = 0

    def __iadd__(self, other: "Count") -> "Count":
        for name in ("agreed", "refused", "wrong", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def agreement(self) -> float:
        """Of those decided."""
        return self.agreed / max(self.agreed + self.wrong, 1)

    def __str__(self) -> str:
        return f"{self.agreed} agreed, {self.refused} refused, {self.wrong} wrong, {self.lost} lost"


def run(
    folder: Path, people: Sequence[Person], layout: Layout, plain: dict[str, str], overrides: Overrides | None = None
) -> Count:
    """Write, load, decide and compare with ``plain``; a wrong label is a wrong answer too."""
    write(folder, people, layout)
    try:
        dataset = load_gstride(folder, overrides=overrides)
    except DatasetError as error:
        # Nobody could be read: the message has the first reason.
        return Count(refused=len(people)) if "the first problem" in str(error) else Count(lost=len(people))
    found = decisions(dataset)
    labels = dataset.label_of
    count = Count()
    for person in people:
        if person.id in found:
            right = found[person.id] == plain[person.id] and labels[person.id] == person.label
            count += Count(agreed=int(right), wrong=int(not right))
        else:
            refused = any(person.id in problem for problem in dataset.problems)
            count += Count(refused=int(refused), lost=int(not refused))
    named = set(dataset.without_recording) == {p.id for p in everybody()} - {p.id for p in people} | {"V900"}
    return count if named else Count(lost=len(people))
