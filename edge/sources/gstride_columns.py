"""Which columns of a GSTRIDE table are what goes out: the six channels, a time column, a sample count; a table goes in.

By the names in the header where they say it, else by position as v1 has it: time-like columns first, if any, then six
channels, then columns that are not read.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources.conventions import TIME_UNITS_S
from edge.sources.textfile import Table

TimeUnit = Literal["s", "ms", "us", "ns"]
_PLAUSIBLE_RATES_HZ: Final = (30.0, 1000.0)
_ACC: Final = re.compile(r"(acc[a-z]*?|a|la|linear[a-z]*?)([xyz])")
_GYR: Final = re.compile(r"(gyr[a-z]*?|g|av|ang[a-z]*?|w|omega)([xyz])")
_TIME: Final = re.compile(r"(time|timestamps?|t|seconds?|sec|milliseconds?|microseconds?)[a-z]*")
_INDEX: Final = re.compile(r"(index|idx|samples?|samplenumber|counter|count|n|i|row|)")
_UNIT_WORDS: Final = {
    "g": "g",
    "m/s2": "m/s^2",
    "m/s^2": "m/s^2",
    "m/s²": "m/s^2",
    "deg/s": "deg/s",
    "°/s": "deg/s",
    "dps": "deg/s",
    "rad/s": "rad/s",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """``channels``: six column numbers from 0, acceleration first where ``order_is_certain``; units by the header."""

    channels: tuple[int, ...]
    order_is_certain: bool
    time: int | None
    time_unit: TimeUnit
    index: int | None
    acc_unit: str | None
    gyr_unit: str | None
    statements: tuple[str, ...]


def find_layout(table: Table) -> Layout:
    """The columns of a table with six columns or more; `RecordingError` where too few are left beside time."""
    names, units = _names(table)
    by_name = _channels_by_name(names)
    n_columns = table.values.shape[1]
    leading = _time_like(table.values, by_name[0] if by_name else ())
    time, time_unit, index = _sort_time(table, names, leading)
    if by_name is not None:
        acc_unit, gyr_unit = units[by_name[0][0]], units[by_name[0][3]]
        channels, certain = by_name[0], True
        statements = [f"channels by the names in the header: {', '.join(by_name[1])}"]
    else:
        start = len(leading)
        if n_columns - start < 6:
            raise RecordingError(
                f"{table.path}: {n_columns} columns, {start} of them a time or a count: six are needed beside these, "
                "acceleration and angular rate, x y z each"
            )
        channels, certain, acc_unit, gyr_unit = tuple(range(start, start + 6)), False, None, None
        statements = [f"columns {start + 1} to {start + 6} are read as the six channels"]
    unread = [i + 1 for i in range(n_columns) if i not in channels and i not in {time, index}]
    if unread:
        statements.append(f"columns not read: {', '.join(map(str, unread))}")
    return Layout(channels, certain, time, time_unit, index, acc_unit, gyr_unit, tuple(statements))


def _names(table: Table) -> tuple[list[str], list[str | None]]:
    """Names of the columns in plain letters and the units beside them; empty where the header has other columns."""
    n_columns = table.values.shape[1]
    cells = next((line for line in reversed(table.header) if len(line) == n_columns), ("",) * n_columns)
    names: list[str] = []
    units: list[str | None] = []
    for cell in cells:
        match = re.fullmatch(r"(.*?)[\s_]*[(\[]([^)\]]*)[)\]]", cell.strip().lower())
        name, unit = (match[1], match[2]) if match else (cell.lower(), "")
        names.append(re.sub(r"[^a-z]", "", name))
        units.append(_UNIT_WORDS.get(unit.strip(), unit.strip() or None))
    return names, [unit if unit in _UNIT_WORDS.values() or unit in TIME_UNITS_S else None for unit in units]


def _channels_by_name(names: list[str]) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """Acceleration x y z and rate x y z by name; None unless each stands there exactly once."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        for kind, pattern in (("acc", _ACC), ("gyr", _GYR)):
            if match := pattern.fullmatch(name):
                found.setdefault(f"{kind}_{match[2]}", []).append(i)
    wanted = [f"{kind}_{axis}" for kind in ("acc", "gyr") for axis in "xyz"]
    if any(len(found.get(name, [])) != 1 for name in wanted):
        return None
    channels = tuple(found[name][0] for name in wanted)
    return channels, tuple(names[i] for i in channels)


def _time_like(values: NDArray[np.float64], channels: tuple[int, ...]) -> tuple[int, ...]:
    """The first columns, two at most, that only ever grow: no channel of a moving foot does."""
    found: list[int] = []
    for i in range(2):
        column = values[:, i]
        column = column[~np.isnan(column)]
        # Some steps back are a damaged time column, to be refused by its line; a channel goes back half of the time.
        if i in channels or len(column) < 3 or (np.diff(column) < 0).mean() > 0.01 or column[0] == column[-1]:
            break
        found.append(i)
    return tuple(found)


def _sort_time(table: Table, names: list[str], leading: tuple[int, ...]) -> tuple[int | None, TimeUnit, int | None]:
    time: int | None = None
    time_unit: TimeUnit = "s"
    index: int | None = None
    for i in leading:
        column = table.values[:, i]
        steps = np.diff(column[~np.isnan(column)])
        step = float(np.median(steps[steps > 0]))
        if step == 1.0 and not _TIME.fullmatch(names[i]):
            index = i
            continue
        fitting: list[TimeUnit] = [
            unit
            for unit in ("s", "ms", "us", "ns")
            if _PLAUSIBLE_RATES_HZ[0] <= 1.0 / (step * TIME_UNITS_S[unit]) <= _PLAUSIBLE_RATES_HZ[1]
        ]
        if not fitting:
            raise RecordingError(
                f"{table.path}: column {i + 1} grows by {step:g} a row, which is no sample time in s, ms, us or ns; "
                "describe the file in a TOML file and give it by --sensor FILE.toml"
            )
        time, time_unit = i, fitting[0]
    if time is None and index is None and (named := [i for i, name in enumerate(names) if _TIME.fullmatch(name)]):
        raise RecordingError(
            f'{table.path}: column {named[0] + 1} is named "{names[named[0]]}" but does not grow from row to row as a '
            "time does; mend it, or describe the file in a TOML file and give it by --sensor FILE.toml"
        )
    return time, time_unit, index
