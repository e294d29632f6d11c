"""Where a session's files lie and what they are called: no name of a person or sensor stands in a file's name.

A file is ``<begin>-<run>-<part>.mcap``: the second of the session's beginning, eight random digits of its run, and the
number of the file. So two runs that begin in the same second are two sessions.
"""

import re
import stat
import time
from pathlib import Path
from typing import Final, NamedTuple

from edge.errors import RecordingError

SUFFIX: Final = ".mcap"
_NAME: Final = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{8})-(\d{1,9})((?:-recovered)*)\.mcap")


class _Name(NamedTuple):
    """Sorts what was recovered behind the file that it came from."""

    begin: str
    run_token: str
    part: int
    rest: str

    @property
    def session(self) -> str:
        return f"{self.begin}-{self.run_token}"


def session_name(wall_s: float) -> str:
    """The name of a session that begins now: its second in UTC, such as ``20261122T224415Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_s))


def part_path(folder: Path, session: str, run_token: str, part: int) -> Path:
    """The file of a session's part, counted from 1."""
    return folder / f"{session}-{run_token}-{part}{SUFFIX}"


def next_part(folder: Path, session: str, run_token: str) -> int:
    """One more than the last part that is there: a recorder that died never writes on in its old file.

    `OSError` as the disk says.
    """
    named = (_name(path.name) for path in folder.iterdir())
    return 1 + max((name.part for name in named if name and name[:2] == (session, run_token)), default=0)


def session_files(path: Path) -> list[Path]:
    """The files of one session in order: ``path`` is one of them, a folder, or a folder and the session's name.

    A file is read alone, whatever it is called; of a folder, the files count that are called as a session's. Where it
    holds several sessions, give the folder with the name: ``recordings/20261122T224415Z``, and the run's digits too
    where two began in that second. `RecordingError` where there is none, more than one, or the path cannot be read.
    """
    mode = _mode(path)
    if mode is not None and not stat.S_ISDIR(mode):
        return [path]
    folder, wanted = (path.parent, path.name) if mode is None else (path, "")
    files = sorted(
        (name, folder / entry)
        for entry in (_entries(folder) if _mode(folder) is not None else [])
        if (name := _name(entry)) is not None and wanted in {"", name.begin, name.session}
    )
    if not files and mode is None:
        raise RecordingError(f"{path}: no such file, folder or session")
    if not files:
        strays = "".join(f"; {stray} is not called as one" for stray in stray_files(path)[:1])
        raise RecordingError(
            f"{path}: holds no {SUFFIX} file of a session: give one that `frailedge live --record` made{strays}"
        )
    sessions = sorted({name.session for name, _ in files})
    if len(sessions) > 1:
        raise RecordingError(f"{path}: holds {len(sessions)} sessions; name one, such as {folder / sessions[-1]}")
    return [file for _, file in files]


def is_session(path: Path) -> bool:
    """Whether ``path`` is meant as a session: a file called like one, a folder, or a folder and a session's name.

    `RecordingError` where the path cannot be looked at.
    """
    if path.suffix == SUFFIX:
        return True
    mode = _mode(path)
    if mode is not None:
        return stat.S_ISDIR(mode)
    named = map(_name, _entries(path.parent)) if _mode(path.parent) is not None else ()
    return any(name is not None and path.name in {name.begin, name.session} for name in named)


def stray_files(path: Path) -> list[str]:
    """The names of what looks like a recording in a folder and is not called as one: nobody reads it unless named."""
    mode = _mode(path)
    if mode is None or not stat.S_ISDIR(mode):
        return []
    return sorted(entry for entry in _entries(path) if entry.endswith(SUFFIX) and _name(entry) is None)


def part_number(path: Path) -> int | None:
    """The part that a file's name tells, None where it is not called as a file of a session."""
    name = _name(path.name)
    return None if name is None else name.part


def _name(entry: str) -> _Name | None:
    match = _NAME.fullmatch(entry)
    return _Name(match[1], match[2], int(match[3]), match[4]) if match else None


def _mode(path: Path) -> int | None:
    """What lies there, None where nothing does."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error


def _entries(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise RecordingError(f"{folder}: cannot be read: {error.strerror}") from error
