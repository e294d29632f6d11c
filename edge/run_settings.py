"""What the supervisor tells its two processes, by a file in the run's own folder."""

import os
import signal
import threading
from pathlib import Path

import msgspec

from edge.config import Config


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run of `frailedge live`; ``doorbell`` is the number of an inherited eventfd."""

    config: Config
    ring: str
    doorbell: int
    n_restarts: int = 0


def read_settings(path: Path) -> RunSettings:
    """The settings that the supervisor wrote; they are its own, so whatever is wrong with them is a bug."""
    return msgspec.json.decode(path.read_bytes(), type=RunSettings)


class Stop:
    """When a process of the run has to end: SIGTERM came, or the supervisor is gone.

    Ctrl-C reaches the supervisor alone, which then ends its processes in order. To be made in the main thread.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._supervisor = os.getppid()
        signal.signal(signal.SIGTERM, lambda *_: self._event.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set() or os.getppid() != self._supervisor

    def wait(self, timeout_s: float) -> None:
        """Sleep so long, less if SIGTERM comes."""
        self._event.wait(timeout_s)
