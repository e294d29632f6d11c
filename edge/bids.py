"""A session as a BIDS dataset of the motion modality (BIDS 1.10, "Motion").

Pieces of samples enter, files leave. A sensor is a tracking system, a stretch between restarts a run, the recording a
session named by when it began. The ``LATENCY`` column holds the time of each sample since the first of its run, so that
missing samples need no made-up rows.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge import __version__
from edge.errors import RecordingError
from edge.recording.entries import DESCRIBED, SessionInfo
from edge.sources.session import Piece
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS

BIDS_VERSION: Final = "1.10.0"
TASK: Final = "walk"
SATURATED: Final = "saturated"
_NOBODY: Final = "unknown"


@dataclass(frozen=True, slots=True)
class _Run:
    """One stretch as far as it was written."""

    first: Piece
    last_ns: int
    n_samples: int
    rate_hz: float


class BidsWriter:
    """Writes the dataset into an empty folder: samples as they come, what describes them in the end."""

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        self._folder, self._info = folder, info
        person, session = f"sub-{info.person or _NOBODY}", f"ses-{info.session}"
        self._prefix = f"{person}_{session}"
        self._session_folder = folder / person / session
        self._labels = _labels(info)
        self._runs: dict[str, _Run] = {}

    def add(self, piece: Piece) -> None:
        """Rows at the end of the run's table, which has no header, as BIDS has it."""
        stem = f"{self._prefix}_task-{TASK}_tracksys-{self._labels[piece.sensor.name]}_run-{piece.stretch}"
        before = self._runs.get(stem)
        run = self._runs[stem] = _Run(
            first=_without_samples(piece) if before is None else before.first,
            last_ns=int(piece.time_ns[-1]),
            n_samples=len(piece.time_ns) + (0 if before is None else before.n_samples),
            rate_hz=piece.rate_hz,
        )
        latency_s = (piece.time_ns - run.first.time_ns[0]) / 1e9
        table = np.column_stack([latency_s, piece.samples.astype(np.float64), piece.saturated])
        folder = self._session_folder / "motion"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{stem}_motion.tsv").open("a", encoding="ascii") as file:
            np.savetxt(file, table, fmt=["%.9f", *["%.9g"] * len(CHANNELS), "%d"], delimiter="\t")

    def finish(self) -> None:
        """What describes the dataset, and each run."""
        _write_json(self._folder / "dataset_description.json", _description())
        _write(self._folder / "README.md", _README)
        folder = self._session_folder
        scans = ["filename\tacq_time"]
        for stem, run in self._runs.items():
            _write_json(folder / "motion" / f"{stem}_motion.json", _sidecar(run))
            _write(folder / "motion" / f"{stem}_channels.tsv", _channels(run.first.sensor.name))
            _write_json(folder / "motion" / f"{stem}_channels.json", _COLUMNS)
            scans.append(f"motion/{stem}_motion.tsv\t{_wall_time(self._info, run.first.taken_ns)}")
        _write(folder / f"{self._prefix}_scans.tsv", "\n".join(scans) + "\n")


def _without_samples(piece: Piece) -> Piece:
    """Its first sample: what it is about, and no view that would keep the others."""
    return Piece(
        piece.sensor,
        piece.stretch,
        piece.taken_ns,
        piece.rate_hz,
        piece.time_ns[:1].copy(),
        piece.samples[:1].copy(),
        piece.saturated[:1].copy(),
    )


def _labels(info: SessionInfo) -> dict[str, str]:
    """BIDS allows letters and digits only."""
    labels = {sensor.name: re.sub(r"[^A-Za-z0-9]", "", sensor.name) for sensor in info.sensors}
    if len(set(labels.values())) < len(labels):
        raise RecordingError(
            f"session {info.session}: the sensors {', '.join(labels)} have the same name once all but letters and "
            "digits is left out, as BIDS asks: export csv"
        )
    return labels


def _wall_time(info: SessionInfo, monotonic_ns: int) -> str:
    wall_s = (monotonic_ns + info.wall_minus_monotonic_ns) / 1e9
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sidecar(run: _Run) -> dict[str, Any]:
    duration_s = (run.last_ns - int(run.first.time_ns[0])) / 1e9
    sensor = run.first.sensor
    return {
        "TaskName": TASK,
        "TaskDescription": "Walking with an inertial sensor on the foot.",
        "TrackingSystemName": sensor.name,
        "SamplingFrequency": run.rate_hz,
        "SamplingFrequencyEffective": (run.n_samples - 1) / duration_s if run.n_samples > 1 else run.rate_hz,
        "RecordingDuration": duration_s,
        "MotionChannelCount": len(CHANNELS),
        "ACCELChannelCount": 3,
        "GYROChannelCount": 3,
        "LATENCYChannelCount": 1,
        "MISCChannelCount": 1,
        "TrackedPointsCount": 1,
        "MissingValues": "no row",
        **({"ManufacturersModelName": sensor.kind} if sensor.kind not in {"", DESCRIBED} else {}),
    }


def _channels(sensor: str) -> str:
    rows = ["name\tcomponent\ttype\ttracked_point\tunits\treference_frame\tdescription"]
    rows.append(f"latency\tn/a\tLATENCY\t{sensor}\ts\tn/a\ttime since the first sample of the run")
    for name, unit in zip(CHANNELS, CHANNEL_UNITS, strict=True):
        kind, what = ("ACCEL", "acceleration with gravity") if name.startswith("acc") else ("GYRO", "angular rate")
        rows.append(f"{name}\t{name[-1]}\t{kind}\t{sensor}\t{unit}\tfoot\t{what}")
    rows.append(f"{SATURATED}\tn/a\tMISC\t{sensor}\tn/a\tn/a\t1 where a value was at the sensor's limit, else 0")
    return "\n".join(rows) + "\n"


_COLUMNS: Final = {
    "reference_frame": {
        "Description": "The frame of the axes.",
        "Levels": {
            "foot": {
                "SpatialAxes": "ALS",
                "RotationRule": "right-hand",
                "RotationOrder": "XYZ",
                "Description": "Fixed to the foot: x to the toe, y to the left, z up when the foot stands flat.",
            }
        },
    }
}
_README: Final = """# A session of frailedge

Acceleration (with gravity) and angular rate of a sensor on the foot, as recorded, before any processing. Rows are
missing where samples were lost; the latency column tells. Research use only; no medical device.
"""


def _description() -> dict[str, Any]:
    return {
        "Name": "frailedge session",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "frailedge", "Version": __version__}],
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, indent=2) + "\n")
