"""The ingestion process itself, which notes what it holds whenever it looks whether to stop: ``SETTINGS LOG``.

A line a look: monotonic_ns, asyncio tasks, file descriptors, threads, resident memory in KiB.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

from edge.ingest import ingest
from edge.run_settings import RunSettings, Stop, run_process


class Held(NamedTuple):
    """What a process holds; ``n_tasks`` is 0 where nobody can see them."""

    at_ns: int
    n_tasks: int
    n_fds: int
    n_threads: int
    rss_kib: int

    @classmethod
    def by(cls, pid: int, n_tasks: int = 0) -> Self:
        """What a living process holds now."""
        folder = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text(encoding="ascii").splitlines())
        n_fds = len(os.listdir(folder / "fd"))  # noqa: PTH208  (iterdir is one file more that is open meanwhile)
        return cls(time.monotonic_ns(), n_tasks, n_fds, int(status["Threads"]), int(status["VmRSS"].split()[0]))


class NotingStop(Stop):
    """Asked in ingestion's event loop, so it sees the tasks there."""

    def __init__(self, settings: RunSettings, log: Path) -> None:
        super().__init__(settings)
        self._log = log.open("w", encoding="ascii", buffering=1)

    def is_set(self) -> bool:
        """As its parent, noted down."""
        print(*Held.by(os.getpid(), len(asyncio.all_tasks())), file=self._log)
        return super().is_set()


def read_log(log: Path) -> list[Held]:
    """What was noted, in order."""
    return [Held(*map(int, line.split())) for line in log.read_text(encoding="ascii").splitlines()]


if __name__ == "__main__":
    run_process("ingestion", lambda settings, _: ingest(settings, NotingStop(settings, Path(sys.argv[2]))))
