"""A GSTRIDE recording goes in, v1 calibrated or raw text or v3 CSV; a `Recording` in SI units comes out.

What the database's description leaves open (columns, units, rate) is found from header, register and physics, stated,
and refused by the name of the option to give where it is not certain. The frame counts as configured: axes are never
turned but by ``--axes``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources import detect
from edge.sources.conventions import (
    ACC_UNITS,
    GYR_UNITS,
    TIME_UNITS_S,
    Units,
    nominal_time_ns,
    parse_axes,
    parse_units,
    read_stamps,
    to_foot_frame,
)
from edge.sources.described import sensor_names
from edge.sources.gstride_columns import Layout, find_layout
from edge.sources.recording import Recording
from edge.sources.register import PERSON_ID, Person, find_register, read_register
from edge.sources.textfile import Table, read_table, shorten
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

FEW_ROWS: Final = 1000
_MIN_UPRIGHT: Final = 0.5
"""Cosine of 60 degrees: z of a foot frame is at most that far from gravity at rest; instep mounts tilt by up to 50."""


class RateUnknownError(RecordingError):
    """Nothing in file or register tells the rate with certainty."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user says of a file: each field as typed on the command line, None to find it out."""

    rate_hz: float | None = None
    units: str | None = None
    axes: str | None = None


def read_gstride(path: Path, overrides: Overrides, person: Person | None = None) -> Recording:
    """Read one file; ``person`` saves looking for the register. `RecordingError` names what is open and the option."""
    table = read_table(path)
    if table.values.shape[1] < 6:
        raise RecordingError(
            f'{path}: {table.values.shape[1]} columns (first line "{shorten(table.first_line)}"), a recording has 6 or '
            f"more: acceleration and angular rate, x y z each; other files: --sensor {'|'.join(sensor_names())}"
        )
    layout = find_layout(table)
    statements = [table.describe(), *layout.statements]
    values = table.values[:, layout.channels]
    complete, found = _measured_rows(path, table, values, layout)
    statements += found
    values, lines = values[complete], table.line_numbers[complete]
    if len(values) < FEW_ROWS:
        statements.append(f"only {len(values)} samples: hardly a walk")

    rest = detect.rest_rows(values)
    if not layout.order_is_certain:
        first = detect.acc_comes_first(values, rest)
        if first is None:
            raise RecordingError(
                f"{path}: which columns are acceleration cannot be told from the numbers; describe the file in a "
                "TOML file and give it by --sensor FILE.toml"
            )
        if not first:
            values = values[:, [3, 4, 5, 0, 1, 2]]
        statements.append(
            f"columns in the order {'acceleration, rate' if first else 'rate, acceleration'}: gravity shows at rest in "
            f"the {'first' if first else 'last'} three"
        )

    time_ns, rate_hz, keep, found = _find_time(path, table, layout, complete, values, lines, overrides, person)
    values, rest, n_duplicates = values[keep], rest[keep], int((~keep).sum())
    statements += found
    units, found = _find_units(path, values, rest, rate_hz, layout, overrides)
    statements += found
    si = values * np.repeat([units.acc_m_s2, units.gyr_rad_s], 3)
    samples, found = _turn(path, si, rest, overrides)
    statements += found
    return Recording(
        path=path,
        rate_hz=rate_hz,
        time_ns=time_ns,
        samples=samples.astype(np.float32),
        gravity="included",
        n_duplicates=n_duplicates,
        statements=tuple(statements),
    )


def _measured_rows(
    path: Path, table: Table, values: NDArray[np.float64], layout: Layout
) -> tuple[NDArray[np.bool_], list[str]]:
    """Rows that hold a measurement, and what was left out."""
    no_number = np.isnan(values).any(axis=1)
    if layout.time is not None:
        no_number |= np.isnan(table.values[:, layout.time])
    if no_number.all():
        raise RecordingError(f"{path}: no row has all six values (only NaN); give a recording with measurements in it")
    zero = ~no_number & ~values.any(axis=1)
    complete = ~no_number & ~zero
    if not complete.any():
        raise RecordingError(f"{path}: all values are 0; give a recording with measurements in it")
    first = int(np.argmax(complete))
    n_leading = int(zero[:first].sum())
    statements = []
    if n_leading:
        statements.append(f"{n_leading} leading rows of zeros skipped")
    if n_zero := int(zero.sum()) - n_leading:
        statements.append(f"{n_zero} rows of zeros count as missing samples: a sensor at rest feels gravity")
    if n_nan := int(no_number.sum()):
        statements.append(f"{n_nan} rows with NaN count as missing samples")
    if table.cut_off_line:
        statements.append(f"line {table.cut_off_line}, the last, ends too early and was left out")
    return complete, statements


def _find_time(
    path: Path,
    table: Table,
    layout: Layout,
    complete: NDArray[np.bool_],
    values: NDArray[np.float64],
    lines: NDArray[np.int64],
    overrides: Overrides,
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
        if overrides.rate_hz is not None:
            raise RecordingError(
                f"{path}: --rate-hz {overrides.rate_hz:g}: this file has its own time column; leave --rate-hz out"
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
    if overrides.rate_hz is not None:
        if not 0 < overrides.rate_hz < 1e5:
            raise RecordingError(f"--rate-hz {overrides.rate_hz:g}: give the samples a second, such as 104")
        return (
            nominal_time_ns(rows, overrides.rate_hz),
            overrides.rate_hz,
            everything,
            [f"rate {overrides.rate_hz:g} Hz as given"],
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


def _find_units(
    path: Path,
    values: NDArray[np.float64],
    rest: NDArray[np.bool_],
    rate_hz: float,
    layout: Layout,
    overrides: Overrides,
) -> tuple[Units, list[str]]:
    at_rest = detect.acc_at_rest(values, rest)
    if overrides.units is not None:
        units = parse_units(overrides.units)
        return units, [
            f"units {units.acc_name},{units.gyr_name} as given; |acc| at rest is {at_rest * units.acc_m_s2:.2f} m/s²"
        ]
    peak = detect.gyr_peak(values, rest)
    acc, gyr = detect.acc_unit(at_rest), detect.gyr_unit(peak)
    if acc is None and at_rest > 100 and np.array_equal(values, np.rint(values)):
        return _scale_counts(path, values, rest, rate_hz, at_rest)
    for kind, named, seen, size in (
        ("acceleration at rest", layout.acc_unit, acc, at_rest),
        ("rate in swing", layout.gyr_unit, gyr, peak),
    ):
        if named is not None and named != seen:
            raise RecordingError(
                f"{path}: the header names the unit {named}, but {kind} is {size:.3g}; "
                'say which units hold by --units, such as --units "g,deg/s"'
            )
    if acc is None or gyr is None:
        what, size, hint = (
            ("acceleration", at_rest, "|acc| at rest, 9.8 in m/s² or 1 in g")
            if acc is None
            else ("the rate", peak, "the peaks of the rate, 60 to 1500 in deg/s or 1 to 25 in rad/s")
        )
        raise RecordingError(
            f"{path}: the unit of {what} cannot be told: {size:.3g} should be {hint}; "
            'give both by --units, such as --units "g,deg/s"'
        )
    return Units(ACC_UNITS[acc], GYR_UNITS[gyr], acc, gyr), [
        f"acceleration in {acc}: |acc| at rest is {at_rest:.3g}",
        f"rate in {gyr}: a swing peaks at {peak:.3g}",
    ]


def _scale_counts(
    path: Path, values: NDArray[np.float64], rest: NDArray[np.bool_], rate_hz: float, at_rest: float
) -> tuple[Units, list[str]]:
    """Counts: the size of gravity gives the one scale, zero velocity at stance the other."""
    acc_scale = STANDARD_GRAVITY_M_S2 / at_rest
    gyr_scale, how = None, ""
    if (calibrated := _calibrated_beside(path)) is not None:
        known = read_gstride(calibrated, Overrides(rate_hz=rate_hz)).samples[:, 3:].astype(np.float64)
        gyr_scale, how = detect.scale_like(values[:, 3:], known), f"as {calibrated} has the same walk"
    if gyr_scale is None:
        gyr_scale = detect.gyr_scale(values[:, :3] * acc_scale, values[:, 3:], rest, rate_hz)
        how = "to about 7 %: so the foot's speed is zero at each stance"
    if gyr_scale is None:
        raise RecordingError(
            f"{path}: the numbers are counts, and what one of the rate is worth cannot be found from the strides; "
            f'give both by --units, such as --units "{acc_scale / STANDARD_GRAVITY_M_S2:.3g}*g,0.07*deg/s"'
        )
    acc_g, gyr_deg = acc_scale / STANDARD_GRAVITY_M_S2, np.rad2deg(gyr_scale)
    return Units(acc_scale, gyr_scale, "counts", "counts"), [
        f"acceleration in counts of {acc_g:.4g} g: |acc| at rest is {at_rest:.0f}",
        f"rate in counts of {gyr_deg:.4g} deg/s, {how}",
    ]


def _calibrated_beside(raw: Path) -> Path | None:
    """v1's calibrated file of the same person, in the folder beside that of the raw ones."""
    person_id = PERSON_ID.search(raw.stem)
    if person_id is None:
        return None
    return next(iter(sorted(raw.resolve().parent.parent.glob(f"*alibrated*/{person_id[0]}.txt"))), None)


def _turn(
    path: Path, si: NDArray[np.float64], rest: NDArray[np.bool_], overrides: Overrides
) -> tuple[NDArray[np.float64], list[str]]:
    if overrides.axes is not None:
        return to_foot_frame(si, parse_axes(overrides.axes)), [
            f"axes {overrides.axes} of the sensor count as toe, left, up, as given"
        ]
    gravity = np.median(si[rest, :3], axis=0)
    upright = float(gravity[2] / np.linalg.norm(gravity))
    if upright < _MIN_UPRIGHT:
        k = int(np.argmax(np.abs(gravity)))
        up = ("-" if gravity[k] < 0 else "") + "xyz"[k]
        raise RecordingError(
            f"{path}: gravity at rest lies on {up} of the sensor, so its axes are not toe, left, up; name the three in "
            f'this order by --axes "?,?,{up}" (or --axes "x,y,z" to keep them)'
        )
    tilt_deg = np.degrees(np.arccos(min(upright, 1.0)))
    return si, [f"axes as in the file count as toe, left, up (gravity at rest is {tilt_deg:.0f}° from z)"]
