"""What the commands that run trials share: reading a dataset aloud, and a line for each trial that runs.

The trainer is imported inside, where a command runs: the edge starts without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge.sources.gstride import Overrides

if TYPE_CHECKING:
    from trainer.datasets.dataset import Dataset
    from trainer.experiment import Hooks
    from trainer.history import Progress as Trained
    from trainer.trial import Trial, TrialResult

_BAR: Final = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def make_log() -> Console:
    """Where these commands talk: standard error, lines unbroken where it is no terminal."""
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def read_dataset(
    log: Console, folder: Path, *, kind: str | None, target: str | None, overrides: Overrides
) -> "Dataset":
    """Open a folder and say who is in it, what is wrong with it and whose recording is missing."""
    from trainer.datasets import open_dataset  # noqa: PLC0415

    with Progress(*_BAR, console=log, disable=not log.is_terminal) as bar:
        reading = bar.add_task("reading", total=None)
        dataset = open_dataset(
            folder,
            kind=kind,
            target=target,
            overrides=overrides,
            progress=lambda _, done, total: bar.update(reading, completed=done, total=total),
        )
    counts = ", ".join(f"{list(dataset.label_of.values()).count(label)} {label}" for label in dataset.labels)
    log.print(
        f"{folder}: {len(dataset.subjects)} people ({counts}), {dataset.trained_on}, labels of {dataset.register}"
    )
    for problem in dataset.problems:
        log.print(f"problem: {problem}")
    if dataset.without_recording:
        log.print(f"without a recording: {', '.join(dataset.without_recording)}")
    return dataset


@contextmanager
def trial_lines(log: Console) -> Iterator["Hooks"]:
    """Hooks of a run that show where it stands, while it runs."""
    from trainer.experiment import Hooks  # noqa: PLC0415

    columns = (*_BAR, TimeRemainingColumn(), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, console=log, disable=not log.is_terminal) as bar:
        lines = _Lines(log, bar)
        yield Hooks(
            say=log.print,
            start=lines.start,
            progress=lines.progress,
            done=lines.done,
            retry=lines.retry,
            total=lines.total,
        )


class _Lines:
    """A bar for all trials and one for each that runs; where there is no terminal, a line an epoch and a trial.

    The bar of all counts what is done of the running ones, so that the time left is told before the first is over.
    """

    def __init__(self, log: Console, bar: Progress) -> None:
        self._log, self._bar = log, bar
        self._total: TaskID | None = None
        self._n_done = 0
        self._running: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}
        self._epochs: dict[str, int] = {}

    def total(self, n_trials: int, n_done: int) -> None:
        if n_done:
            self._log.print(f"{n_done} of {n_trials} trials were done before")
        self._n_done = n_done
        self._total = self._bar.add_task("trials", total=n_trials, completed=n_done, speed="")

    def start(self, trial: "Trial") -> None:
        if trial.key not in self._running:
            self._running[trial.key] = self._bar.add_task(trial.key, total=None, speed="")

    def progress(self, trial: "Trial", at: "Trained") -> None:
        self.start(trial)
        n_windows, done = at.n_epochs * at.n_windows, (at.epoch - 1) * at.n_windows + at.windows_done
        speed = f"epoch {at.epoch} of {at.n_epochs}, {at.windows_per_s:.0f} windows/s"
        self._bar.update(self._running[trial.key], completed=done, total=n_windows, speed=speed)
        if not self._log.is_terminal and at.epoch > self._epochs.get(trial.key, 0):
            self._epochs[trial.key] = at.epoch
            self._log.print(f"{trial.key}: {speed}, at most {at.remaining_s / 60:.0f} min left")
        self._shares[trial.key] = done / n_windows
        self._update_total()

    def retry(self, trial: "Trial", why: str) -> None:
        self._shares.pop(trial.key, None)
        self._log.print(f"{trial.key}: again: {why}")

    def done(self, trial: "Trial", result: "TrialResult") -> None:
        if trial.key in self._running:
            self._bar.remove_task(self._running.pop(trial.key))
        self._shares.pop(trial.key, None)
        # The bundle's training comes after the trials and is none of them.
        if trial.fold.name != "bundle":
            self._n_done += 1
        self._update_total()
        if not self._log.is_terminal:
            self._log.print(f"{trial.key}: done in {result.duration_s:.0f} s")

    def _update_total(self) -> None:
        if self._total is not None:
            running = sum(share for key, share in self._shares.items() if not key.startswith("bundle--"))
            self._bar.update(self._total, completed=self._n_done + running)
