"""The walks of Truong et al. (IPOL 9, 2019): two feet, 100 Hz, stand, walk, turn, walk back, stand; gravity removed.

A folder goes in, in either layout: packed (``signals.npz`` and ``trials.csv``) or as published (one CSV and one JSON a
trial). People with a gait-speed class come out, their walks cut to ``[walk_start, walk_end)``, each foot a walk of its
own. The class is by the median of a person's mean speeds: it says how fast somebody walked, never how frail one is.

Source: doi 10.5201/ipol.2019.265; CC BY-NC-SA, so weights made of it are not for commercial use.
"""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import DatasetError
from edge.sources.conventions import nominal_time_ns
from edge.sources.recording import Recording
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from trainer.datasets.dataset import PEOPLE, Dataset, ReadProgress, Subject, Walk

TARGETS: Final = ("gait-speed",)
SPEED_LABELS: Final = ("slow", "mid", "fast")
SLOW_BELOW_M_S: Final = 0.8
FAST_ABOVE_M_S: Final = 1.0
RATE_HZ: Final = 100.0
LOOKS_FOR: Final = "signals.npz with trials.csv, or one CSV and one JSON a trial named like 12-3"
LICENCE: Final = "CC BY-NC-SA 4.0: not for commercial use, share alike"
CREDIT: Final = (
    'Truong et al., "A Data Set for the Study of Human Locomotion with Inertial Measurements Units", '
    "IPOL 9, 381-390 (2019), doi 10.5201/ipol.2019.265, CC BY-NC-SA"
)
_SIDES: Final[tuple[Literal["left", "right"], ...]] = ("left", "right")
# The published columns: a norm before each three axes, acceleration in g and rate in deg/s.
_PUBLISHED: Final = [f"{side}{kind}{axis}" for side in "LR" for kind in "AR" for axis in "XYZ"]
_PACKED_SCALE: Final = np.array([*[STANDARD_GRAVITY_M_S2 / 1000] * 3, *[np.deg2rad(0.1)] * 3])
_PUBLISHED_SCALE: Final = np.array([*[STANDARD_GRAVITY_M_S2] * 3, *[np.deg2rad(1.0)] * 3])
_SAME_SPEED: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Trial:
    """``read`` gives ``(n, 12)`` samples, left foot then right, in SI units."""

    name: str
    person: str
    device: str
    group: str
    sex: str
    speed_m_s: float
    start: int
    stop: int
    path: Path
    read: Callable[[], NDArray[np.float64]]


def recognises(folder: Path) -> bool:
    """Whether a folder has one of the two layouts."""
    packed = (folder / "signals.npz").is_file() and (folder / "trials.csv").is_file()
    return packed or any(_published_pairs(folder))


def load_truong(folder: Path, *, target: str | None = None, progress: ReadProgress | None = None) -> Dataset:
    """Every person of a folder, sorted by ID; `DatasetError` for another target or a file that does not fit."""
    if target not in (None, *TARGETS):
        raise DatasetError(f'{folder}: no target "{target}" in the data of Truong et al.; known: {", ".join(TARGETS)}')
    problems: list[str] = []
    if (folder / "signals.npz").is_file():
        register = folder / "trials.csv"
        trials = list(_packed(folder))
    else:
        register = folder
        trials, problems = _published(folder)
    if not trials:
        raise DatasetError(f"{folder}: no trials of Truong et al.; looked for {LOOKS_FOR}")
    by_person: dict[str, list[_Trial]] = {}
    for trial in trials:
        by_person.setdefault(trial.person, []).append(trial)
    subjects: list[Subject] = []
    for done, person in enumerate(sorted(by_person), start=1):
        own = by_person[person]
        turned: list[str] = []
        walks = tuple(walk for trial in own for walk in _walks(trial, turned))
        if turned:
            problems.append(f"{person}: worn back to front by its mean acceleration, turned round: {', '.join(turned)}")
        subjects.append(
            Subject(
                id=person,
                label=speed_label(median(trial.speed_m_s for trial in own)),
                walks=walks,
                traits={"group": own[0].group, "sex": own[0].sex, "device": own[0].device},
            )
        )
        if progress is not None:
            progress(person, done, len(by_person))
    return Dataset(
        kind="truong",
        folder=folder,
        register=register,
        target=TARGETS[0],
        labels=SPEED_LABELS,
        subjects=tuple(subjects),
        gravity="removed",
        trained_on=PEOPLE,
        licence=LICENCE,
        credit=CREDIT,
        problems=tuple(problems),
    )


def speed_label(speed_m_s: float) -> str:
    """The gait-speed class: slow below 0.8 m/s, fast above 1.0 m/s, mid between."""
    return "slow" if speed_m_s < SLOW_BELOW_M_S else "fast" if speed_m_s > FAST_ABOVE_M_S else "mid"


def _walks(trial: _Trial, turned: list[str]) -> Iterator[Walk]:
    samples = trial.read()
    if not 0 <= trial.start < trial.stop <= len(samples):
        raise DatasetError(
            f"{trial.path}: trial {trial.name} walks from sample {trial.start} to {trial.stop}, but has {len(samples)}"
        )
    walking = samples[trial.start : trial.stop]
    time_ns = nominal_time_ns(np.arange(len(walking), dtype=np.int64), RATE_HZ)
    for index, side in enumerate(_SIDES):
        own = walking[:, 6 * index : 6 * index + 6]
        # With the gravity of standing taken away, a pitching foot keeps some of it along x, to the toe: the mean is
        # positive in all but a few of these trials, and those few wear the sensor back to front.
        if own[:, 0].mean() < 0:
            own = own * [-1, -1, 1, -1, -1, 1]
            turned.append(f"{trial.name} {side}")
        yield Walk(
            name=f"{trial.name} {side}",
            recording=Recording(
                path=trial.path,
                rate_hz=RATE_HZ,
                time_ns=time_ns,
                samples=own.astype(np.float32),
                gravity="removed",
                statements=(f"{RATE_HZ:g} Hz, g and deg/s, gravity of standing removed, as the data's authors say",),
            ),
            device=trial.device,
            side=side,
        )


def _person_id(subject: str) -> str:
    """S001 and so on, so that the order by ID is that of the numbers."""
    return f"S{int(subject):03d}"


def _packed(folder: Path) -> Iterator[_Trial]:
    path = folder / "signals.npz"
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"{path}: is no npz file, or only part of one; copy it anew")
    signals = np.load(path)
    names = set(signals.files)
    table = folder / "trials.csv"
    with table.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                name = row["trial"]
                trial = _Trial(
                    name=name,
                    person=_person_id(row["subject"]),
                    device=row["sensor"],
                    group=row["group"],
                    sex=row["sex"],
                    speed_m_s=float(row["mean_speed_m_s"]),
                    start=int(row["walk_start"]),
                    stop=int(row["walk_end"]),
                    path=path,
                    read=partial(_read_packed, signals, name),
                )
            except KeyError as error:
                raise DatasetError(f"{table}: no column {error}; this is no table of trials") from error
            except (TypeError, ValueError) as error:
                raise DatasetError(f"{table}: line {line}: {error}") from error
            if name not in names:
                raise DatasetError(f"{table}: line {line}: trial {name} is not in {path}")
            yield trial


def _read_packed(signals: Mapping[str, NDArray[np.int16]], name: str) -> NDArray[np.float64]:
    samples: NDArray[np.float64] = signals[name] * np.tile(_PACKED_SCALE, 2)
    return samples


def _published_pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    if folder.is_dir():
        for path in sorted(folder.rglob("*-*.json")):
            subject, _, number = path.stem.partition("-")
            if subject.isdigit() and number.isdigit() and path.with_suffix(".csv").is_file():
                yield path, path.with_suffix(".csv")


def _published(folder: Path) -> tuple[list[_Trial], list[str]]:
    trials: list[_Trial] = []
    problems: list[str] = []
    for described, signal in _published_pairs(folder):
        try:
            facts: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
            steps = [step for side in ("LeftFootActivity", "RightFootActivity") for step in facts[side]]
            start, stop = min(step[0] for step in steps), max(step[1] for step in steps)
            distance_m = float(facts["WalkedDistance"])
            person = _person_id(str(facts.get("Subject", described.stem.partition("-")[0])))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{described}: left out, it is no description of a trial: {error!r}")
            continue
        speed_m_s, doubt = _published_speed(distance_m, (stop - start) / RATE_HZ, facts.get("WalkingSpeed"))
        if doubt:
            problems.append(f"{described}: {doubt}")
        trials.append(
            _Trial(
                name=described.stem,
                person=person,
                device=str(facts.get("Sensor", "unknown")),
                group=str(facts.get("PathologyGroup", "unknown")),
                sex=str(facts.get("Gender", "unknown")),
                speed_m_s=speed_m_s,
                start=int(start),
                stop=int(stop),
                path=signal,
                read=partial(_read_published, signal),
            )
        )
    return trials, problems


def _published_speed(distance_m: float, walking_s: float, stated_km_h: object) -> tuple[float, str]:
    """Twice the one-way distance by the walking time; a stated speed settles whether the distance is one way."""
    one_way = 2 * distance_m / walking_s
    if not isinstance(stated_km_h, int | float) or stated_km_h <= 0:
        return one_way, ""
    stated_m_s = stated_km_h / 3.6
    for speed_m_s in (one_way, one_way / 2):
        if abs(speed_m_s / stated_m_s - 1) < _SAME_SPEED:
            return speed_m_s, ""
    return one_way, f"{one_way:.2f} m/s by its steps, but {stated_m_s:.2f} m/s are stated; taken by its steps"


def _read_published(path: Path) -> NDArray[np.float64]:
    with path.open(encoding="utf-8") as file:
        header = [name.strip() for name in file.readline().split(",")]
        if missing := [name for name in _PUBLISHED if name not in header]:
            raise DatasetError(f"{path}: no columns {', '.join(missing)}; this is no signal of Truong et al.")
        try:
            values = np.loadtxt(file, delimiter=",", ndmin=2)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error
    samples: NDArray[np.float64] = values[:, [header.index(name) for name in _PUBLISHED]] * np.tile(_PUBLISHED_SCALE, 2)
    return samples
