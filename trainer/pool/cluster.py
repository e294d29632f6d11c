"""Tasks on a Ray cluster: the only file that imports Ray.

The store goes once into the object store, from where each node that needs it fetches it; nodes share no disk. Trials
that are lost with a node or a process are submitted again. Ray gives a task one processor and no GPU, so that nodes
alike compute alike.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge import __version__
from edge.errors import ConfigError, FrailedgeError, TrainingError
from trainer.pool.work import Function, P, R, Reports, T, Task, run_one
from trainer.store import WindowStore

# Told to keep its logs to itself, Ray still prints which worker died; the pool says that in words of its own.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

try:
    import ray
    from ray.exceptions import (
        NodeDiedError,
        ObjectLostError,
        OutOfMemoryError,
        RayError,
        RayTaskError,
        WorkerCrashedError,
    )
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as missing:
    raise ConfigError(f"--cluster needs {missing.name}: pip install 'frailedge[train,cluster]'") from missing

_REACH_TIMEOUT_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.5
# The first bytes of a client, with an empty frame of settings; a server's first frame is its own settings.
_HTTP2_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HTTP2_SETTINGS: Final = b"\x04"
_LOST: Final = (WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError)
_INSTALL: Final = f"install frailedge {__version__} on every node: pip install 'frailedge[train,cluster]'"


class _Mailbox:
    """An actor beside the driver: workers put their progress here, the driver takes it."""

    def __init__(self) -> None:
        self._latest: dict[str, Any] = {}

    def put(self, key: str, progress: Any) -> None:
        self._latest[key] = progress

    def take(self) -> dict[str, Any]:
        taken, self._latest = self._latest, {}
        return taken


def run_on_cluster(
    tasks: Sequence[T],
    function: Function[T, P, R],
    store: Path,
    reports: Reports[T, P, R],
    address: str,
    retries: int,
) -> None:
    """See `trainer.pool.run_all`; `ConfigError` where there is no cluster at the address."""
    by_key = {task.key: task for task in tasks}
    with _connected(address):
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(_Mailbox).remote()
        run_remote = ray.remote(num_cpus=1, max_retries=0)(_run_remote)
        kept = ray.put(_in_memory(WindowStore.load(store)))
        submit = partial(run_remote.remote, function, kept, mailbox, __version__)
        running = {submit(task): task for task in tasks}
        n_losses: Counter[str] = Counter()
        started: set[str] = set()

        def start(task: T) -> None:
            if task.key not in started:
                started.add(task.key)
                reports.start(task)

        while running:
            ended, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_EVERY_S)
            for key, progress in ray.get(mailbox.take.remote()).items():
                start(by_key[key])
                if progress is not None:
                    reports.progress(by_key[key], progress)
            for reference in ended:
                task = running.pop(reference)
                start(task)
                try:
                    result = ray.get(reference)
                except _LOST as error:
                    n_losses[task.key] += 1
                    why = f"lost with its node or process ({type(error).__name__})"
                    if n_losses[task.key] > retries:
                        raise TrainingError(f"trial {task.key}: {why}, {n_losses[task.key]} times") from error
                    reports.retry(task, why)
                    started.discard(task.key)
                    running[submit(task)] = task
                except RayTaskError as error:
                    raise _of_the_task(task, error) from error
                else:
                    reports.done(task, result)


def _run_remote(function: Function[T, P, R], store: WindowStore, mailbox: Any, version: str, task: T) -> R:
    """On a node: one task, with the code that stands there."""
    if version != __version__:
        raise TrainingError(
            f"the node {ray.util.get_node_ip_address()} has frailedge {__version__}, this machine {version}: "
            "install the same on both"
        )
    mailbox.put.remote(task.key, None)
    return run_one(function, task, store, partial(mailbox.put.remote, task.key))


def _of_the_task(task: Task, error: Exception) -> Exception:
    """What the task raised, or why it could not begin."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, FrailedgeError):
        return cause
    # Ray wraps what fails before the task begins in texts of its own.
    if isinstance(cause, RayError | RuntimeError) and "ModuleNotFoundError" in str(cause):
        return TrainingError(f"trial {task.key}: a node of the cluster cannot import what it needs: {_INSTALL}")
    return error


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Ray as a guest of a running cluster; its own log lines are kept from the user."""
    _require_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"--cluster {address}: Ray does not connect: {first_line} This machine must be a node of the cluster: "
            f"ray start --address={address}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Ray itself would try for many minutes: see first whether what answers can be a head node, which speaks gRPC."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ConfigError(f"--cluster {address}: say HOST:PORT of the head node, or auto for the one of this machine")
    try:
        with socket.create_connection((host, int(port)), timeout=_REACH_TIMEOUT_S) as line:
            line.sendall(_HTTP2_HELLO)
            answer = line.recv(9)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"--cluster {address}: nobody answers there ({why}): ray start --head on that machine"
        ) from error
    if answer[3:4] != _HTTP2_SETTINGS:
        raise ConfigError(f"--cluster {address}: what answers there is no head node of Ray, whose port is mostly 6379")


def _in_memory(store: WindowStore) -> WindowStore:
    """The same store with plain arrays: Ray shares those between the processes of a node, mapped files it copies."""
    arrays: dict[str, Any] = {
        name: value.view(np.ndarray)
        for name in store.__dataclass_fields__
        if isinstance(value := getattr(store, name), np.ndarray)
    }
    return replace(store, **arrays)
