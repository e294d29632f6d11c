"""A session as a BIDS dataset of the motion modality (BIDS 1.10, "Motion").

A sensor is a tracking system, a stretch between restarts a run. The ``LATENCY`` column holds the time of each sample
since the first, so that missing samples need no made-up rows.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge import __version__
from edge.errors import RecordingError
from edge.sources.session import Session, Track
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS

BIDS_VERSION: Final = "1.10.0"
TASK: Final = "walk"
_NOBODY: Final = "unknown"


def export_bids(session: Session, out: Path) -> list[Path]:
    """Write the dataset into the empty folder ``out``; the files that were made."""
    person = f"sub-{session.info.person or _NOBODY}"
    folder = out / person / "motion"
    folder.mkdir(parents=True)
    made = [
        _write_json(out / "dataset_description.json", _description()),
        _write(out / "README.md", _README),
    ]
    scans = ["filename\tacq_time"]
    labels = _labels(session)
    for track in session.tracks:
        parts = track.segments()
        for number, part in enumerate(parts, start=1):
            run = f"_run-{number}" if len(parts) > 1 else ""
            stem = f"{person}_task-{TASK}_tracksys-{labels[track.sensor]}{run}"
            motion = folder / f"{stem}_motion.tsv"
            _write_samples(motion, track, part)
            made += [
                motion,
                _write_json(folder / f"{stem}_motion.json", _sidecar(track, part)),
                _write(folder / f"{stem}_channels.tsv", _channels(track)),
                _write_json(folder / f"{stem}_channels.json", _REFERENCE_FRAME),
            ]
            scans.append(f"motion/{motion.name}\t{_began(session, track, part)}")
    made.append(_write(out / person / f"{person}_scans.tsv", "\n".join(scans) + "\n"))
    return made


def _labels(session: Session) -> dict[str, str]:
    """BIDS allows letters and digits only."""
    labels = {track.sensor: re.sub(r"[^A-Za-z0-9]", "", track.sensor) for track in session.tracks}
    if len(set(labels.values())) < len(labels):
        raise RecordingError(
            f"{session.path}: the sensors {', '.join(labels)} have the same name once all but letters and digits is "
            "left out, as BIDS asks: export csv"
        )
    return labels


def _write_samples(path: Path, track: Track, part: slice) -> None:
    """No header, as BIDS has it; a row a sample."""
    latency_s = (track.time_ns[part] - track.time_ns[part.start]) / 1e9
    table = np.column_stack([latency_s, track.samples[part].astype(np.float64)])
    np.savetxt(path, table, fmt=["%.9f", *["%.9g"] * len(CHANNELS)], delimiter="\t")


def _began(session: Session, track: Track, part: slice) -> str:
    received_ns = next(step.received_ns for step in track.steps if step.kind == "push" and step.begin == part.start)
    wall_s = (received_ns + session.info.wall_minus_monotonic_ns) / 1e9
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sidecar(track: Track, part: slice) -> dict[str, Any]:
    n_samples = part.stop - part.start
    duration_s = float(track.time_ns[part.stop - 1] - track.time_ns[part.start]) / 1e9
    return {
        "TaskName": TASK,
        "TaskDescription": "Walking with an inertial sensor on the foot.",
        "TrackingSystemName": track.sensor,
        "SamplingFrequency": track.rate_hz,
        "SamplingFrequencyEffective": (n_samples - 1) / duration_s if n_samples > 1 else track.rate_hz,
        "RecordingDuration": duration_s,
        "MotionChannelCount": len(CHANNELS),
        "ACCELChannelCount": 3,
        "GYROChannelCount": 3,
        "LATENCYChannelCount": 1,
        "TrackedPointsCount": 1,
        "MissingValues": "no row",
        **({"ManufacturersModelName": track.kind} if track.kind else {}),
    }


def _channels(track: Track) -> str:
    rows = ["name\tcomponent\ttype\ttracked_point\tunits\treference_frame"]
    rows.append(f"latency\tn/a\tLATENCY\t{track.sensor}\ts\tn/a")
    for name, unit in zip(CHANNELS, CHANNEL_UNITS, strict=True):
        kind = "ACCEL" if name.startswith("acc") else "GYRO"
        rows.append(f"{name}\t{name[-1]}\t{kind}\t{track.sensor}\t{unit}\tfoot")
    return "\n".join(rows) + "\n"


_REFERENCE_FRAME: Final = {
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


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _write_json(path: Path, content: dict[str, Any]) -> Path:
    return _write(path, json.dumps(content, indent=2) + "\n")
