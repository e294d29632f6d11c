"""Where a session's files lie and what they are called: no name of a person or sensor stands in a file's name."""

import re
import time
from pathlib import Path
from typing import Final

from edge.errors import RecordingError

SUFFIX: Final = ".mcap"
_NAME: Final = re.compile(r"(\d{8}T\d{6}Z)-(\d+)(.*)\.mcap")


def session_name(wall_s: float) -> str:
    """The name of a session that begins now: its second in UTC, such as ``20261122T224415Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_s))


def part_path(folder: Path, session: str, part: int) -> Path:
    """The file of a session's part, counted from 1."""
    return folder / f"{session}-{part}{SUFFIX}"


def next_part(folder: Path, session: str) -> int:
    """One more than the last part that is there: a recorder that died never writes on in its old file."""
    return 1 + max((_key(path)[1] for path in folder.glob(f"{session}-*{SUFFIX}")), default=0)


def session_files(path: Path) -> list[Path]:
    """The files of one session in order: ``path`` is one of them, a folder, or a folder and the session's name.

    A file is read alone; for the whole session give the folder, where it holds several the folder with the name:
    ``recordings/20261122T224415Z``. `RecordingError` where there is none, or more than one.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        files = sorted(path.parent.glob(f"{path.name}-*{SUFFIX}"), key=_key) if path.parent.is_dir() else []
        if not files:
            raise RecordingError(f"{path}: no such file, folder or session")
        return files
    files = sorted(path.glob(f"*{SUFFIX}"), key=_key)
    names = sorted({_key(file)[0] for file in files})
    if not files:
        raise RecordingError(f"{path}: holds no {SUFFIX} file: give a session that `frailedge live --record` made")
    if len(names) > 1:
        raise RecordingError(f"{path}: holds {len(names)} sessions; name one, such as {path / names[-1]}")
    return files


def _key(path: Path) -> tuple[str, int, str]:
    """Session, part and the rest, which sorts what was recovered behind the file that it came from."""
    match = _NAME.fullmatch(path.name)
    return (match[1], int(match[2]), match[3]) if match else (path.stem, 0, "")
