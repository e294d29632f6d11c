"""People with gait figures and a layout go in, a GSTRIDE-shaped folder of virtual walkers comes out.

The folder holds a register, one recording a person and a README, each of which says that it is synthetic. The layout
covers everything that is not known of the real files; the default is v1's calibrated one. Of a person's line in the
register only gait figures, index, falls, device and surface go into a twin; its gait speed is that of its own walk.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, DatasetError
from edge.sources.conventions import parse_axes, to_foot_frame
from edge.sources.register import Person
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from firmware_bridge.walker import walk
from trainer.register_file import write_register

Folder = Literal["calibrated", "raw", "v3"]
TimeColumn = Literal["none", "index", "s", "ms", "us"]
_FOLDERS: Final[dict[Folder, str]] = {
    "calibrated": "Test_recordings_calibrated",
    "raw": "Test_recordings_raw",
    "v3": "_IMU",
}
# Counts as of a sensor with ranges of 16 g and 2000 deg/s and 16 bits.
_ACC_UNITS: Final = {
    "m/s^2": (1.0, "%.5f"),
    "g": (1.0 / STANDARD_GRAVITY_M_S2, "%.6f"),
    "counts": (2048.0 / STANDARD_GRAVITY_M_S2, "%.0f"),
}
_GYR_UNITS: Final = {
    "rad/s": (1.0, "%.6f"),
    "deg/s": (180.0 / math.pi, "%.4f"),
    "counts": (16.4 * 180.0 / math.pi, "%.0f"),
}
_PER_SECOND: Final = {"s": (1.0, "%.6f"), "ms": (1e3, "%.3f"), "us": (1e6, "%.0f")}
RATE_HZ: Final = {"CSIC": 104.0, "Gaitup": 128.0}
README: Final = """\
SYNTHETIC DATA. Nobody walked here: each recording is computed by the virtual walker of frailedge from gait figures.
Not valid for people; for demonstration and for testing software only.

The figures come from the subject table of the GSTRIDE database (García-de-Villa et al., Scientific Data 10:566, 2023,
doi 10.1038/s41597-023-02428-0, CC BY 4.0), changed: one twin a person, or people drawn from the figures of the classes.
The layout of folder and files is that of the database, so that the same programs read both.
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the recordings are written: what is open about the real files, each an option of ``frailedge twins``.

    ``axes`` is how the sensor sits, in the words in which ``--axes`` reads it back; ``rate_hz`` None is 104 Hz for a
    CSIC device and 128 for a Gaitup. ``leading_zero_rows`` stand before the first sample. `ConfigError` where parts
    exclude each other.
    """

    folder: Folder = "calibrated"
    separator: Literal[" ", ",", ";", "\t"] = " "
    header: bool = True
    decimal: Literal[".", ","] = "."
    time_column: TimeColumn = "none"
    acc_unit: Literal["m/s^2", "g", "counts"] = "m/s^2"
    gyr_unit: Literal["rad/s", "deg/s", "counts"] = "rad/s"
    rate_hz: float | None = None
    axes: str = "x,y,z"
    gyr_first: bool = False
    trailing_columns: int = 0
    leading_zero_rows: int = 0

    def __post_init__(self) -> None:
        if self.separator == self.decimal:
            raise ConfigError("a comma cannot be both separator and decimal sign: choose another of the two")
        if self.rate_hz is not None and not 50.0 <= self.rate_hz <= 500.0:
            raise ConfigError(f"a rate of {self.rate_hz:g} Hz cannot be written: 50 to 500 Hz are supported")
        if min(self.trailing_columns, self.leading_zero_rows) < 0:
            raise ConfigError("trailing columns and leading rows of zeros cannot be fewer than 0")
        parse_axes(self.axes)


RAW_V1: Final = Layout(folder="raw", header=False, acc_unit="counts", gyr_unit="counts")


@dataclass(frozen=True, slots=True)
class Twins:
    """What was written: ``folder`` holds it, ``people`` are the twins, ``skipped`` says who has none and why."""

    folder: Path
    people: tuple[Person, ...]
    skipped: tuple[str, ...]


def make_twins(people: Sequence[Person]) -> tuple[list[Person], list[str]]:
    """One twin a person with a recording and all gait figures, and a line for each of the others."""
    twins: list[Person] = []
    skipped: list[str] = []
    for person in people:
        if not person.has_recording:
            skipped.append(f"{person.id}: the register says that there is no recording")
        elif person.gait is None:
            skipped.append(f"{person.id}: no usable gait figures ({', '.join(person.missing)})")
        elif not person.n_criteria:
            skipped.append(f"{person.id}: none of Fried's five criteria in the register")
        else:
            speed_m_s = round(person.gait.stride_length_m.mean / person.gait.stride_time_s.mean, 3)
            notes = f"synthetic twin of {person.id}"
            twins.append(
                replace(
                    person,
                    notes=notes,
                    stated_index=person.frailty_index,
                    gait_speed_m_s=speed_m_s,
                    n_criteria=5,
                    traits={},
                )
            )
    return twins, skipped


def write_twins(
    folder: Path,
    people: Sequence[Person],
    *,
    minutes: float,
    seed: int,
    layout: Layout | None = None,
    workers: int = 1,
    progress: Callable[[Person], None] | None = None,
) -> Twins:
    """Write ``folder/GSTRIDE_database`` with a twin of each person; ``progress`` is called after each recording.

    v3 has its register, a workbook, beside that folder, v1 in it.

    The same seed gives a person the same walk, whoever else is written and by however many workers. `DatasetError`
    where the folder holds something already, nobody has figures, or it cannot be written.
    """
    layout = layout or Layout()
    if not 0 < minutes <= 600:
        raise ConfigError(f"{minutes:g} minutes a person: say more than 0 and at most 600")
    root = folder / "GSTRIDE_database"
    register = folder / "GSTRIDE_DDBB.xlsx" if layout.folder == "v3" else root / "Database_register.csv"
    twins, skipped = make_twins(people)
    if not twins:
        raise DatasetError("nobody to make a twin of: " + ("; ".join(skipped[:3]) or "the list of people is empty"))
    twins = [replace(twin, walking_time_s=60.0 * minutes) for twin in twins]
    recordings = root / _FOLDERS[layout.folder]
    try:
        for path in (root, register):
            if path.exists():
                raise DatasetError(f"{path}: exists already; name another folder or remove it")
        recordings.mkdir(parents=True)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or root}: cannot be written: {error.strerror or error}; name another folder"
        ) from error
    try:
        write_register(register, twins)
        (root / "README.txt").write_text(README, encoding="utf-8")
        _write_recordings(recordings, twins, layout, 60.0 * minutes, seed, workers, progress)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or root}: cannot be written: {error.strerror or error}; the new {root} is not whole: "
            "remove it, make room, and run the same command again"
        ) from error
    return Twins(root, tuple(twins), tuple(skipped))


def walk_of(person: Person, *, duration_s: float, rate_hz: float, seed: int) -> NDArray[np.float64]:
    """The walk that `write_twins` writes for a person with this seed: ``(n, 6)``, SI units, foot frame."""
    if person.gait is None:
        raise ValueError(f"{person.id} has no gait figures")
    own_seed = int(np.random.SeedSequence([seed, int(person.id[1:])]).generate_state(1)[0])
    return walk(person.gait, duration_s=duration_s, rate_hz=rate_hz, seed=own_seed).astype(np.float64)


def _write_recordings(
    folder: Path,
    twins: Sequence[Person],
    layout: Layout,
    duration_s: float,
    seed: int,
    workers: int,
    progress: Callable[[Person], None] | None,
) -> None:
    if workers <= 1:
        for twin in twins:
            _write_recording(folder, twin, layout, duration_s, seed)
            if progress is not None:
                progress(twin)
        return
    # Spawned, not forked: the caller may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_write_recording, folder, twin, layout, duration_s, seed): twin for twin in twins}
        for job in as_completed(jobs):
            job.result()
            if progress is not None:
                progress(jobs[job])


def _write_recording(folder: Path, person: Person, layout: Layout, duration_s: float, seed: int) -> None:
    rate_hz = layout.rate_hz or RATE_HZ.get(person.device, RATE_HZ["CSIC"])
    samples = walk_of(person, duration_s=duration_s, rate_hz=rate_hz, seed=seed)
    name = {"calibrated": f"{person.id}.txt", "raw": f"{person.id}_{person.device_id}.txt", "v3": f"{person.id}.csv"}
    (folder / name[layout.folder]).write_text(format_samples(samples, rate_hz, layout), encoding="utf-8")


def format_samples(samples: NDArray[np.float64], rate_hz: float, layout: Layout) -> str:
    """``(n, 6)`` samples in SI units in the foot frame as the text of a file."""
    (acc_scale, acc_format), (gyr_scale, gyr_format) = _ACC_UNITS[layout.acc_unit], _GYR_UNITS[layout.gyr_unit]
    sensor = to_foot_frame(samples, parse_axes(layout.axes).T) * np.repeat([acc_scale, gyr_scale], 3)
    names = ["AccX", "AccY", "AccZ", "GyrX", "GyrY", "GyrZ"]
    formats = [acc_format] * 3 + [gyr_format] * 3
    if layout.gyr_first:
        sensor, names, formats = sensor[:, [3, 4, 5, 0, 1, 2]], names[3:] + names[:3], formats[3:] + formats[:3]
    sensor = np.concatenate([np.zeros((layout.leading_zero_rows, 6)), sensor])
    rows = np.arange(len(sensor), dtype=np.float64)
    columns = [sensor]
    if layout.time_column == "index":
        columns, names, formats = [rows[:, None], *columns], ["Sample", *names], ["%.0f", *formats]
    elif layout.time_column != "none":
        per_second, time_format = _PER_SECOND[layout.time_column]
        columns = [rows[:, None] * (per_second / rate_hz), *columns]
        names, formats = [f"Time({layout.time_column})", *names], [time_format, *formats]
    for k in range(layout.trailing_columns):
        columns.append(np.full((len(rows), 1), 20.0 + k))
        names, formats = [*names, f"Extra{k + 1}"], [*formats, "%.1f"]
    line = layout.separator.join(formats)
    table = np.concatenate(columns, axis=1)
    body = "\n".join([line % tuple(row) for row in table.tolist()])
    if layout.decimal == ",":
        body = body.replace(".", ",")
    return (layout.separator.join(names) + "\n" if layout.header else "") + body + "\n"
