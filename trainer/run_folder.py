"""The folder of a run: what is done stays done, and a killed run goes on where it was.

Results of trials go in, one file each, put in place whole or not at all; they come out again by their key. A folder
belongs to one run: its identity (configuration, data, seeds) is written first, and another run is refused. One process
writes at a time; whoever only reads needs no `RunFolder` and is never kept out.
"""

import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.errors import TrainingError
from trainer.history import Epoch, History
from trainer.trial import Answers, TrialResult

IDENTITY: Final = "run.json"
LOCK: Final = ".lock"
_LOCKED_HERE: Final[set[tuple[int, int]]] = set()
"""Device and inode of each lock that this process holds."""
_SIDES: Final = ("validation", "test")


class RunFolder:
    """``identity`` is anything JSON holds that makes this run what it is; ``facts`` may change from start to start.

    `TrainingError` where the folder holds something else, another process is at it, or it cannot be written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path = path
        with _told_where_unwritable(path):
            if not (path / IDENTITY).is_file() and path.exists() and not (path.is_dir() and _is_empty(path)):
                raise TrainingError(f"{path}: exists and is no folder of a run; choose another --out")
            path.mkdir(parents=True, exist_ok=True)
            _lock(path)
            if (path / IDENTITY).is_file():
                _require_same(path, identity)
            self.write_json(IDENTITY, {"identity": identity, "facts": facts})
            for name in ("trials", "checkpoints"):
                (path / name).mkdir(exist_ok=True)

    def write(self, name: str, data: bytes) -> Path:
        """Put a file in place whole; `TrainingError` where the disk is full, and the file before stays as it was."""
        path = self.path / name
        with _told_where_unwritable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                with fresh.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(path)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise
        return path

    def write_json(self, name: str, value: Any) -> Path:
        """Put a JSON file in place."""
        return self.write(name, json.dumps(value, indent=2).encode() + b"\n")

    def checkpoint(self, key: str) -> Path:
        """Where a trial keeps its epochs until it is done."""
        return self.path / "checkpoints" / key

    def has(self, key: str) -> bool:
        """Whether a trial is done."""
        return self._trial(key).is_file()

    def save(self, result: TrialResult) -> None:
        """Keep a result; its checkpoint goes."""
        texts: dict[str, Any] = {
            name: getattr(result, name) for name in result.__dataclass_fields__ if name not in (*_SIDES, "history")
        }
        texts["history"] = None if result.history is None else asdict(result.history)
        texts["units"] = {side: getattr(result, side).unit for side in _SIDES}
        arrays = {
            f"{side}_{name}": getattr(getattr(result, side), name)
            for side in _SIDES
            for name in ("probabilities", "label_index", "person_ids")
        }
        file = io.BytesIO()
        np.savez_compressed(file, about=np.array(json.dumps(texts)), **arrays)
        self.write(str(self._trial(result.key).relative_to(self.path)), file.getvalue())
        self.checkpoint(result.key).unlink(missing_ok=True)

    def load(self, key: str) -> TrialResult:
        """A result by its key."""
        with np.load(self._trial(key), allow_pickle=False) as arrays:
            texts = json.loads(str(arrays["about"]))
            units = texts.pop("units")
            history = texts.pop("history")
            sides: dict[str, Any] = {
                side: Answers(
                    units[side], *(arrays[f"{side}_{name}"] for name in ("probabilities", "label_index", "person_ids"))
                )
                for side in _SIDES
            }
        if history is not None:
            history = History(tuple(Epoch(**epoch) for epoch in history["epochs"]), history["best_epoch"])
        return TrialResult(**texts, **sides, history=history)

    def load_all(self, keys: Iterable[str]) -> list[TrialResult]:
        """Results by their keys, in this order."""
        return [self.load(key) for key in keys]

    def _trial(self, key: str) -> Path:
        return self.path / "trials" / f"{key}.npz"


@contextmanager
def _told_where_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror}; what was finished is kept: make room and run the same "
            "command again, or choose another --out"
        ) from error


def _is_empty(path: Path) -> bool:
    """Whether nothing is in it but what a run leaves that was killed in its first moment."""
    return all(item.name.startswith((LOCK, f".{IDENTITY}.")) for item in path.iterdir())


def _lock(path: Path) -> None:
    """Keep other processes out for as long as this one lives; a second `RunFolder` of this one goes on."""
    file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    about = os.fstat(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        if (about.st_dev, about.st_ino) not in _LOCKED_HERE:
            raise TrainingError(
                f"{path}: another process is at this run; wait for it, or choose another --out"
            ) from error
    else:
        # Stays open: the lock goes with it, however the process ends. An inode in use is not given out again.
        _LOCKED_HERE.add((about.st_dev, about.st_ino))


def _require_same(path: Path, identity: dict[str, Any]) -> None:
    try:
        found = dict(json.loads((path / IDENTITY).read_text(encoding="utf-8"))["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path / IDENTITY}: damaged, nobody can tell which run this is; choose another --out, or remove {path}"
        ) from error
    # By way of JSON, where a tuple is a list.
    wanted = json.loads(json.dumps(identity))
    if found != wanted:
        differ = sorted(key for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key))
        raise TrainingError(
            f"{path}: holds another run (differs in {', '.join(differ)}); choose another --out, or remove it"
        )
