"""Tasks in processes of this machine: fresh interpreters that share nothing but the pages of the mapped store.

A worker asks for work, is given a task, tells of its progress and answers with the result, all over a pipe of its own.
When this process ends, however it ends, its workers end.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final, Generic

from edge.errors import FrailedgeError, TrainingError
from trainer.pool.work import Function, P, R, Reports, T, run_one
from trainer.store import WindowStore

_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class _Ready:
    """The worker has loaded and wants its first task."""


@dataclass(frozen=True, slots=True)
class _Progress:
    progress: Any


@dataclass(frozen=True, slots=True)
class _Done:
    result: Any


@dataclass(frozen=True, slots=True)
class _Refused:
    error: FrailedgeError


@dataclass(slots=True)
class _Worker(Generic[T]):
    process: SpawnProcess
    pipe: "connection.Connection[Any, Any]"
    task: T


def run_in_processes(
    tasks: Sequence[T],
    function: Function[T, P, R],
    store: Path,
    reports: Reports[T, P, R],
    n_workers: int,
    retries: int,
) -> None:
    """See `trainer.pool.run_all`."""
    waiting = deque(tasks)
    n_deaths: Counter[str] = Counter()
    workers: list[_Worker[T]] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < n_workers:
                workers.append(_start(waiting.popleft(), function, store))
            with_news = connection.wait([worker.pipe for worker in workers])
            for worker in [worker for worker in workers if worker.pipe in with_news]:
                match _receive(worker):
                    case _Ready():
                        _give(worker, worker.task, reports)
                    case _Progress(progress):
                        reports.progress(worker.task, progress)
                    case _Done(result):
                        reports.done(worker.task, result)
                        if waiting:
                            _give(worker, waiting.popleft(), reports)
                        else:
                            _end(worker)
                            workers.remove(worker)
                    case _Refused(error):
                        raise error
                    case None:
                        _end(worker)
                        workers.remove(worker)
                        why = _cause_of_death(worker)
                        n_deaths[worker.task.key] += 1
                        if n_deaths[worker.task.key] > retries:
                            raise TrainingError(
                                f"trial {worker.task.key}: its process died {n_deaths[worker.task.key]} times, at last "
                                f"{why}: if memory is short, ask for fewer workers"
                            )
                        reports.retry(worker.task, f"its process died {why}")
                        waiting.appendleft(worker.task)
    finally:
        for worker in workers:
            _end(worker)


def _start(task: T, function: Function[T, P, R], store: Path) -> _Worker[T]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, function, store), name="frailedge worker")
    # Ctrl-C reaches every process of a terminal. A worker that starts with it blocked never sees it, not even while it
    # loads, and leaves the end to this process. (Starting the tracker would unblock it again, so that comes first.)
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours, task)


def _receive(worker: _Worker[T]) -> Any:
    """The next message; None where the process is dead, also in the middle of a message."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        return None


def _give(worker: _Worker[T], task: T, reports: Reports[T, P, R]) -> None:
    worker.task = task
    reports.start(task)
    with suppress(BrokenPipeError, ConnectionResetError):  # dead already, which the next look at its pipe tells
        worker.pipe.send(task)


def _end(worker: _Worker[T]) -> None:
    """A worker keeps nothing that would be lost."""
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _cause_of_death(worker: _Worker[T]) -> str:
    status = worker.process.exitcode or 0
    if status >= 0:
        raise RuntimeError(
            f"trial {worker.task.key}: a bug ended its process with status {status}, see the traceback above"
        )
    return f"by {signal.Signals(-status).name}"


def _serve(pipe: "connection.Connection[Any, Any]", function: Function[T, P, R], store: Path) -> None:
    """The life of a worker. What is no `FrailedgeError` is a bug: it shows its traceback and ends the worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    windows = WindowStore.load(store)
    pipe.send(_Ready())
    while True:
        task = pipe.recv()
        try:
            result = run_one(function, task, windows, lambda progress: pipe.send(_Progress(progress)))
        except FrailedgeError as error:
            pipe.send(_Refused(error))
            return
        pipe.send(_Done(result))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
