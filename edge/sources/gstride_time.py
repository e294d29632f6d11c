"""When each row of a GSTRIDE table was measured: by its time column, else by the rate given, else by the register.

A table with its layout goes in; device times, the rate and the rows to keep come out, with how they were found.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources import detect
from edge.sources.conventions import TIME_UNITS_S, nominal_time_ns, read_stamps
from edge.sources.gstride_columns import Layout
from edge.sources.register import PERSON_ID, Person, find_register, read_register
from edge.sources.textfile import Table


class RateUnknownError(RecordingError):
    """Nothing in file or register tells the rate with certainty."""


def find_time(
    path: Path,
    table: Table,
    layout: Layout,
    complete: NDArray[np.bool_],
    values: NDArray[np.float64],
    lines: NDArray[np.int64],
    given_rate_hz: float | None,
    person: Person | None,
) -> tuple[NDArray[np.int64], float, NDArray[np.bool_], list[str]]:
    """Device time, rate and rows to keep: by the time column, else the rate given, else the register's cadence."""
    rows = np.flatnonzero(complete).astype(np.int64)
    if layout.index is not None:
        counted = table.values[complete, layout.index]
        if (backward := np.flatnonzero(np.diff(counted) <= 0)).size:
            line = lines[backward[0] + 1]
            raise RecordingError(
                f"{path}: line {line}: the sample count does not grow; sort the rows or remove that column"
            )
        rows = np.rint(counted).astype(np.int64)
    everything = np.ones(len(rows), dtype=np.bool_)
    if layout.time is not None:
        if given_rate_hz is not None:
            raise RecordingError(
                f"{path}: --rate-hz {given_rate_hz:g}: this file has its own time column; leave --rate-hz out"
            )
        stamps = table.values[complete, layout.time]
        unit = layout.time_unit
        found = read_stamps(str(path), stamps, TIME_UNITS_S[unit], values, lines)
        return (
            found.time_ns,
            found.rate_hz,
            found.keep,
            [
                f"rate {found.rate_hz:.4g} Hz from the time column in {unit}; {found.n_duplicates} rows with a time "
                f"already seen dropped; {found.n_gaps} gaps of {found.n_missing} samples in all"
            ],
        )
    if given_rate_hz is not None:
        if not 0 < given_rate_hz < 1e5:
            raise RecordingError(f"--rate-hz {given_rate_hz:g}: give the samples a second, such as 104")
        return (
            nominal_time_ns(rows, given_rate_hz),
            given_rate_hz,
            everything,
            [f"rate {given_rate_hz:g} Hz as given"],
        )
    rate_hz, statement = _rate_from_cadence(path, values, person)
    return nominal_time_ns(rows, rate_hz), rate_hz, everything, [statement]


def _rate_from_cadence(path: Path, values: NDArray[np.float64], person: Person | None) -> tuple[float, str]:
    """The rate at which the strides of the recording come as often as the register says."""

    def refuse(why: str) -> RateUnknownError:
        return RateUnknownError(
            f"{path}: the rate cannot be found: no time column, and {why}; give it by --rate-hz 104 (or 128)"
        )

    where = "as given"
    if person is None:
        person_id = PERSON_ID.search(path.stem)
        if person_id is None:
            raise refuse("the file's name holds no ID like V001 to find the person in the register")
        register = find_register(path)
        if register is None:
            raise refuse("no Database_register.csv stands beside or above the file")
        where = str(register)
        person = next((known for known in read_register(register) if known.id == person_id[0]), None)
        if person is None:
            raise refuse(f"{register} does not list {person_id[0]}")
    if not person.cadence_strides_min:
        raise refuse(f"the register has no cadence of {person.id}")
    stride_s = 60.0 / person.cadence_strides_min
    n_samples = detect.samples_per_stride(values, stride_s)
    if n_samples is None:
        raise refuse("no stride repeats clearly enough to be counted")
    estimate_hz = n_samples / stride_s
    rate_hz = detect.nearest_rate(estimate_hz)
    if rate_hz is None:
        raise refuse(
            f"a stride of {n_samples:.1f} samples at the register's cadence means {estimate_hz:.1f} Hz, not 104 or 128"
        )
    usual_hz = detect.RATES_HZ[person.device == "Gaitup"]
    statement = (
        f"rate {rate_hz:g} Hz: {n_samples:.1f} samples a stride × {person.cadence_strides_min:g} strides/min of "
        f"{person.id} in the register ({where}) = {estimate_hz:.1f} Hz"
    )
    if rate_hz != usual_hz:
        statement += f"; a {person.device} device is said to have {usual_hz:g} Hz, the recording says otherwise"
    return rate_hz, statement
