"""`frailedge live --virtual`: two real processes, killed and restarted, watched by real subscribers."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.bus import Subscriber
from edge.cli import live
from edge.config import VirtualConfig
from edge.errors import ConfigError
from edge.messages import Decision, Health, Message
from edge.sources.virtual import virtual_foot
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.devices.v1 import DeviceV1
from firmware_bridge.events import Block, Gap
from firmware_bridge.peripheral import rehearse
from tests.edge.cli.run import assert_refused, frailedge, free_endpoint, start

SECOND_OF_WINDOWS_S = 1.0  # two windows may have been made between the one seen and the kill


class Run:
    """A running `frailedge live`, and what its subscribers see."""

    def __init__(self, *options: str) -> None:
        self.endpoint = free_endpoint()
        self.process = start(["live", "--virtual", "--endpoint", self.endpoint, *options])
        self._subscriber = Subscriber(self.endpoint, ["decision/virtual/", "health/virtual/"])

    def until(self, wanted: Callable[[Message], bool], timeout_s: float = 60.0) -> Message:
        """The first message that is wanted."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            message = self._subscriber.receive(0.5)
            if message is not None and wanted(message):
                return message
            if self.process.poll() is not None:
                break
        out, err = self.end()
        raise AssertionError(f"not seen within {timeout_s} s\n{out}\n{err}")

    def pids_of(self, module: str) -> list[int]:
        """The run's child processes that run a module."""
        children = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line.split()[0]) for line in children.stdout.splitlines() if f"edge.{module}" in line]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        """End it as a user does; what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        self._subscriber.close()
        return out, err


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGTERM)


def is_decision(message: Message) -> bool:
    return isinstance(message, Decision)


def test_decisions_come_and_ctrl_c_ends_with_a_summary_and_status_0(run: Run) -> None:
    decision = run.until(is_decision)
    assert isinstance(decision, Decision)
    assert decision.trained_on.startswith("synthetic")
    pids = run.pids_of("ingest") + run.pids_of("infer")
    assert len(pids) == 2
    out, err = run.end()
    assert run.process.returncode == 0, err
    for words in ("Summary", "windows", "lost", "age of the newest sample", "No medical device", "synthetic"):
        assert words in out
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_inference_killed_is_restarted_and_ingestion_loses_nothing(run: Run) -> None:
    first = run.until(is_decision)
    (ingest,) = run.pids_of("ingest")
    (victim,) = run.pids_of("infer")
    os.kill(victim, signal.SIGKILL)
    later = run.until(lambda message: is_decision(message) and message.boot_id != first.boot_id)
    assert isinstance(later, Decision)
    health = run.until(lambda message: isinstance(message, Health) and message.boot_id == later.boot_id)
    assert isinstance(health, Health)
    assert health.ring_lost == 0
    assert health.n_lost_samples == 0
    assert health.n_restarts == 1
    # What lay in the ring meanwhile was read: the new life's sample 0 is where the dead process had stopped, whichever
    # of its decisions the subscriber saw first.
    assert isinstance(first, Decision)
    assert later.stretch == 0
    assert later.window_start_s - later.sample_start / 104.0 <= first.window_stop_s + SECOND_OF_WINDOWS_S
    assert run.pids_of("ingest") == [ingest]
    out, err = run.end()
    assert "restarting it" in err
    assert re.search(r"0 records lost in the ring, 1 restarts", out)


def test_a_run_whose_inference_only_ever_died_ends_with_its_summary_and_status_1() -> None:
    run = Run("--duration-s", "4")
    while run.process.poll() is None:
        for pid in run.pids_of("infer"):
            with contextlib.suppress(ProcessLookupError):  # reaped meanwhile
                os.kill(pid, signal.SIGKILL)
    out, err = run.end()
    assert run.process.returncode == 1, err
    assert "restarting it" in err
    assert "nothing was published" in out


def test_ingestion_killed_is_restarted_and_decisions_go_on_in_a_new_stretch(run: Run) -> None:
    first = run.until(is_decision)
    assert isinstance(first, Decision)
    (victim,) = run.pids_of("ingest")
    (infer,) = run.pids_of("infer")
    os.kill(victim, signal.SIGKILL)
    later = run.until(lambda message: isinstance(message, Decision) and message.stretch > first.stretch)
    assert later.boot_id == first.boot_id
    assert run.pids_of("infer") == [infer]
    run.end()
    assert run.process.returncode == 0


def test_nothing_outlives_a_supervisor_that_was_killed(run: Run) -> None:
    run.until(is_decision)
    pids = run.pids_of("ingest") + run.pids_of("infer")
    os.kill(run.process.pid, signal.SIGKILL)
    run.end()
    deadline_s = time.monotonic() + 20.0
    while (left := [pid for pid in pids if is_ours(pid)]) and (time.monotonic() < deadline_s):
        os.sched_yield()
    assert len(pids) == 2
    assert not left


def is_ours(pid: int) -> bool:
    """Whether a process of the run still runs under this number, and is no zombie."""
    try:
        return b"edge." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_lost_packets_are_counted_to_the_sample() -> None:
    run = Run("--drop-share", "0.1", "--seed", "3")
    try:
        health = run.until(lambda message: isinstance(message, Health) and message.n_lost_samples > 40)
    finally:
        run.end()
    assert isinstance(health, Health)
    # The same sensor without the two processes: its faults follow from the seed.
    foot = virtual_foot(VirtualConfig(drop_share=0.1, seed=3))
    rehearse(DeviceV1().start(0), foot)
    decoder = DecoderV1(foot.info)
    n_received = n_lost = 0
    for _, (_, notification) in foot.notifications(3_600_000_000):
        for event in decoder.feed(notification, 0):
            n_received += isinstance(event, Block)
            n_lost += event.n_samples if isinstance(event, Gap) else 0
        if n_received == health.n_packets:
            break
    assert health.n_lost_samples == n_lost


def test_a_late_joiner_gets_the_decision_of_a_run_that_stands_still(run: Run) -> None:
    run.until(is_decision)
    (ingest,) = run.pids_of("ingest")
    os.kill(ingest, signal.SIGSTOP)
    try:
        run.until(lambda message: isinstance(message, Health) and message.link == "ingestion silent")
        late = Subscriber(run.endpoint, ["decision/virtual/"])
        message = late.receive(5.0)
        late.close()
        assert isinstance(message, Decision)
    finally:
        os.kill(ingest, signal.SIGCONT)


def test_a_wrong_virtual_sensor_is_refused_in_one_line() -> None:
    assert_refused(frailedge("live", "--virtual", "--walker", "nobody"), "nobody", "robust")
    assert_refused(frailedge("live", "--virtual", "--rate-hz", "60"), "104")
    assert_refused(frailedge("live", "--virtual", "--sensor", "FE-left"), "--sensor", "--virtual")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"walker": "frail", "then": "robust", "then_after_s": 9.0}, "--walker, --then, --then-after-s: .*add"),
        ({"rate_hz": 104.0}, "--rate-hz: for the virtual sensor only"),
        ({"seed": 0}, "--seed: for the virtual sensor only"),
        ({"drop_share": 0.0}, "--drop-share: for the virtual sensor only"),
        ({"virtual": True, "backend": "bluez", "adapter": "hci1"}, "--backend, --adapter: .*leave that out"),
        ({"virtual": True, "search_s": 9.0, "low_rate": False}, "--search-s, --low-rate: for Bluetooth LE"),
        ({"virtual": True, "duration_s": -5.0}, "--duration-s -5: must be above 0"),
        ({"virtual": True, "duration_s": float("nan")}, "--duration-s nan: must be above 0"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        live.command(**options)


def test_watch_shows_a_run_and_says_stale_when_it_is_gone(run: Run) -> None:
    run.until(is_decision)
    watch = start(["watch", run.endpoint])
    assert watch.stdout is not None
    assert any(" | live | " in line for line in watch.stdout)
    run.end()
    assert any(" | stale | " in line for line in watch.stdout)
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=30)
    assert watch.returncode == 0, err
