"""Tasks for the pool: cheap, of numpy alone, and one that does to its own process what a test asks for."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import DatasetError
from trainer.pool import Report
from trainer.store import WindowStore

DOOMED_NODE: Final = "FRAILEDGE_TEST_DOOMED_NODE"
"""Set in the environment of a node on which no task ends."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Adds up windows drawn from ``seed``. ``once`` is a file that the first attempt makes before it dies."""

    seed: int
    ending: Literal["result", "refused", "bug", "killed", "never"] = "result"
    once: Path | None = None

    @property
    def key(self) -> str:
        return f"sum-{self.seed}"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a task is, and in which process."""

    step: int
    pid: int
    is_doomed: bool


def small_store(n_windows: int = 40) -> WindowStore:
    """Two people, a walk each, noise."""
    n_samples = 200 + 50 * (n_windows - 1)
    half = n_windows // 2
    return WindowStore(
        labels=("slow", "fast"),
        subject_ids=("A", "B"),
        walk_names=("A1", "B1"),
        walk_devices=("one", "two"),
        subject_traits=({}, {"site": "here"}),
        gravity="included",
        rate_hz=104.0,
        window_samples=200,
        samples=np.random.default_rng(0).normal(size=(n_samples, 6)).astype(np.float32),
        start=np.arange(n_windows, dtype=np.int64) * 50,
        walk=np.repeat([0, 1], [half, n_windows - half]),
        piece_start=np.array([0, 50 * half]),
        piece_stop=np.array([50 * half, n_samples]),
        piece_walk=np.array([0, 1]),
        walk_subject=np.array([0, 1]),
        label_index=np.array([0, 1]),
    )


def add_up(task: Sum, store: WindowStore, report: Report[Step]) -> NDArray[np.float64]:
    """A sum whose last bits depend on the order of adding, ``(6,)``; or the task's other ending."""
    is_doomed = DOOMED_NODE in os.environ
    report(Step(0, os.getpid(), is_doomed))
    if task.ending == "refused":
        raise DatasetError(f"{task.key} cannot be")
    if task.ending == "bug":
        raise ZeroDivisionError(task.key)
    if task.ending == "never" or is_doomed:
        threading.Event().wait()
    if task.ending == "killed" and (task.once is None or not task.once.exists()):
        if task.once is not None:
            task.once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    chosen = np.random.default_rng(task.seed).choice(len(store), 10, replace=False)
    raw = store.raw(chosen).reshape(-1, 6).astype(np.float64)
    return np.asarray((raw.T @ raw).sum(axis=1))
