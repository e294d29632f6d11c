"""A session as files for other programs: CSV, Parquet or BIDS. Samples leave as they were recorded, none made up.

A stretch between two restarts of a sensor is a file of its own, since times on its two sides do not connect; within
one, missing samples are missing rows, and the time column tells. Nothing is ever overwritten.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import tomli_w
from numpy.typing import NDArray

from edge.bids import export_bids
from edge.errors import ConfigError, RecordingError
from edge.sources.session import Session, Track
from firmware_bridge.channels import CHANNELS

TIME_COLUMN: Final = "time_ns"
_VALUE_FORMAT: Final = "%.9g"  # as many digits as a float32 needs to come back to the bit


def export(session: Session, kind: str, out: Path) -> list[Path]:
    """Write a session into ``out``, a folder that is not there yet or empty; the files that were made.

    ``kind`` is csv, parquet or bids. `ConfigError` for another, or a folder with something in it; `RecordingError`
    where there is no sample, or no room.
    """
    if kind not in FORMATS:
        raise ConfigError(f"--to {kind}: is not known; choose {', '.join(FORMATS)}")
    if not any(track.segments() for track in session.tracks):
        raise RecordingError(f"{session.path}: holds no sample of any sensor: there is nothing to export")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: is there already; give a folder that is new or empty")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return FORMATS[kind](session, out)
    except OSError as error:
        raise RecordingError(f"{out}: the export cannot be written: {error.strerror}") from error


def _stems(session: Session, track: Track) -> list[tuple[str, slice]]:
    parts = track.segments()
    base = f"{session.info.session}_{track.sensor}"
    return [(base if len(parts) == 1 else f"{base}_{number}", part) for number, part in enumerate(parts, start=1)]


def _export_csv(session: Session, out: Path) -> list[Path]:
    """A CSV a stretch, and for each sensor the TOML file with which `frailedge replay --sensor` reads them."""
    made = []
    for track in session.tracks:
        stems = _stems(session, track)
        for stem, part in stems:
            made.append(out / f"{stem}.csv")
            columns = np.empty(part.stop - part.start, _ROW)
            columns[TIME_COLUMN] = track.time_ns[part]
            for i, name in enumerate(CHANNELS):
                columns[name] = track.samples[part, i]
            columns["saturated"] = track.saturated[part]
            np.savetxt(
                made[-1],
                columns,
                fmt=["%d", *[_VALUE_FORMAT] * len(CHANNELS), "%d"],
                delimiter=",",
                header=",".join(_ROW.names or ()),
                comments="",
            )
        if stems:
            made.append(out / f"{session.info.session}_{track.sensor}.toml")
            made[-1].write_text(tomli_w.dumps(_sensor_toml(track)), encoding="utf-8")
    return made


_ROW: Final = np.dtype([(TIME_COLUMN, "i8"), *((name, "f4") for name in CHANNELS), ("saturated", "?")])


def _sensor_toml(track: Track) -> dict[str, object]:
    return {
        "description": f"sensor {track.sensor} of a session, exported by frailedge",
        "acc_unit": "m/s^2",
        "gyr_unit": "rad/s",
        "gravity": "included",
        "frame": "foot",
        "layouts": [
            {
                "name": "session",
                "starts_with": f"{TIME_COLUMN},{CHANNELS[0]}",
                "header_lines": 1,
                "rate_hz": track.rate_hz,
                "time_column": TIME_COLUMN,
                "time_unit": "ns",
                "saturated_column": "saturated",
                "sensor": {"acc": list(CHANNELS[:3]), "gyr": list(CHANNELS[3:])},
            }
        ],
    }


def _export_parquet(session: Session, out: Path) -> list[Path]:
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    made = []
    for track in session.tracks:
        for stem, part in _stems(session, track):
            columns: dict[str, NDArray[Any]] = {TIME_COLUMN: track.time_ns[part]}
            columns |= {name: np.ascontiguousarray(track.samples[part, i]) for i, name in enumerate(CHANNELS)}
            columns["saturated"] = track.saturated[part]
            about = {"sensor": track.sensor, "rate_hz": f"{track.rate_hz:g}", "session": session.info.session}
            made.append(out / f"{stem}.parquet")
            parquet.write_table(arrow.table(columns).replace_schema_metadata(about), str(made[-1]))
    return made


def _pyarrow(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"--to parquet needs pyarrow: install frailedge[parquet], or choose csv ({error})") from error


FORMATS: Final[dict[str, Callable[[Session, Path], list[Path]]]] = {
    "csv": _export_csv,
    "parquet": _export_parquet,
    "bids": export_bids,
}
