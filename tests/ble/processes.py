"""The processes of a run, started one by one as the supervisor does, around one ring: a test chooses which, and reads.

Sensors' names and addresses and a configuration enter; running processes leave, and nothing of them after the end.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from edge.config import Config
from edge.ring import create_ring, open_doorbell
from edge.run_settings import RunSensor, RunSettings
from firmware_bridge.devices.v1 import KIND

_ENDS_WITHIN_S: Final = 20.0


def v1_sensors(at: Iterable[tuple[str, str]]) -> tuple[RunSensor, ...]:
    """Sensors of packet v1, found before: each an advertised name, which is also its name here, and an address."""
    return tuple(
        RunSensor(stream_id=index, name=name, address=address, advertised=name, kind=KIND.key)
        for index, (name, address) in enumerate(at)
    )


class Processes:
    """A context manager; `start` a module of a process, `end` it as the supervisor does."""

    def __init__(self, folder: Path, config: Config, sensors: tuple[RunSensor, ...]) -> None:
        self.ring = folder / "ring"
        create_ring(self.ring, slots=config.live.ring_slots)
        self.doorbell = open_doorbell()
        self.settings = RunSettings(
            config=config,
            sensors=sensors,
            is_virtual=False,
            ring=str(self.ring),
            doorbell=self.doorbell,
            supervisor_pid=os.getpid(),
        )
        self._file = folder / "settings.json"
        self._file.write_bytes(msgspec.json.encode(self.settings))
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        os.close(self.doorbell)

    def start(self, module: str, arguments: Sequence[str | Path] = ()) -> subprocess.Popen[bytes]:
        """Run ``python -m module SETTINGS ARGUMENTS``."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(self._file), *map(str, arguments)],
            pass_fds=(self.doorbell,),
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM; it must end well."""
        process.send_signal(signal.SIGTERM)
        assert process.wait(_ENDS_WITHIN_S) == 0
