"""A text file of numbers goes in; a table of float64 comes out, with the separator, decimal sign and header found.

Nothing is guessed in silence: a row that does not fit the others is refused by its number. What the columns mean is
not known here.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError

MAX_HEADER_LINES: Final = 10
LARGEST_SAMPLE: Final = float(np.finfo(np.float32).max)
"""Samples are float32: a larger number would become infinite."""
_PROBED_LINES: Final = 50
_MISSING: Final = frozenset({"", "-", "na", "n/a", "nan", "none", "null"})
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_SEPARATOR_NAMES: Final = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "white space"}


@dataclass(frozen=True, slots=True)
class Table:
    """``values`` has shape ``(n_rows, n_columns)``, NaN where a cell is empty; ``line_numbers``, from 1, ``(n_rows,)``.

    ``too_large``, of the shape of ``values``, marks numbers that no sample can hold; their value is NaN too.
    ``header`` holds the cells of each line before the first row, ``first_line`` the file's first line as it stands.
    ``cut_off_line`` is the number of a last line that ends too early and was left out, or 0.
    """

    path: Path
    header: tuple[tuple[str, ...], ...]
    first_line: str
    values: NDArray[np.float64]
    too_large: NDArray[np.bool_]
    line_numbers: NDArray[np.int64]
    separator: str
    decimal: str
    cut_off_line: int = 0

    def describe(self) -> str:
        """What was found, in words."""
        header = f"{len(self.header)} header line{'s' * (len(self.header) != 1)}" if self.header else "no header"
        sign = "decimal comma" if self.decimal == "," else "decimal point"
        return f"{self.values.shape[1]} columns, {header}, separated by {_SEPARATOR_NAMES[self.separator]}, {sign}"


def read_table(path: Path) -> Table:
    """Read a table of numbers; `RecordingError` names the file, the line, what is wrong and what to do."""
    lines = _decode(path).splitlines()
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        raise RecordingError(f"{path}: the file is empty; give a recording with one row a sample")
    first = _first_row(path, lines, filled)
    body = [i for i in filled if i >= first]
    probe = [lines[i].strip() for i in body[:_PROBED_LINES]]
    separator = _find_separator(probe)
    decimal = _find_decimal(path, lines, body, separator)
    header = tuple(tuple(_split(lines[i], separator)) for i in filled if i < first)
    rows = [lines[i].strip(" \r\n") for i in body]
    if separator != " " and all(row.endswith(separator) for row in rows):
        rows = [row[:-1] for row in rows]
    line_numbers = np.asarray(body, dtype=np.int64) + 1
    values, cut_off = _parse(path, rows, line_numbers, separator, decimal)
    if cut_off:
        line_numbers = line_numbers[:-1]
    n_header = max((len(cells) for cells in header), default=0)
    if separator == "," and n_header and values.shape[1] == 2 * n_header:
        raise RecordingError(
            f"{path}: line {line_numbers[0]}: {values.shape[1]} cells under {n_header} names: commas are both "
            "separator and decimal sign; export it again with another separator"
        )
    too_large = np.abs(values) > LARGEST_SAMPLE
    values[too_large] = np.nan
    return Table(path, header, lines[filled[0]], values, too_large, line_numbers, separator, decimal, cut_off)


def _decode(path: Path) -> str:
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    if path.is_dir():
        raise RecordingError(f"{path}: this is a folder; name a recording in it")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise RecordingError(f"{path}: this is no text file; give a recording as text with one row a sample")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _is_value(cell: str) -> bool:
    return cell.strip().strip('"').lower() in _MISSING or _NUMBER.fullmatch(cell.strip().strip('"')) is not None


def _first_row(path: Path, lines: list[str], filled: list[int]) -> int:
    """The index of the first line that holds nothing but numbers and marks of missing ones."""
    for i in filled[: MAX_HEADER_LINES + 1]:
        cells = [cell for cell in re.split(r'[;\t, "]+', lines[i].strip()) if cell]
        if cells and all(_is_value(cell) for cell in cells):
            return i
    raise RecordingError(
        f"{path}: no row of numbers in the first {min(len(filled), MAX_HEADER_LINES + 1)} lines "
        f'(the first: "{shorten(lines[filled[0]])}"); this is no recording: one row of numbers a sample is needed'
    )


def _find_separator(rows: list[str]) -> str:
    for separator in ";\t":
        if any(separator in row for row in rows):
            return separator
    if not any("," in row for row in rows):
        return " "
    # "1,5 2,5" has decimal commas between blanks; "1.5, 2.5" and "1,2" have commas between numbers.
    blank_between = all(re.search(r"[^,\s]\s+[^,\s]", row) for row in rows)
    return " " if blank_between else ","


def _find_decimal(path: Path, lines: list[str], body: list[int], separator: str) -> str:
    if separator == ",":
        quoted_comma = any(re.search(r'"[^",]*,[^",]*"', lines[i]) for i in body[:_PROBED_LINES])
        return "," if quoted_comma else "."
    comma = next((i for i in body if "," in lines[i]), None)
    point = next((i for i in body if "." in lines[i]), None)
    if comma is not None and point is not None:
        later, sign = (comma, "comma") if comma > point else (point, "point")
        where = (
            "both a decimal point and a decimal comma"
            if comma == point
            else f"a decimal {sign}, unlike the lines before"
        )
        raise RecordingError(f"{path}: line {later + 1} has {where}; write the whole file with one decimal sign")
    return "." if comma is None else ","


def _split(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
    return [cell.strip() for cell in line.strip(" \r\n").split(separator)]


def _parse(
    path: Path, rows: list[str], line_numbers: NDArray[np.int64], separator: str, decimal: str
) -> tuple[NDArray[np.float64], int]:
    """Values and the number of a cut-off last line (or 0). The fast way first; what it cannot read, cell by cell."""
    text: Iterable[str] = rows if decimal == "." else (row.replace(",", ".") for row in rows)
    if not (separator == "," and decimal == ","):
        try:
            delimiter = None if separator == " " else separator
            table = np.loadtxt(text, delimiter=delimiter, comments=None, ndmin=2, dtype=np.float64)
            return table, 0
        except ValueError:
            pass  # the cell-by-cell reader below finds the line, or the marks of missing values
    n_columns = len(_split(rows[0], separator))
    values = np.empty((len(rows), n_columns))
    for i, row in enumerate(rows):
        cells = _split(row, separator)
        if len(cells) != n_columns:
            if i == len(rows) - 1 and len(cells) < n_columns:
                return values[:-1], int(line_numbers[i])
            todo = "are points and commas mixed as decimal signs?" if separator == "," else "mend or remove that line"
            raise RecordingError(
                f"{path}: line {line_numbers[i]} has {len(cells)} cells, the lines before have {n_columns}; {todo}"
            )
        for j, cell in enumerate(cells):
            if cell.lower() in _MISSING:
                values[i, j] = np.nan
            elif _NUMBER.fullmatch(cell):
                values[i, j] = float(cell.replace(",", "."))
            else:
                raise RecordingError(
                    f'{path}: line {line_numbers[i]}, column {j + 1}: "{shorten(cell)}" is no number; mend that line'
                )
    return values, 0


def shorten(text: str, limit: int = 60) -> str:
    """The start of a text, safe to print in a line."""
    clean = "".join(c if c.isprintable() else " " for c in text.strip())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
