"""How the recorder is doing, as it tells the other processes: a small file beside the ring, replaced as a whole.

A `RecorderStatus` enters, and comes back in another process, or as words for the user.
"""

import contextlib
from pathlib import Path
from typing import Final

import msgspec

_STATUS_FILE: Final = "recorder.json"


class RecorderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the recording goes: ``problem`` is empty while it does; counts run since this recorder started.

    ``has_ended``: it was told to end, and has. ``n_bytes`` are on the disk, ``n_recorded`` entries with ``n_samples``.
    ``n_unrecorded`` entries, with ``n_unrecorded_samples``, were given up for want of room. ``n_overwritten`` records
    of the ring were gone before they were read, in all lives of the recorder. ``had_lives``: others recorded before.
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
    had_lives: bool = False


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


def recording_words(status: RecorderStatus | None, folder: str) -> str:
    """How the recording goes, while it does; empty where nothing is recorded."""
    if status is None:
        return ""
    done = f"{status.n_bytes / 1e6:.1f} MB in {folder}"
    return f"NOT RECORDING: {status.problem} ({done} until then)" if status.problem else f"recording: {done}"


def recorded_words(status: RecorderStatus, folder: str) -> str:
    """What the recording came to."""
    if not status.n_recorded:
        return f"NOT RECORDED: {status.problem or 'the recorder never began'}"
    lost = []
    if status.n_unrecorded:
        lost.append(f"NOT recorded: {status.n_unrecorded} entries, {status.n_unrecorded_samples} samples among them")
    if status.n_overwritten:
        lost.append(f"NOT recorded: {status.n_overwritten} records that the ring overwrote before they were read")
    if status.problem:
        lost.append(f"{'' if lost else 'NOT ALL RECORDED: '}{status.problem}")
    since = " since the recorder last started" if status.had_lives else ""
    return "; ".join([f"recorded in {folder}: {status.n_samples} samples{since}", *lost])
