"""`frailedge live` as a user runs it, over the tests' own BlueZ, with a subscriber that keeps what it hears."""

import json
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.bus import Subscriber
from edge.config import VirtualConfig
from edge.messages import Decision, Gap, Health, Message, Prediction
from edge.sources.virtual import walk_source
from firmware_bridge.channels import Samples
from firmware_bridge.packet_v1 import DATA_UUID
from firmware_bridge.peripheral import Notification
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.virtual_sensor import Faults, SampleSource
from tests.edge.cli.run import free_endpoint, start

TOPICS: Final = ("prediction", "decision", "gap", "health")
_HEADER: Final = struct.Struct("<BBHII")


def _limited(source: SampleSource, signal_s: float) -> SampleSource:
    def samples(rate_hz: float) -> Iterator[Samples]:
        left = round(signal_s * rate_hz)
        for chunk in source(rate_hz):
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    return samples


class CountedFoot(PeripheralV1):
    """The virtual foot, with a note of which samples it put on the air: what a receiver has to account for.

    After ``signal_s`` since it was switched on it takes no more samples.
    """

    def __init__(
        self,
        name: str,
        *,
        walker: str = "robust",
        seed: int = 1,
        faults: Faults | None = None,
        signal_s: float | None = None,
    ) -> None:
        walk = walk_source(VirtualConfig(walker=walker, seed=seed))
        source = walk if signal_s is None else _limited(walk, signal_s)
        super().__init__(source, name=name, seed=seed, faults=faults)
        self.first_index: int | None = None
        self.end_index = 0

    def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:
        """As its parent, noted down."""
        for ready_us, (uuid, data) in super().notifications(until_us):
            _, n_samples, _, first_index, _ = _HEADER.unpack_from(data)
            if uuid == DATA_UUID:
                self.first_index = first_index if self.first_index is None else self.first_index
                self.end_index = max(self.end_index, first_index + n_samples)
            yield ready_us, (uuid, data)

    @property
    def is_over(self) -> bool:
        """Whether it took its last sample."""
        return self._sensor.is_exhausted

    @property
    def n_to_account_for(self) -> int:
        """Samples from the first that went out to the last, on the way lost, not wanted or delivered."""
        return self.end_index - (self.first_index or 0)


class LiveRun:
    """One `frailedge live`; a context manager that leaves nothing running."""

    def __init__(self, *options: str | Path, endpoint: str = "") -> None:
        self.endpoint = endpoint or free_endpoint()
        self.messages: list[Message] = []
        self._subscriber = Subscriber(self.endpoint, [f"{topic}/" for topic in TOPICS])
        self.process: subprocess.Popen[str] = start(["live", "--endpoint", self.endpoint, *options])
        self.out = self.err = ""

    def __enter__(self) -> "LiveRun":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._subscriber.close()

    def until(self, is_wanted: Callable[[Message], bool], what: str, timeout_s: float = 60.0) -> Message:
        """The next message that is wanted."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s and self.process.poll() is None:
            message = self._subscriber.receive(0.2)
            if message is not None:
                self.messages.append(message)
                if is_wanted(message):
                    return message
        if self.process.poll() is None:
            self.end()
        raise AssertionError(f"no {what} within {timeout_s} s\n{self.out}\n{self.err}\n{self.messages[-3:]}")

    def decision(self, sensor: str, after_s: float = -1.0) -> Decision:
        """The next decision of a sensor on signal from after a sensor time."""
        found = self.until(
            lambda m: isinstance(m, Decision) and m.sensor == sensor and m.window_start_s > after_s,
            f"decision of {sensor}",
        )
        assert isinstance(found, Decision)
        return found

    def link(self, sensor: str, *states: str) -> Health:
        """The next health of a sensor in which its link has one of these states."""
        found = self.until(
            lambda m: isinstance(m, Health) and m.sensor == sensor and m.link in states, f"{sensor} {states}"
        )
        assert isinstance(found, Health)
        return found

    def last_health(self, sensor: str) -> Health:
        """The newest."""
        return next(m for m in reversed(self.messages) if isinstance(m, Health) and m.sensor == sensor)

    def gaps(self, sensor: str) -> list[Gap]:
        """All gap records so far."""
        return [m for m in self.messages if isinstance(m, Gap) and m.sensor == sensor]

    def predictions(self, sensor: str) -> list[Prediction]:
        """All predictions so far."""
        return [m for m in self.messages if isinstance(m, Prediction) and m.sensor == sensor]

    def pids(self, module: str) -> list[int]:
        """Its processes that run a module."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if f"edge.{module}" in line]

    def finish(self) -> None:
        """Let it end by itself, and read what was still on its way."""
        self.out, self.err = self.process.communicate(timeout=60)
        while (message := self._subscriber.receive(0.2)) is not None:
            self.messages.append(message)

    def end(self, number: signal.Signals = signal.SIGINT) -> float:
        """End it as a user does, read what was still on its way; gives the seconds that took."""
        begin_s = time.monotonic()
        self.process.send_signal(number)
        self.out, self.err = self.process.communicate(timeout=30)
        took_s = time.monotonic() - begin_s
        while (message := self._subscriber.receive(0.2)) is not None:
            self.messages.append(message)
        return took_s


def settings_file(folder: Path, *sensors: tuple[str, str], **ble: object) -> Path:
    """A configuration with these sensors (name, match)."""
    path = folder / "frailedge.toml"
    lines = ["[ble]", *(f"{key} = {json.dumps(value)}" for key, value in ble.items())]
    for name, match in sensors:
        lines += ["[[ble.sensors]]", f'name = "{name}"', f'match = "{match}"']
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
