"""How far a fit is, in one file that is either whole or the one before.

Enters and leaves: `FitState`. A write goes to a neighbouring file that takes the place of the old one only once it is
on disk; a full disk, or a kill at any instant, leaves the old one.
"""

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from trainer.history import Epoch

Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class FitState:
    """All that the next epoch depends on. ``best_epoch`` is -1, and ``best`` empty, while no loss was finite."""

    identity: str
    epochs: tuple[Epoch, ...]
    best_epoch: int
    weights: Arrays
    optimiser: Arrays
    best: Arrays


def save_state(path: Path, state: FitState) -> None:
    """Replace the checkpoint at ``path``; `TrainingError` where it can't be written, and the old one stands."""
    arrays = {"identity": np.array(state.identity), "best_epoch": np.array(state.best_epoch)}
    arrays["epochs"] = np.array(
        [
            (epoch.train_accuracy, epoch.train_loss, epoch.validation_accuracy, epoch.validation_loss)
            for epoch in state.epochs
        ],
        np.float64,
    ).reshape(-1, 4)
    for name in ("weights", "optimiser", "best"):
        arrays |= {f"{name}-{index:04d}": array for index, array in enumerate(getattr(state, name))}
    content = io.BytesIO()
    np.savez(content, **arrays)
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} can't be written: {error.strerror}; make room and start again: training resumes after "
            f"{len(state.epochs) - 1} epochs"
        ) from error


def load_state(path: Path, identity: str) -> FitState | None:
    """The checkpoint at ``path``, `None` where there is none; `TrainingError` where it is of another training."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found_arrays:
            arrays = dict(found_arrays)
        found, best_epoch = str(arrays["identity"]), int(arrays["best_epoch"])
        epochs = tuple(Epoch(*row) for row in arrays["epochs"].tolist())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is no checkpoint of a training: remove it") from error
    if found != identity:
        raise TrainingError(
            f"{path} is the checkpoint of another training ({found}; this is {identity}): remove it, or choose "
            "another folder"
        )
    parts = {
        kind: tuple(arrays[name] for name in sorted(arrays) if name.startswith(f"{kind}-"))
        for kind in ("weights", "optimiser", "best")
    }
    return FitState(found, epochs, best_epoch, **parts)
