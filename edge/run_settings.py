"""What the supervisor tells its processes, by a file in the run's own folder."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edge.config import Config
from edge.errors import FrailedgeError

FAILED_FOR_GOOD: Final = 2
"""Exit status of a process that would fail again: the supervisor does not restart it."""


class RunSensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sensor of a run: ``name`` in the topics, ``stream_id`` in the ring.

    ``address``, ``advertised``, ``kind`` and ``axes`` are there for the radio: where the sensor was found, the name by
    which it may be taken when its address has changed (empty: never), its kind's key or TOML file, and which of its
    axes are the foot's. The address stays in the run's own folder.
    """

    stream_id: int
    name: str
    address: str = ""
    advertised: str = ""
    kind: str = ""
    axes: str = ""


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run of `frailedge live`; ``doorbell`` is the number of an inherited eventfd.

    ``n_restarts`` counts those of either process before this one was started.
    """

    config: Config
    sensors: tuple[RunSensor, ...]
    is_virtual: bool
    ring: str
    doorbell: int
    supervisor_pid: int
    n_restarts: int = 0


def read_settings(path: Path) -> RunSettings:
    """The settings that the supervisor wrote; they are its own, so whatever is wrong with them is a bug."""
    return msgspec.json.decode(path.read_bytes(), type=RunSettings)


def run_process(name: str, body: Callable[[RunSettings, "Stop"], None]) -> None:
    """Run the body of a process; what a restart cannot mend ends it with `FAILED_FOR_GOOD` and one line."""
    settings = read_settings(Path(sys.argv[1]))
    try:
        body(settings, Stop(settings))
    except FrailedgeError as error:
        print(f"frailedge {name}: {error}", file=sys.stderr)
        sys.exit(FAILED_FOR_GOOD)


class Stop:
    """When a process of the run has to end: SIGTERM came, or the supervisor is gone.

    Ctrl-C reaches the supervisor alone, which then ends its processes in order. To be made in the main thread.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._event = threading.Event()
        self._supervisor_pid = settings.supervisor_pid
        signal.signal(signal.SIGTERM, lambda *_: self._event.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set() or os.getppid() != self._supervisor_pid

    def wait(self, timeout_s: float) -> None:
        """Sleep so long, less if SIGTERM comes."""
        self._event.wait(timeout_s)
