"""How the recorder is doing, as it tells the other processes: a small file beside the ring, replaced as a whole.

A `RecorderStatus` enters, and comes back in another process, or as words for the user. The recorder tells it again and
again while nothing changes: a disk that stalls holds it in the middle of a write, where only its silence tells.
"""

import contextlib
import math
import time
from pathlib import Path
from typing import Final

import msgspec

TELL_EVERY_S: Final = 1.0
"""The recorder tells how it does so often at least."""
SILENT_AFTER_S: Final = 5.0
"""A recorder that told nothing for so long hangs: a slow card takes a second for one write, on a busy Pi more."""
STARTS_WITHIN_S: Final = 20.0
"""Before it tells for the first time it imports, and checks the bundle: a Pi under load may take over five."""
_STATUS_FILE: Final = "recorder.json"


class RecorderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the recording goes: ``problem`` is empty while it does; counts run since this recorder started.

    ``has_ended``: it was told to end, and has. ``n_bytes`` are on the disk, with those of the run's earlier recorders;
    ``n_recorded`` entries with ``n_samples``. ``n_unrecorded`` entries, with ``n_unrecorded_samples``, were given up
    for want of room. ``n_overwritten`` records of the ring were gone before they were read, in all lives of the
    recorder. ``had_lives``: others recorded before. ``told_ns``: when `write_status` left it, of the monotonic clock,
    which all processes of a machine share and nobody sets.
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
    told_ns: int = 0


def write_status(ring: Path, status: RecorderStatus) -> None:
    """Leave the status in the run's folder, with the time, whole or not at all."""
    status = msgspec.structs.replace(status, told_ns=time.monotonic_ns())
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


def silent_s(told_ns: int, started_ns: int, now_ns: int) -> float:
    """For how long a recorder that runs has not answered; 0 where that is no longer than one may take.

    ``told_ns`` of the last status, ``started_ns`` of the process, which has told nothing where that is the later.
    """
    is_starting = told_ns < started_ns
    age_s = (now_ns - max(told_ns, started_ns)) / 1e9
    return age_s if age_s >= (STARTS_WITHIN_S if is_starting else SILENT_AFTER_S) else 0.0


def unended_words(status: RecorderStatus, now_ns: int) -> str:
    """What may be missing where a recorder did not get to its end; it told after each commit, so all since then."""
    missing_s = math.ceil((now_ns - status.told_ns) / 1e9)
    # One that committed nothing left in the ring what came before it started, too.
    missing = f"the last {missing_s} s may be missing" if status.n_recorded else "it had recorded nothing yet"
    return f"the recorder did not get to its end: {missing}"


def recording_words(status: RecorderStatus | None, folder: str) -> str:
    """How the recording goes, while it does; empty where nothing is recorded."""
    if status is None:
        return ""
    done = f"{status.n_bytes / 1e6:.1f} MB in {folder}"
    return f"NOT RECORDING: {status.problem} ({done} until then)" if status.problem else f"recording: {done}"


def recorded_words(status: RecorderStatus, folder: str) -> str:
    """What the recording came to."""
    if not status.had_lives and not status.n_recorded:
        return f"NOT RECORDED: {status.problem or 'the recorder never began'}"
    lost = []
    if status.n_unrecorded:
        lost.append(f"NOT recorded: {status.n_unrecorded} entries, {status.n_unrecorded_samples} samples among them")
    if status.n_overwritten:
        lost.append(f"NOT recorded: {status.n_overwritten} records that the ring overwrote before they were read")
    if status.problem:
        lost.append(f"{'' if lost else 'NOT ALL RECORDED: '}{status.problem}")
    since = " since the recorder last started" if status.had_lives else ""
    size = f"{status.n_bytes / 1e6:.1f} MB, {status.n_samples} samples"
    return "; ".join([f"recorded in {folder}: {size}{since}", *lost])
