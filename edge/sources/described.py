"""A text recording and the TOML file that describes it go in; a `Recording` in SI units in the foot frame comes out.

The TOML file says where the columns are, in which units and axes, and where time comes from. Nothing is detected here
but separator and decimal sign, and a file that fits no layout is refused with what was seen.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, RecordingError
from edge.paths import configs_dir
from edge.sources.conventions import (
    ACC_UNITS,
    GYR_UNITS,
    NO_WHOLE_ROW,
    TIME_UNITS_S,
    can_be_held,
    missing_rows,
    nominal_time_ns,
    parse_axes,
    read_stamps,
    to_foot_frame,
)
from edge.sources.recording import Gravity, Recording
from edge.sources.textfile import Table, read_table, shorten
from edge.toml import read_toml
from firmware_bridge.devices.described import FULL_SHARE

# An IMU's own clock is off by a few percent at most; more is another rate or another unit.
_NOMINAL_RATE_TOLERANCE: Final = 0.1

Side = Literal["left", "right"]
ColumnRef = int | str
"""A column by its position, from 0, or by its name; of several header lines, the cells joined by a blank."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown and missing keys are errors."""


class Columns(_Strict, frozen=True):
    """Where one sensor's six columns are, and which of its axes point to the toe, to the left and up."""

    acc: tuple[ColumnRef, ColumnRef, ColumnRef]
    gyr: tuple[ColumnRef, ColumnRef, ColumnRef]
    axes: tuple[str, str, str] = ("x", "y", "z")


class Layout(_Strict, frozen=True):
    """One kind of file: chosen where the file's first line starts with ``starts_with``.

    Either ``sensor`` (one sensor, side unknown) or ``left`` and/or ``right``. Times come from ``time_column`` where
    there is one; ``rate_hz``, needed only where there is none, is then the sensor's nominal rate. A number other than
    0 in ``saturated_column`` marks a sample at the sensor's range.
    """

    name: str
    starts_with: str
    header_lines: int
    sensor: Columns | None = None
    left: Columns | None = None
    right: Columns | None = None
    rate_hz: float | None = None
    time_column: ColumnRef | None = None
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    saturated_column: ColumnRef | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is None and self.time_column is None:
            raise ValueError("give either rate_hz or time_column, or both")
        if (self.sensor is None) == (self.left is None and self.right is None):
            raise ValueError("give either the table sensor, or left and/or right")
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError("rate_hz must be above 0")


class SensorFile(_Strict, frozen=True):
    """A whole ``configs/sensors/*.toml``. Values from `FULL_SHARE` of a range on count as saturated."""

    description: str
    acc_unit: Literal["m/s^2", "g"]
    gyr_unit: Literal["deg/s", "rad/s"]
    gravity: Gravity
    frame: Literal["foot"]
    layouts: tuple[Layout, ...]
    acc_range_g: float | None = None
    gyr_range_deg_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("acc_range_g", "gyr_range_deg_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0")


def sensor_names(sensors_dir: Path | None = None) -> tuple[str, ...]:
    """The sensors that have a description."""
    return tuple(sorted(path.stem for path in (sensors_dir or configs_dir() / "sensors").glob("*.toml")))


def load_sensor(sensor: str, sensors_dir: Path | None = None) -> SensorFile:
    """Read the description of a sensor by its name, or a TOML file of the user's own by its path."""
    folder = sensors_dir or configs_dir() / "sensors"
    path = Path(sensor) if sensor.endswith(".toml") else folder / f"{sensor}.toml"
    if not path.is_file():
        known = ", ".join(sensor_names(sensors_dir))
        raise ConfigError(f"--sensor {sensor}: there is no {path}; known are {known}, or name a TOML file of your own")
    sensor_file = read_toml(path, SensorFile)
    for layout in sensor_file.layouts:
        for columns in (layout.sensor, layout.left, layout.right):
            if columns is not None:
                try:
                    parse_axes(columns.axes)
                except RecordingError as error:
                    raise ConfigError(f"{path}: layout {layout.name}: {error}") from error
    return sensor_file


def read_described(path: Path, sensor: str, side: str | None = None, sensors_dir: Path | None = None) -> Recording:
    """Read a recording by the description of its sensor; `RecordingError` where it does not fit."""
    sensor_file = load_sensor(sensor, sensors_dir)
    table = read_table(path)
    layout = next((known for known in sensor_file.layouts if table.first_line.startswith(known.starts_with)), None)
    if layout is None or len(table.header) != layout.header_lines:
        layouts = ", ".join(f'{known.name} ("{known.starts_with}…")' for known in sensor_file.layouts)
        raise RecordingError(
            f'{path}: fits no layout of --sensor {sensor}: {layouts}; its first line is "{shorten(table.first_line)}" '
            f"({table.describe()}); choose another --sensor or describe the file in a TOML of your own"
        )
    columns, side_name = _choose_side(path, layout, side)
    acc = [_find_column(table, ref) for ref in columns.acc]
    gyr = [_find_column(table, ref) for ref in columns.gyr]
    raw = table.values[:, acc + gyr]
    complete = can_be_held(raw * _to_si_scale(sensor_file))
    with_nan = (np.isnan(table.values[:, acc + gyr]) & ~table.too_large[:, acc + gyr]).any(axis=1)
    marked_at = None if layout.saturated_column is None else _find_column(table, layout.saturated_column)
    time_at = None if layout.time_column is None else _find_column(table, layout.time_column)
    if time_at is not None:
        complete &= ~np.isnan(table.values[:, time_at])
        with_nan |= np.isnan(table.values[:, time_at]) & ~table.too_large[:, time_at]
    if not complete.any():
        raise RecordingError(f"{path}: {NO_WHOLE_ROW}")

    name = Path(sensor).stem
    statements = [f"layout {layout.name} of sensor {name}, {side_name}: {table.describe()}"]
    values, line_numbers = raw[complete], table.line_numbers[complete]
    saturated = _saturated(values, sensor_file, None if marked_at is None else table.values[complete, marked_at])
    n_duplicates = 0
    if time_at is not None:
        stamps = read_stamps(
            str(path), table.values[complete, time_at], TIME_UNITS_S[layout.time_unit], values, line_numbers
        )
        values, time_ns, rate_hz, n_duplicates = (
            values[stamps.keep],
            stamps.time_ns,
            stamps.rate_hz,
            stamps.n_duplicates,
        )
        saturated = None if saturated is None else saturated[stamps.keep]
        found = f"rate {rate_hz:.4g} Hz from the steps of the time column"
        if layout.rate_hz is not None:
            found = f"rate {layout.rate_hz:g} Hz as the sensor's file says, {rate_hz:.4g} Hz by the time column"
            if abs(rate_hz / layout.rate_hz - 1) > _NOMINAL_RATE_TOLERANCE:
                raise RecordingError(
                    f"{path}: {found}: mend rate_hz or time_unit of layout {layout.name} in its file, or leave "
                    "rate_hz out"
                )
            rate_hz = layout.rate_hz
        statements.append(
            f"{found}; {n_duplicates} rows with a time already seen dropped; {stamps.n_gaps} gaps of "
            f"{stamps.n_missing} samples in all"
        )
    else:
        assert layout.rate_hz is not None, "checked when the layout was made"
        rate_hz = layout.rate_hz
        time_ns = nominal_time_ns(np.flatnonzero(complete).astype(np.int64), rate_hz)
        statements.append(f"rate {rate_hz:g} Hz as the sensor's file says")
    statements.append(
        f"units {sensor_file.acc_unit} and {sensor_file.gyr_unit}, gravity {sensor_file.gravity}, axes "
        f"{','.join(columns.axes)} as the sensor's file says; the frame counts as the foot's"
    )
    if saturated is not None:
        statements.append(f"{int(saturated.sum())} samples at the sensor's range")
    statements += missing_rows(with_nan, ~complete)
    if table.cut_off_line:
        statements.append(f"line {table.cut_off_line}, the last, ends too early and was left out")
    return Recording(
        path=path,
        rate_hz=rate_hz,
        time_ns=time_ns,
        samples=_to_si(values, sensor_file, columns).astype(np.float32),
        gravity=sensor_file.gravity,
        frame=sensor_file.frame,
        axes=",".join(columns.axes),
        n_duplicates=n_duplicates,
        saturated=saturated,
        statements=tuple(statements),
    )


def _choose_side(path: Path, layout: Layout, side: str | None) -> tuple[Columns, str]:
    sides = {"left": layout.left, "right": layout.right}
    if layout.sensor is not None:
        if side is not None:
            raise RecordingError(
                f"{path}: --side {side}: this file has one sensor and does not say on which foot; leave --side out"
            )
        return layout.sensor, "one foot"
    there = [name for name, columns in sides.items() if columns is not None]
    if side is None and len(there) == 2:
        raise RecordingError(f"{path}: the file holds both feet; choose one by --side left|right")
    chosen = side or there[0]
    columns = sides.get(chosen)
    if columns is None:
        raise RecordingError(f"{path}: --side {chosen}: this file has only {' and '.join(there)}")
    return columns, chosen


def _find_column(table: Table, ref: ColumnRef) -> int:
    n_columns = table.values.shape[1]
    if isinstance(ref, int):
        if not 0 <= ref < n_columns:
            raise RecordingError(
                f"{table.path}: column {ref} is asked for, but a row has {n_columns} columns (0 to {n_columns - 1})"
            )
        return ref
    names = [
        " ".join(cells[i] for cells in table.header if i < len(cells) and cells[i]).strip() for i in range(n_columns)
    ]
    if names.count(ref) != 1:
        what = "no column" if ref not in names else "more than one column"
        raise RecordingError(f'{table.path}: {what} is named "{ref}"; the header has {", ".join(names)}')
    return names.index(ref)


def _saturated(
    values: NDArray[np.float64], sensor_file: SensorFile, marks: NDArray[np.float64] | None
) -> NDArray[np.bool_] | None:
    """Which of ``(n, 6)`` values are at the range, by ``marks`` ``(n,)`` or the ranges stated; None where none is."""
    scale = _to_si_scale(sensor_file)
    stated = (sensor_file.acc_range_g, ACC_UNITS["g"]), (sensor_file.gyr_range_deg_s, GYR_UNITS["deg/s"])
    if marks is None and not any(value for value, _ in stated):
        return None
    range_si = np.repeat([np.inf if value is None else FULL_SHARE * value * unit for value, unit in stated], 3)
    saturated: NDArray[np.bool_] = (np.abs(values * scale) >= range_si).any(axis=1)
    return saturated if marks is None else saturated | (np.nan_to_num(marks) != 0)


def _to_si_scale(sensor_file: SensorFile) -> NDArray[np.float64]:
    return np.repeat([ACC_UNITS[sensor_file.acc_unit], GYR_UNITS[sensor_file.gyr_unit]], 3)


def _to_si(values: NDArray[np.float64], sensor_file: SensorFile, columns: Columns) -> NDArray[np.float64]:
    return to_foot_frame(values * _to_si_scale(sensor_file), parse_axes(columns.axes))
