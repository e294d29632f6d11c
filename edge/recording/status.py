"""How the recorder is doing, as it tells the other processes: a small file beside the ring, replaced as a whole."""

import contextlib
from pathlib import Path
from typing import Final

import msgspec

_STATUS_FILE: Final = "recorder.json"


class RecorderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the recording goes: ``problem`` is empty while it does; counts run since this recorder started.

    ``has_ended``: it was told to end, and has. ``n_bytes`` are on the disk, ``n_recorded`` entries with ``n_samples``.
    ``n_unrecorded`` entries, with ``n_unrecorded_samples``, were given up for want of room. ``n_overwritten`` records
    of the ring were gone before they were read, in all lives of the recorder.
    """

    file: str = ""
    problem: str = ""
    has_ended: bool = False
    n_bytes: int = 0
    n_recorded: int = 0
    n_samples: int = 0
    n_unrecorded: int = 0
    n_unrecorded_samples: int = 0
    n_overwritten: int = 0


def write_status(ring: Path, status: RecorderStatus) -> None:
    """Leave the status in the run's folder, whole or not at all."""
    path = ring.with_name(_STATUS_FILE)
    made = path.with_suffix(".new")
    with contextlib.suppress(OSError):  # no room there either: then the one before stands, and its age tells
        made.write_bytes(msgspec.json.encode(status))
        made.replace(path)


def read_status(ring: Path) -> RecorderStatus | None:
    """How the recorder of a ring's run is doing; None before it has said so."""
    try:
        return msgspec.json.decode(ring.with_name(_STATUS_FILE).read_bytes(), type=RecorderStatus)
    except FileNotFoundError:
        return None
