"""Starts the two processes of `frailedge live`, restarts what dies, and ends them in order.

The ring's file and the doorbell belong to the supervisor and outlive either process, so a restarted one goes on where
its predecessor was.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Self

import msgspec

from edge.config import Config
from edge.errors import FrailedgeError
from edge.ring import create_ring, open_doorbell, runtime_dir
from edge.run_settings import RunSettings

INGEST: Final = "ingest"
INFER: Final = "infer"
# A process that dies at once again is not started over and over at full speed.
_RESTART_DELAYS_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
_END_WITHIN_S: Final = 5.0


class ProcessFailedError(FrailedgeError):
    """A process of the run died more often than `live.max_restarts` allows."""


class Supervisor:
    """One run; a context manager that leaves no process and no file behind."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder = Path(tempfile.mkdtemp(prefix="run-", dir=runtime_dir()))
        self._ring = self._folder / "ring"
        self._doorbell = open_doorbell()
        create_ring(self._ring, slots=config.live.ring_slots)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restart_at_s: dict[str, float] = {}
        self.n_restarts = dict.fromkeys((INGEST, INFER), 0)
        self._is_ending = False

    def __enter__(self) -> Self:
        self._start(INFER)
        self._start(INGEST)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        os.close(self._doorbell)
        shutil.rmtree(self._folder, ignore_errors=True)

    def pid_of(self, name: str) -> int:
        """Process id of `INGEST` or `INFER`."""
        return self._processes[name].pid

    def check(self) -> None:
        """Restart what died; to be called a few times a second. `ProcessFailedError` when it dies too often."""
        if self._is_ending:
            return
        for name, process in self._processes.items():
            status = process.poll()
            if status is None:
                continue
            if name not in self._restart_at_s:
                self._plan_restart(name, status)
            if time.monotonic() >= self._restart_at_s[name]:
                del self._restart_at_s[name]
                self._start(name)

    def end(self) -> None:
        """Ingestion stops first and says so in the ring; inference reads to the end, publishes its last and leaves."""
        self._is_ending = True
        self._send(INGEST, signal.SIGTERM)
        deadline_s = time.monotonic() + _END_WITHIN_S
        self._wait(INGEST, deadline_s)
        self._wait(INFER, deadline_s)

    @property
    def has_ended(self) -> bool:
        """Whether both processes are gone."""
        return all(process.poll() is not None for process in self._processes.values())

    def _plan_restart(self, name: str, status: int) -> None:
        n_before = self.n_restarts[name]
        if n_before >= self._config.live.max_restarts:
            raise ProcessFailedError(
                f"the {name} process ended {n_before + 1} times, last with status {status}; its message stands above"
            )
        print(f"frailedge: the {name} process ended with status {status}; restarting it", file=sys.stderr)
        delay_s = _RESTART_DELAYS_S[min(n_before, len(_RESTART_DELAYS_S) - 1)]
        self._restart_at_s[name] = time.monotonic() + delay_s
        self.n_restarts[name] += 1

    def _start(self, name: str) -> None:
        settings = RunSettings(
            config=self._config, ring=str(self._ring), doorbell=self._doorbell, n_restarts=self.n_restarts[INFER]
        )
        path = self._folder / f"{name}.json"
        path.write_bytes(msgspec.json.encode(settings))
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", f"edge.{name}", str(path)], pass_fds=(self._doorbell,), start_new_session=True
        )

    def _send(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._processes[name].send_signal(number)

    def _wait(self, name: str, deadline_s: float) -> None:
        try:
            self._processes[name].wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._processes[name].kill()
            self._processes[name].wait()
