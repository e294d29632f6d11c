"""What the supervisor tells its two processes, by a file in the run's own folder."""

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


def stop_on_sigterm() -> threading.Event:
    """An event that SIGTERM sets; Ctrl-C reaches the supervisor alone, which then ends its processes in order."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stop
