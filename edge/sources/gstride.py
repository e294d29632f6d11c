"""A GSTRIDE recording goes in, v1 calibrated or raw text or v3 CSV; a `Recording` in SI units comes out.

What the database's description leaves open (columns, units, rate) is found from header, register and physics, stated,
and refused by the name of the option to give where it is not certain. Axes are never turned but by ``--axes``; a walk
that by gravity and by its strides does not go along the file's x, with z up, is refused with the axes that it shows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources import detect, strides
from edge.sources.conventions import (
    ACC_UNITS,
    GYR_UNITS,
    NO_WHOLE_ROW,
    Units,
    can_be_held,
    missing_rows,
    parse_units,
)
from edge.sources.described import sensor_names
from edge.sources.gstride_axes import turn
from edge.sources.gstride_columns import Layout, find_layout
from edge.sources.gstride_time import find_time
from edge.sources.recording import Recording
from edge.sources.register import PERSON_ID, Person
from edge.sources.textfile import Table, read_table, shorten
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

FEW_ROWS: Final = 1000


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

    time_ns, rate_hz, keep, found = find_time(path, table, layout, complete, values, lines, overrides.rate_hz, person)
    values, rest, n_duplicates = values[keep], rest[keep], int((~keep).sum())
    statements += found
    units, found = _find_units(path, values, rest, rate_hz, layout, overrides, person)
    statements += found
    si = values * np.repeat([units.acc_m_s2, units.gyr_rad_s], 3)
    held = can_be_held(si)
    if not held.any():
        raise RecordingError(f"{path}: {NO_WHOLE_ROW}")
    statements += missing_rows(np.zeros(len(si), np.bool_), ~held)
    si, rest, time_ns = si[held], rest[held], time_ns[held]
    samples, found = turn(path, si, rest, rate_hz, overrides.axes)
    statements += found
    return Recording(
        path=path,
        rate_hz=rate_hz,
        time_ns=time_ns,
        samples=samples.astype(np.float32),
        gravity="included",
        axes=overrides.axes or "x,y,z",
        n_duplicates=n_duplicates,
        statements=tuple(statements),
    )


def _measured_rows(
    path: Path, table: Table, values: NDArray[np.float64], layout: Layout
) -> tuple[NDArray[np.bool_], list[str]]:
    """Rows that hold a measurement, and what was left out."""
    needed = list(layout.channels) if layout.time is None else [*layout.channels, layout.time]
    no_number = np.isnan(table.values[:, needed]).any(axis=1)
    with_nan = (np.isnan(table.values[:, needed]) & ~table.too_large[:, needed]).any(axis=1)
    if no_number.all():
        raise RecordingError(f"{path}: {NO_WHOLE_ROW}")
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
    statements += missing_rows(with_nan, no_number)
    if table.cut_off_line:
        statements.append(f"line {table.cut_off_line}, the last, ends too early and was left out")
    return complete, statements


def _find_units(
    path: Path,
    values: NDArray[np.float64],
    rest: NDArray[np.bool_],
    rate_hz: float,
    layout: Layout,
    overrides: Overrides,
    person: Person | None,
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
        return _scale_counts(path, values, rate_hz, at_rest, overrides, person)
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
    path: Path,
    values: NDArray[np.float64],
    rate_hz: float,
    at_rest: float,
    overrides: Overrides,
    person: Person | None,
) -> tuple[Units, list[str]]:
    """Counts: the size of gravity gives the one scale, the calibrated recording or else the strides the other."""
    acc_scale = STANDARD_GRAVITY_M_S2 / at_rest
    acc_g = acc_scale / STANDARD_GRAVITY_M_S2
    gyr_scale, how = None, ""
    calibrated = _calibrated_beside(path)
    if calibrated is not None:
        # Any axes will do: only the size of the rate is compared.
        known = read_gstride(calibrated, Overrides(overrides.rate_hz, axes="x,y,z"), person)
        gyr_scale = detect.scale_like(values[:, 3:], known.samples[:, 3:].astype(np.float64))
        how = f"as {calibrated} has the same walk"
    if gyr_scale is None:
        found = strides.gyr_scale(values[:, :3] * acc_scale, values[:, 3:], rate_hz)
        gyr_scale = found.agreed
        if gyr_scale is None or found.by_tilt is None:
            speed, tilt = (
                "no clear answer" if scale is None else f"{np.rad2deg(scale):.3g} deg/s"
                for scale in (found.by_speed, found.by_tilt)
            )
            beside = f"; {calibrated} is of another walk" if calibrated is not None else ""
            raise RecordingError(
                f"{path}: the numbers are counts, and what one of the rate is worth cannot be told: {found.n_strides} "
                f"strides give {speed} by zero speed at stance, {tilt} by tilt against gravity{beside}; put the "
                "calibrated recording into a folder beside, or give both units by --units, such as "
                f'--units "{acc_g:.3g}*g,0.07*deg/s"'
            )
        how = (
            f"so the foot's speed is zero at {found.n_strides} stances; by tilt against gravity "
            f"{np.rad2deg(found.by_tilt):.4g}"
        )
        if calibrated is not None:
            how += f"; {calibrated} is of another walk"
    return Units(acc_scale, gyr_scale, "counts", "counts"), [
        f"acceleration in counts of {acc_g:.4g} g: |acc| at rest is {at_rest:.0f}",
        f"rate in counts of {np.rad2deg(gyr_scale):.4g} deg/s, {how}",
    ]


def _calibrated_beside(raw: Path) -> Path | None:
    """v1's calibrated file of the same person, in the folder beside that of the raw ones."""
    person_id = PERSON_ID.search(raw.stem)
    if person_id is None:
        return None
    return next(iter(sorted(raw.resolve().parent.parent.glob(f"*alibrated*/{person_id[0]}.txt"))), None)
