"""How old the newest sample is when its prediction has left `frailedge live`, and what the processes cost.

``python -m tests.benchmarks.live_latency``: the command as a user runs it, one sensor and then two, over the tests' own
BlueZ in real time, drawing its view as for a terminal. Beside it, in the same run: bare ``Classifier.predict`` before
and after each condition at the pace of windows (a process that slept has to wait for the processor, and bare calls one
after the other do not), and a session in this process that times each notification's way into the ring.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np

from edge.ble.link import Link
from edge.ble.radio import Radio
from edge.ble.session import Session
from edge.bus import Subscriber
from edge.config import BleConfig, ModelConfig
from edge.intake import Intake
from edge.messages import Decision
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import spec_of
from edge.ring import RingWriter, open_doorbell
from edge.stream.path import SignalPath
from firmware_bridge.devices.v1 import KIND, DeviceV1
from firmware_bridge.events import Block, Event
from firmware_bridge.peripheral import Notification, rehearse
from tests.ble.bus import ADDRESS_VARIABLE, PrivateBus
from tests.ble.fake_bluez import FakeBluez
from tests.ble.live_run import CountedFoot, settings_file
from tests.edge.cli.run import free_endpoint

STAGES: Final = ("waiting", "signal_path", "inference")
PROCESSES: Final = ("ingest", "infer", "supervisor")
FEET: Final = (("left", "C0:FF:EE:00:00:01"), ("right", "C0:FF:EE:00:00:02"))
SETTLE_S: Final = 3.0
IDLE_S: Final = 10.0
N_FLAT_OUT: Final = 60
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE_S: Final = 60.0


class NotedFoot(CountedFoot):
    """A virtual foot that notes when it handed each notification to D-Bus, on the monotonic clock of this machine."""

    def __init__(self, name: str, *, seed: int) -> None:
        super().__init__(name, seed=seed)
        self.sent: list[tuple[int, Notification]] = []

    def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:
        """As its parent, noted down."""
        for ready_us, notification in super().notifications(until_us):
            self.sent.append((time.monotonic_ns(), notification))
            yield ready_us, notification


class TimedDevice(DeviceV1):
    """The decoder, with the processor time that it took."""

    took_ns = 0

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """As its parent."""
        begin_ns = time.thread_time_ns()
        events = super().feed(uuid, data, received_ns)
        self.took_ns += time.thread_time_ns() - begin_ns
        return events


class TimedIntake(Intake):
    """The way into the ring, with the processor time that it took."""

    took_ns = n_notifications = 0

    def put(self, events: list[Event]) -> None:
        """As its parent."""
        begin_ns = time.thread_time_ns()
        super().put(events)
        self.took_ns += time.thread_time_ns() - begin_ns
        self.n_notifications += 1


@dataclass(slots=True)
class Measured:
    """One condition: milliseconds of each prediction by stage, of bare inference, and shares of one core."""

    stages_ms: dict[str, list[float]] = field(default_factory=dict)  # `outside`: from D-Bus to a subscriber
    bare_ms: list[float] = field(default_factory=list)
    flat_out_ms: list[float] = field(default_factory=list)
    core_shares: dict[str, float] = field(default_factory=dict)
    idle_ingest_share: float = 0.0
    notifications_per_s: float = 0.0


def stages_of(decision: Decision) -> dict[str, float]:
    """Milliseconds by stage; the decision's total is taken after its prediction was sent: the rest is publishing."""
    spent_ms = {stage: decision.latency_ms[stage] for stage in STAGES}
    total_ms = decision.latency_ms["total"]
    return {**spent_ms, "publishing": total_ms - sum(spent_ms.values()), "total": total_ms}


def cpu_s(stat: str) -> float:
    """Seconds of processor time, user and system, all threads, from the text of ``/proc/PID/stat``."""
    fields = stat.rpartition(")")[2].split()  # the program's name may hold spaces and brackets
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def core_shares(pids: Mapping[str, int], meanwhile: Callable[[], object]) -> dict[str, float]:
    """Share of one core that each process took, all its threads, while something was done."""

    def taken_s() -> dict[str, float]:
        return {name: cpu_s(Path(f"/proc/{pid}/stat").read_text(encoding="ascii")) for name, pid in pids.items()}

    begin_s, before_s = time.monotonic(), taken_s()
    meanwhile()
    took_s, after_s = time.monotonic() - begin_s, taken_s()
    return {name: (after_s[name] - before_s[name]) / took_s for name in pids}


def median_p99(values: Sequence[float]) -> tuple[float, float]:
    """The two figures told of each stage."""
    return float(np.median(values)), float(np.percentile(values, 99))


def bare_ms(classifier: Classifier, n_coefficients: int, n: int, pause_s: float) -> list[float]:
    """Milliseconds of each of ``n`` predictions with a pause before each, in this process, which does nothing else."""
    window = np.random.default_rng(1).standard_normal((n_coefficients, 6)).astype(np.float32)
    took_ms = []
    for _ in range(n):
        time.sleep(pause_s)
        begin_ns = time.monotonic_ns()
        classifier.predict(window)
        took_ms.append((time.monotonic_ns() - begin_ns) / 1e6)
    return took_ms


def sent_by_window(foot: NotedFoot) -> dict[float, int]:
    """When the notification was sent that completed the window, by the window's end in seconds of the sensor's time."""
    device = DeviceV1()
    rehearse(device.start(0), NotedFoot("FE-twin", seed=1))
    path = SignalPath(spec_of(open_model(ModelConfig())[0].manifest), device.stream.rate_hz)
    sent_ns = {}
    for at_ns, (uuid, data) in foot.sent:
        for event in device.feed(uuid, data, at_ns):
            if isinstance(event, Block):
                for window in path.push(event.device_time_ns, event.samples):
                    sent_ns[window.stop_ns / 1e9] = at_ns
    return sent_ns


@contextlib.contextmanager
def live(config: Path, endpoint: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`frailedge live` that draws as on a terminal, into a file."""
    command = [sys.executable, "-m", "edge", "live", "--endpoint", endpoint, "--config", str(config)]
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def pids_of(supervisor: int) -> dict[str, int]:
    """The run's three processes."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(supervisor)], capture_output=True, text=True)
    found = {"supervisor": supervisor}
    for line in listed.stdout.splitlines():
        for name in ("ingest", "infer"):
            if f"edge.{name}" in line:
                found[name] = int(line.split()[0])
    return found


class Heard:
    """The decisions of a run, each with when it came."""

    def __init__(self, endpoint: str) -> None:
        self._subscriber = Subscriber(endpoint, ["decision/"])
        self.decisions: list[tuple[int, Decision]] = []

    def listen(self, seconds: float) -> None:
        """Keep what comes in so long of windows that were classified; until it is found how the sensor sits none is."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            message = self._subscriber.receive(left_s)
            if isinstance(message, Decision) and "inference" in message.latency_ms:
                self.decisions.append((time.monotonic_ns(), message))

    def close(self) -> None:
        """Close the socket."""
        self._subscriber.close()


def run_condition(measured: Measured, bluez: FakeBluez, folder: Path, n_sensors: int, seconds: float) -> None:
    """One run of `frailedge live`: what it says of itself, and what can be seen from outside."""
    feet = {name: NotedFoot(f"FE-{name}", seed=seed) for seed, (name, _) in enumerate(FEET[:n_sensors], start=1)}
    devices = [bluez.add(feet[name], address=address) for name, address in FEET[:n_sensors]]
    config = settings_file(folder, *((name, f"FE-{name}") for name in feet), silent_after_s=60)
    endpoint, output = free_endpoint(), folder / f"output{n_sensors}"
    heard = Heard(endpoint)
    try:
        with live(config, endpoint, output) as process:
            deadline_s = time.monotonic() + _PATIENCE_S
            while {decision.sensor for _, decision in heard.decisions} != set(feet):
                if time.monotonic() > deadline_s or process.poll() is not None:
                    raise RuntimeError(output.read_text(encoding="utf-8"))
                heard.listen(0.2)
            heard.listen(SETTLE_S)
            heard.decisions.clear()
            pids = pids_of(process.pid)
            n_before = sum(device.counts.notifications for device in devices)
            measured.core_shares = core_shares(pids, lambda: heard.listen(seconds))
            n_sent = sum(device.counts.notifications for device in devices) - n_before
            measured.notifications_per_s = n_sent / seconds
            for device in devices:
                device.silence(True)
            time.sleep(SETTLE_S)
            measured.idle_ingest_share = core_shares(pids, lambda: time.sleep(IDLE_S))["ingest"]
    finally:
        heard.close()
        for device in devices:
            device.set_on_air(False)
            device.forget()
    sent = {name: sent_by_window(foot) for name, foot in feet.items()}
    for received_ns, decision in heard.decisions:
        outside_ms = (received_ns - sent[decision.sensor][decision.window_stop_s]) / 1e6
        for stage, value_ms in {**stages_of(decision), "outside": outside_ms}.items():
            measured.stages_ms.setdefault(stage, []).append(value_ms)


@dataclass(frozen=True, slots=True)
class NotificationCost:
    """Processor time in microseconds a notification: decoding, writing to the ring, and all that brings it there."""

    decode_us: float
    write_us: float
    delivery_us: float


async def notification_cost(bluez: FakeBluez, folder: Path, seconds: float) -> NotificationCost:
    """The real session in this thread, at a sensor's pace, less what the thread takes while the sensor is silent.

    The ring has a doorbell, but nobody sleeps at it: waking the reader is not in the figure.
    """
    foot = NotedFoot("FE-timed", seed=3)
    fake = bluez.add(foot, address="C0:FF:EE:00:00:03")
    doorbell = open_doorbell()
    stop = asyncio.Event()
    with RingWriter(folder / "ring", doorbell=doorbell) as writer:
        device, intake = TimedDevice(), TimedIntake(writer, 0, "timed")
        async with Radio(BleConfig()) as radio:
            session = Session(
                radio,
                KIND,
                device,
                intake,
                Link("timed", time.monotonic_ns(), 60.0),
                address=fake.address,
                is_it=lambda seen: seen.advert.name == "FE-timed",
            )
            running = asyncio.create_task(session.run(stop))
            while intake.n_notifications < 50:
                await asyncio.sleep(0.1)
            before = (intake.n_notifications, device.took_ns, intake.took_ns, time.thread_time_ns())
            await asyncio.sleep(seconds)
            after = (intake.n_notifications, device.took_ns, intake.took_ns, time.thread_time_ns())
            n, decode_ns, write_ns, all_ns = (b - a for a, b in zip(before, after, strict=True))
            await asyncio.to_thread(fake.silence, True)
            await asyncio.sleep(SETTLE_S)
            idle_begin_ns = time.thread_time_ns()
            await asyncio.sleep(IDLE_S)
            idle_ns = (time.thread_time_ns() - idle_begin_ns) / IDLE_S * seconds
            stop.set()
            await running
    os.close(doorbell)
    return NotificationCost(
        decode_ns / n / 1e3, write_ns / n / 1e3, (all_ns - idle_ns - decode_ns - write_ns) / n / 1e3
    )


def report(n_sensors: int, measured: Measured) -> None:
    """The table of one condition."""
    bare_median_ms, bare_p99_ms = median_p99(measured.bare_ms)
    n = len(measured.stages_ms["total"])
    flat_median_ms, flat_p99_ms = median_p99(measured.flat_out_ms)
    print(
        f"\n{n_sensors} sensor(s), {n} predictions; bare predict at one sensor's pace: {bare_median_ms:.1f} ms, p99 "
        f"{bare_p99_ms:.1f} ms (flat out {flat_median_ms:.1f} ms, p99 {flat_p99_ms:.1f} ms)"
    )
    print("| stage | median, ms | p99, ms | median / bare median | p99 / bare p99 |\n|---|---|---|---|---|")
    for stage in (*STAGES, "publishing", "total", "outside"):
        median_ms, p99_ms = median_p99(measured.stages_ms[stage])
        ratios = f"{median_ms / bare_median_ms:.2f} | {p99_ms / bare_p99_ms:.2f}"
        print(f"| {stage} | {median_ms:.2f} | {p99_ms:.2f} | {ratios} |")
    shares = measured.core_shares
    cpu = ", ".join(f"{name} {100 * shares[name]:.1f} % ({shares[name] / shares['infer']:.2f})" for name in PROCESSES)
    each_us = (shares["ingest"] - measured.idle_ingest_share) / measured.notifications_per_s * 1e6
    print(f"processor, of one core (of infer's): {cpu}")
    print(
        f"ingest: {100 * measured.idle_ingest_share:.1f} % connected without a notification, and {each_us:.0f} µs "
        f"for each of {measured.notifications_per_s:.1f} notifications a second"
    )


def main(seconds: float = 60.0) -> None:
    """Measure and print."""
    if shutil.which("dbus-daemon") is None:
        print("live latency: dbus-daemon is not installed, no BlueZ can be played")
        return
    bundle, classifier = open_model(ModelConfig())
    manifest = bundle.manifest
    n_coefficients, hop_s = manifest.wavelet.n_coefficients, manifest.hop_samples / manifest.sample_rate_hz
    with (
        tempfile.TemporaryDirectory() as name,
        PrivateBus() as bus,
        FakeBluez(bus.address) as bluez,
        mock.patch.dict(os.environ, {"XDG_STATE_HOME": name, ADDRESS_VARIABLE: bus.address}),
    ):
        folder = Path(name)
        print("age of the newest sample when its prediction has left, `frailedge live` over BlueZ at 104 Hz")
        for n_sensors in (1, 2):
            measured = Measured()
            for side in ("before", "after"):
                measured.bare_ms += bare_ms(classifier, n_coefficients, max(1, round(seconds / 4 / hop_s)), hop_s)
                measured.flat_out_ms += bare_ms(classifier, n_coefficients, N_FLAT_OUT, 0.0)
                if side == "before":
                    run_condition(measured, bluez, folder, n_sensors, seconds)
            report(n_sensors, measured)
        cost = asyncio.run(notification_cost(bluez, folder, seconds / 2))
    ours_us = cost.decode_us + cost.write_us
    print(
        f"\none notification: {cost.delivery_us:.0f} µs of bleak and D-Bus, then {ours_us:.0f} µs of ours "
        f"(decoding {cost.decode_us:.0f}, ring {cost.write_us:.0f}): {ours_us / cost.delivery_us:.2f} of its delivery"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each condition")
    main(parser.parse_args().seconds)
