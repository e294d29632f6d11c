"""Independent tasks run in this process, in several, or on a cluster, with the same results in each case.

Enter: picklable tasks, a picklable function, the folder of a `trainer.store.WindowStore`. Leave: results, each handed
over as it is finished, so that whatever ends a run leaves what was done. TensorFlow is never imported here, only by
the function; and no task is told where it runs.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge.errors import ConfigError
from trainer.pool.work import Function, OnDone, OnProgress, OnRetry, OnStart, P, R, Report, Reports, T, run_one
from trainer.store import WindowStore

__all__ = ["Function", "Report", "run_all"]


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


def run_all(
    tasks: Sequence[T],
    function: Function[T, P, R],
    store: Path,
    *,
    on_done: OnDone[T, R],
    on_start: OnStart[T] = _ignore,
    on_progress: OnProgress[T, P] = _ignore,
    on_retry: OnRetry[T] = _ignore,
    workers: int = 1,
    cluster: str | None = None,
    retries: int = 2,
) -> None:
    """Run ``function(task, store, report)`` for each task; all four callbacks are called in this thread.

    ``function`` must stand at the top level of a module. What it reports reaches ``on_progress`` a few times a second,
    what it returns ``on_done``, in the order of finishing. A task whose process or node dies is run again from its
    start, up to ``retries`` times, and ``on_retry`` told why; then `TrainingError`. A `FrailedgeError` of the function
    ends the run as it is, any other exception of it as the bug that it is. ``cluster`` is the address of a Ray cluster
    (``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``) and takes the place of ``workers``.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: 1 or more")
    if cluster is not None and workers > 1:
        raise ConfigError("--workers and --cluster exclude each other: a cluster uses all of its processors")
    if len({task.key for task in tasks}) != len(tasks):
        raise ValueError("tasks need keys of their own")
    reports = Reports(on_done, on_start, on_progress, on_retry)
    if cluster is not None:
        from trainer.pool.cluster import run_on_cluster  # noqa: PLC0415 - Ray is an extra, and slow to import

        run_on_cluster(tasks, function, store, reports, cluster, retries)
    elif workers > 1 and len(tasks) > 1:
        from trainer.pool.processes import run_in_processes  # noqa: PLC0415 - as above

        run_in_processes(tasks, function, store, reports, workers, retries)
    else:
        _run_here(tasks, function, store, reports)


def _run_here(tasks: Sequence[T], function: Function[T, P, R], store: Path, reports: Reports[T, P, R]) -> None:
    windows = WindowStore.load(store)
    for task in tasks:
        reports.start(task)
        reports.done(task, run_one(function, task, windows, partial(reports.progress, task)))
