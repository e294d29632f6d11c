"""Units, axes and time stamps as files have them go in; SI units, the foot frame and device time come out.

Every reader of recordings converts here, and only here.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources.textfile import LARGEST_SAMPLE
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2

ACC_UNITS: Final = {"m/s^2": 1.0, "g": STANDARD_GRAVITY_M_S2}
GYR_UNITS: Final = {"rad/s": 1.0, "deg/s": math.pi / 180.0}
TIME_UNITS_S: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
NO_WHOLE_ROW: Final = "no row has all six values (only NaN, or numbers too large); give a recording with measurements"
_AXES: Final = "xyz"


@dataclass(frozen=True, slots=True)
class Units:
    """What a number of a file is worth: ``acc_m_s2`` and ``gyr_rad_s`` a unit, and how the user calls the units."""

    acc_m_s2: float
    gyr_rad_s: float
    acc_name: str
    gyr_name: str


def parse_units(text: str) -> Units:
    """``"g,deg/s"``, or counts by what one is worth: ``"0.000488*g,0.07*deg/s"``; `RecordingError` shows the form."""
    parts = text.replace(" ", "").replace("²", "^2").replace("m/s2", "m/s^2").split(",")
    if len(parts) == 2:
        acc, gyr = (_parse_unit(part, known) for part, known in zip(parts, (ACC_UNITS, GYR_UNITS), strict=True))
        if acc is not None and gyr is not None:
            return Units(acc, gyr, parts[0], parts[1])
    raise RecordingError(
        f'--units "{text}" is not understood: say "g,deg/s", "m/s^2,rad/s" or another pair of these; for counts, what '
        'one is worth: "0.000488*g,0.07*deg/s"'
    )


def _parse_unit(text: str, known: dict[str, float]) -> float | None:
    match = re.fullmatch(r"(?:(\d*\.?\d+(?:[eE][+-]?\d+)?)\*)?(.+)", text)
    if match is None or match[2] not in known:
        return None
    value = float(match[1] or 1.0) * known[match[2]]
    return value if value > 0 else None


def parse_axes(axes: str | tuple[str, ...]) -> NDArray[np.float64]:
    """``"x,-z,y"``, the sensor axes that are the foot's x, y and z, as ``R`` of shape ``(3, 3)``: foot = R @ sensor."""
    names = tuple(part.strip() for part in axes.split(",")) if isinstance(axes, str) else axes
    shown = ",".join(names)
    rotation = np.zeros((3, 3))
    for row, name in enumerate(names):
        letter = name.lstrip("+-").lower()
        if row > 2 or len(letter) != 1 or letter not in _AXES or len(name) > 2:
            raise RecordingError(
                f'axes "{shown}" are not understood: name the sensor axes that point to the toe, to the left and '
                'up, such as "x,-z,y"'
            )
        rotation[row, _AXES.index(letter)] = -1.0 if name.startswith("-") else 1.0
    if not np.array_equal(rotation @ rotation.T, np.eye(3)):
        raise RecordingError(f'axes "{shown}" do not name three different axes: say for instance "x,-z,y"')
    if np.linalg.det(rotation) < 0:
        raise RecordingError(f'axes "{shown}" would mirror the foot (left-handed): one sign is wrong')
    return rotation


def to_foot_frame(samples: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn ``(n, 6)`` samples by a ``(3, 3)`` rotation."""
    return np.concatenate([samples[:, :3] @ rotation.T, samples[:, 3:] @ rotation.T], axis=1)


def can_be_held(values_si: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of ``(n, 6)`` values can be samples, ``(n,)``: none is NaN, or too large for float32."""
    held: NDArray[np.bool_] = (np.abs(values_si) <= LARGEST_SAMPLE).all(axis=1)
    return held


def missing_rows(with_nan: NDArray[np.bool_], missing: NDArray[np.bool_]) -> list[str]:
    """What to say of rows ``(n_rows,)`` that count as ``missing``: some ``with_nan``, the others with huge numbers."""
    n_nan, n_large = int(with_nan.sum()), int((missing & ~with_nan).sum())
    said = []
    if n_nan:
        said.append(f"{n_nan} rows with NaN count as missing samples")
    if n_large:
        said.append(f"{n_large} rows with a number beyond {LARGEST_SAMPLE:.2g} count as missing samples")
    return said


def nominal_time_ns(row_numbers: NDArray[np.int64], rate_hz: float) -> NDArray[np.int64]:
    """Device time of rows that were taken at an even rate, counted from the first of them."""
    time_ns: NDArray[np.int64] = np.round((row_numbers - row_numbers[0]) * (1e9 / rate_hz)).astype(np.int64)
    return time_ns


@dataclass(frozen=True, slots=True)
class Stamps:
    """A time column made clean: ``keep`` of shape ``(n_rows,)`` leaves out rows whose stamp had been seen.

    ``time_ns`` has one value a kept row. ``rate_hz`` is 1 over the mean of the steps within 10 % of the median step,
    so gaps do not count. ``n_gaps`` steps are longer than 1.5 of it and leave out ``n_missing`` samples.
    """

    time_ns: NDArray[np.int64]
    keep: NDArray[np.bool_]
    rate_hz: float
    n_duplicates: int
    n_gaps: int
    n_missing: int


def read_stamps(
    where: str, stamps: NDArray[np.float64], unit_s: float, values: NDArray[np.float64], line_numbers: NDArray[np.int64]
) -> Stamps:
    """Check a time column of shape ``(n_rows,)`` against ``values`` of shape ``(n_rows, n)``; no stamp may be NaN."""
    if len(stamps) < 3:
        raise RecordingError(f"{where}: {len(stamps)} rows with a time; at least 3 are needed to find the rate")
    steps = np.diff(stamps)
    if (backward := np.flatnonzero(steps < 0)).size:
        line = line_numbers[backward[0] + 1]
        raise RecordingError(
            f"{where}: line {line}: time goes back; sort the rows, or give a recording of one sensor and one run"
        )
    repeated = np.concatenate([[False], steps == 0])
    same_values = np.concatenate([[True], np.all(np.diff(values, axis=0) == 0, axis=1)])
    if (coarse := np.flatnonzero(repeated & ~same_values)).size:
        line = line_numbers[coarse[0]]
        raise RecordingError(
            f"{where}: line {line} has the time of the line before but other values: the time column is too "
            "coarse; describe the file with rate_hz in place of a time column"
        )
    keep = ~repeated
    kept_s = stamps[keep] * unit_s
    kept_steps = np.diff(kept_s)
    if len(kept_steps) < 2:
        raise RecordingError(f"{where}: fewer than 3 different times; a recording needs one a sample")
    median = float(np.median(kept_steps))
    regular = kept_steps[np.abs(kept_steps - median) <= 0.1 * median]
    step = float(regular.mean())
    counts = np.rint(kept_steps / step).astype(np.int64)
    gaps = counts > 1
    time_ns = np.round((kept_s - kept_s[0]) * 1e9).astype(np.int64)
    return Stamps(time_ns, keep, 1.0 / step, int(repeated.sum()), int(gaps.sum()), int((counts[gaps] - 1).sum()))
