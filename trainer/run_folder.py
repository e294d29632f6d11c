"""The folder of a run: what is done stays done, and a killed run goes on where it was.

Results of trials go in, one file each, put in place whole or not at all; they come out again by their key. A folder
belongs to one run: its identity (configuration, data, seeds) is written first, and another run is refused.
"""

import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.errors import TrainingError
from trainer.history import Epoch, History
from trainer.trial import Answers, TrialResult

IDENTITY: Final = "run.json"
_SIDES: Final = ("validation", "test")


class RunFolder:
    """``identity`` is anything JSON holds that makes this run what it is; ``facts`` may change from start to start."""

    def __init__(self, path: Path, identity: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path = path
        known = path / IDENTITY
        if known.is_file():
            found = json.loads(known.read_text(encoding="utf-8")).get("identity")
            # By way of JSON, where a tuple is a list.
            wanted = json.loads(json.dumps(identity))
            if found != wanted:
                differ = sorted(key for key in wanted if (found or {}).get(key) != wanted[key])
                raise TrainingError(
                    f"{path}: holds another run (differs in {', '.join(differ)}); choose another --out, or remove it"
                )
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise TrainingError(f"{path}: exists and is no folder of a run; choose another --out")
        for name in ("trials", "checkpoints"):
            (path / name).mkdir(parents=True, exist_ok=True)
        self.write_json(IDENTITY, {"identity": identity, "facts": facts})

    def write(self, name: str, data: bytes) -> Path:
        """Put a file in place whole; `TrainingError` where the disk is full, and the file before stays as it was."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise TrainingError(
                f"{path}: cannot be written: {error.strerror}; what was finished is kept: make room and run the same "
                "command again"
            ) from error
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
