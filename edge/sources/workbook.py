"""A register's workbook (``.xlsx``) goes in, its sheets as rows of text come out; and the way back, for twins.

Only this file imports openpyxl, and only where a workbook is read or written: the edge runs without it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from edge.errors import DatasetError

Rows = list[list[str]]


def read_workbook(path: Path) -> dict[str, Rows]:
    """The cells of each sheet by its name, as text: numbers with a decimal point, empty cells as ``""``.

    `DatasetError` where the file is no workbook, or openpyxl is not installed.
    """
    openpyxl = _import_openpyxl(path, "read")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    # KeyError: a zip file without the parts of a workbook.
    except (BadZipFile, KeyError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DatasetError(f"{path}: this is no workbook ({error}); save it as .xlsx, or give the .csv") from error
    try:
        return {
            sheet.title: _even([[_text(cell) for cell in row] for row in sheet.values]) for sheet in book.worksheets
        }
    finally:
        book.close()


def write_workbook(path: Path, title: str, rows: Iterable[Sequence[str | float]]) -> None:
    """Write one sheet."""
    openpyxl = _import_openpyxl(path, "written")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for row in rows:
        sheet.append(row)
    book.save(path)


def _even(rows: Rows) -> Rows:
    """Rows of one length: a workbook need not store the empty cells at a row's end."""
    n_cells = max(map(len, rows), default=0)
    return [row + [""] * (n_cells - len(row)) for row in rows]


def _text(cell: object) -> str:
    if cell is None:
        return ""
    # A workbook knows no whole numbers: 3 may come as 3.0.
    return f"{cell:.12g}" if isinstance(cell, float) else str(cell)


def _import_openpyxl(path: Path, done: str) -> Any:
    try:
        import openpyxl  # noqa: PLC0415 - the edge runs without it
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"{path}: a workbook is {done} by openpyxl: pip install 'frailedge[train]', or use Database_register.csv"
        ) from error
    return openpyxl
