"""What every way of running tasks shares: their types, and how one task is run, wherever that is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from trainer.store import WindowStore

REPORT_EVERY_S: Final = 0.25


class Task(Protocol):
    """Anything picklable with a name of its own, such as `trainer.trial.Trial`."""

    @property
    def key(self) -> str:
        """Unique among the tasks of a run."""


T = TypeVar("T", bound=Task)
P = TypeVar("P")
R = TypeVar("R")
Report = Callable[[P], object]
Function = Callable[[T, WindowStore, Report[P]], R]
OnDone = Callable[[T, R], object]
OnStart = Callable[[T], object]
OnProgress = Callable[[T, P], object]
OnRetry = Callable[[T, str], object]


@dataclass(frozen=True, slots=True)
class Reports(Generic[T, P, R]):
    """Whom to tell what; ``retry`` gets the task and why it is run again."""

    done: OnDone[T, R]
    start: OnStart[T]
    progress: OnProgress[T, P]
    retry: OnRetry[T]


def run_one(function: Function[T, P, R], task: T, store: WindowStore, report: Report[P]) -> R:
    """Run a task, telling ``report`` its first progress and then a few times a second.

    numpy and scikit-learn use one thread, everywhere: how a sum is split over threads shows in its last bits, and
    several workers would fight for the processors. What TensorFlow may use, `trainer.tf` says, for all alike.
    """
    with threadpool_limits(limits=1):
        return function(task, store, throttled(report))


def throttled(report: Report[P]) -> Report[P]:
    """``report``, without what comes less than `REPORT_EVERY_S` after what was told last."""
    next_s = 0.0

    def tell(progress: P) -> None:
        nonlocal next_s
        now_s = time.monotonic()
        if now_s >= next_s:
            next_s = now_s + REPORT_EVERY_S
            report(progress)

    return tell
