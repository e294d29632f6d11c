"""A session as files for other programs: CSV, Parquet or BIDS. Samples leave as they were recorded, none made up.

A stretch between two restarts of a sensor is a file of its own, since times on its two sides do not connect; within
one, missing samples are missing rows, and the time column tells. The session is read and written a file of it at a
time. Nothing is ever overwritten, and an export that fails leaves nothing behind.
"""

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
import tomli_w
from numpy.typing import NDArray

from edge.bids import BidsWriter
from edge.errors import ConfigError, RecordingError
from edge.recording.entries import SessionInfo
from edge.sources.session import Piece, read_pieces
from edge.sources.session_reader import SessionReader
from firmware_bridge.channels import CHANNELS

TIME_COLUMN: Final = "time_ns"
SATURATED_COLUMN: Final = "saturated"
_VALUE_FORMAT: Final = "%.9g"  # as many digits as a float32 needs to come back to the bit
_ROW: Final = np.dtype([(TIME_COLUMN, "i8"), *((name, "f4") for name in CHANNELS), (SATURATED_COLUMN, "?")])


class Writer(Protocol):
    """Takes the pieces of a session in their order, then writes what can be said only at the end."""

    def add(self, piece: Piece) -> None:
        """Append a piece to its stretch."""

    def finish(self) -> None:
        """All pieces were added; there was one at least."""


@dataclass(frozen=True, slots=True)
class Exported:
    """``files`` that were made; ``losses`` of the session, in lines for the user."""

    files: tuple[Path, ...]
    losses: tuple[str, ...]


def export(path: Path, kind: str, out: Path) -> Exported:
    """Write a session (`edge.recording.files.session_files`) into ``out``, a folder that is not there yet or empty.

    ``kind`` is csv, parquet or bids. As in a recording, only the user may read the files. `ConfigError` for another
    kind, or a folder with something in it; `RecordingError` where the session cannot be read, there is no sample, or no
    room.
    """
    if kind not in FORMATS:
        raise ConfigError(f"--to {kind}: is not known; choose {', '.join(FORMATS)}")
    reader = SessionReader(path)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"--out {out}: is there already; give a folder that is new or empty")
        with _in_place(out), tempfile.TemporaryDirectory(prefix=".export.", dir=out) as workplace:
            writer: Writer | None = None
            for piece in read_pieces(reader):
                writer = writer or FORMATS[kind](Path(workplace), reader.info)
                writer.add(piece)
            if writer is None:
                raise RecordingError(f"{path}: holds no sample of any sensor: there is nothing to export")
            writer.finish()
            return Exported(_moved(Path(workplace), out), reader.losses)
    except OSError as error:
        raise RecordingError(f"{out}: the export cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _in_place(out: Path) -> Iterator[None]:
    """``out`` and the folders above it are there; where the work fails, those that were made for it go again."""
    made: list[Path] = []
    try:
        for folder in reversed((out, *out.parents)):
            if folder.exists():
                continue
            try:
                folder.mkdir(mode=0o700 if folder == out else 0o777)
            except FileExistsError:  # somebody else made it meanwhile
                if not folder.is_dir():
                    raise
            else:
                made.append(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody else put something in
            for folder in reversed(made):
                folder.rmdir()
        raise


def _moved(workplace: Path, out: Path) -> tuple[Path, ...]:
    """Everything in its place, the parts of the whole only now; in the order of their names."""
    files = sorted(path.relative_to(workplace) for path in workplace.rglob("*") if path.is_file())
    for file in files:
        (workplace / file).chmod(0o600)
    for entry in sorted(workplace.iterdir()):
        entry.rename(out / entry.name)
    return tuple(out / file for file in files)


def _stem(info: SessionInfo, piece: Piece) -> str:
    return f"{info.session}_{piece.sensor.name}_{piece.stretch}"


class CsvWriter:
    """A CSV a stretch, and for each sensor the TOML file with which `frailedge replay --sensor` reads them."""

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        self._folder, self._info = folder, info
        self._rate_hz: dict[str, float] = {}

    def add(self, piece: Piece) -> None:
        """Rows at the end of the stretch's file."""
        columns = np.empty(len(piece.time_ns), _ROW)
        columns[TIME_COLUMN] = piece.time_ns
        for i, name in enumerate(CHANNELS):
            columns[name] = piece.samples[:, i]
        columns[SATURATED_COLUMN] = piece.saturated
        with (self._folder / f"{_stem(self._info, piece)}.csv").open("a", encoding="ascii") as file:
            if file.tell() == 0:
                file.write(",".join(_ROW.names or ()) + "\n")
            np.savetxt(file, columns, fmt=["%d", *[_VALUE_FORMAT] * len(CHANNELS), "%d"], delimiter=",")
        self._rate_hz[piece.sensor.name] = piece.rate_hz

    def finish(self) -> None:
        """The descriptions."""
        for sensor, rate_hz in self._rate_hz.items():
            path = self._folder / f"{self._info.session}_{sensor}.toml"
            path.write_text(tomli_w.dumps(_description(sensor, rate_hz)), encoding="utf-8")


def _description(sensor: str, rate_hz: float) -> dict[str, object]:
    """``rate_hz`` 0 is not known: then the time column tells."""
    return {
        "description": f"sensor {sensor} of a session, exported by frailedge",
        "acc_unit": "m/s^2",
        "gyr_unit": "rad/s",
        "gravity": "included",
        "frame": "foot",
        "layouts": [
            {
                "name": "session",
                "starts_with": f"{TIME_COLUMN},{CHANNELS[0]}",
                "header_lines": 1,
                **({"rate_hz": rate_hz} if rate_hz else {}),
                "time_column": TIME_COLUMN,
                "time_unit": "ns",
                "saturated_column": SATURATED_COLUMN,
                "sensor": {"acc": list(CHANNELS[:3]), "gyr": list(CHANNELS[3:])},
            }
        ],
    }


class ParquetWriter:
    """A Parquet file a stretch; needs pyarrow."""

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        self._folder, self._info = folder, info
        self._arrow, self._parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
        self._open: dict[str, tuple[int, Any]] = {}

    def add(self, piece: Piece) -> None:
        """Rows at the end of the stretch's file."""
        columns: dict[str, NDArray[Any]] = {TIME_COLUMN: piece.time_ns}
        columns |= {name: np.ascontiguousarray(piece.samples[:, i]) for i, name in enumerate(CHANNELS)}
        columns[SATURATED_COLUMN] = piece.saturated
        about = {"sensor": piece.sensor.name, "rate_hz": f"{piece.rate_hz:g}", "session": self._info.session}
        table = self._arrow.table(columns).replace_schema_metadata(about)
        stretch, file = self._open.get(piece.sensor.name, (0, None))
        if stretch != piece.stretch:
            if file is not None:
                file.close()
            file = self._parquet.ParquetWriter(str(self._folder / f"{_stem(self._info, piece)}.parquet"), table.schema)
            self._open[piece.sensor.name] = piece.stretch, file
        file.write_table(table)

    def finish(self) -> None:
        """The files' footers."""
        for _, file in self._open.values():
            file.close()


def _pyarrow(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"--to parquet needs pyarrow: install frailedge[parquet], or choose csv ({error})") from error


FORMATS: Final[dict[str, Callable[[Path, SessionInfo], Writer]]] = {
    "csv": CsvWriter,
    "parquet": ParquetWriter,
    "bids": BidsWriter,
}
