"""`frailedge live` over bleak's own BlueZ backend: whatever befalls the link, decisions go on and losses are exact."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.ble.identity import load_salt, sensor_id
from edge.messages import Decision, Health
from firmware_bridge.packet_v1 import CONTROL_UUID, Answer, Op, Status
from firmware_bridge.peripheral import Notification
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.fake_bluez import FakeBluez
from tests.ble.live_run import CountedFoot, LiveRun, settings_file
from tests.edge.cli.run import assert_refused, frailedge

pytestmark = NEEDS_DBUS

LEFT, RIGHT = "C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02"
SPEED = 3.0
"""The feet walk so many times as fast as a clock: tests end sooner, and inference still keeps up."""
QUICK = {"silent_after_s": 0.5}
AWAY = ("backing off", "searching", "connecting", "subscribing")


def assert_all_accounted_for(run: LiveRun, sensor: str, foot: CountedFoot) -> Health:
    """Received + counted lost = what the sensor took from its first packet on the air to its last, to the sample."""
    health = run.last_health(sensor)
    assert health.link == "ended"
    assert health.ring_lost == 0
    assert health.n_samples + health.n_lost_samples == foot.n_to_account_for
    assert sum(gap.n_samples for gap in run.gaps(sensor)) == health.n_lost_samples
    assert len(run.gaps(sensor)) == health.n_gaps
    assert health.n_lost_estimated == 0
    return health


def test_decisions_go_on_after_whatever_befalls_the_link_and_every_loss_is_counted(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    foot = CountedFoot("FE-left")
    device = bluez.add(foot, address=LEFT, speed=SPEED)
    config = settings_file(tmp_path, ("left", "FE-left"), **QUICK)

    def fail_then_drop() -> None:
        device.fail_connects(3)
        device.drop_link()

    def busy_then_drop() -> None:
        device.in_progress(3)
        device.drop_link()

    device.fail_connects(2)
    device.in_progress(2)
    with LiveRun("--config", config) as run:
        newest = run.decision("left")
        befalls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "link loss": (device.drop_link, lambda: None),
            "silence while connected": (lambda: device.silence(True), lambda: device.silence(False)),
            "loss, then connects that fail": (fail_then_drop, lambda: None),
            "loss, then InProgress": (busy_then_drop, lambda: None),
            "adapter off and on": (lambda: bluez.power(False), lambda: bluez.power(True)),
        }
        for what, (harm, mend) in befalls.items():
            harm()
            away = run.link("left", *AWAY)
            assert away.n_restarts == 0, what
            mend()
            newest = run.decision("left", after_s=newest.window_stop_s)
        run.end()
        health = assert_all_accounted_for(run, "left", foot)
        assert health.n_reconnects == len(befalls)
        assert health.n_gaps == len(befalls)
        assert health.n_restarts == 0
        assert health.n_duplicates == 0
        assert health.battery_percent == 80
        assert health.rssi_dbm in (-61, -60, -59)
        assert f"{health.n_lost_samples} lost in {health.n_gaps} gaps, all counted exactly" in run.out
        # The first failure of a row is told, the rest is not: here one comes before the last is forgotten.
        assert 1 <= run.err.count("trying again") <= len(befalls)
        assert run.err.count("streaming again") == run.err.count("trying again")
        assert LEFT not in run.out + run.err


def test_an_old_subscription_doubles_nothing_and_a_packet_that_comes_twice_is_dropped(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    foot = CountedFoot("FE-left")
    device = bluez.add(foot, address=LEFT, speed=SPEED)
    bluez.duplicate_after_reconnect(True)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"), **QUICK)) as run:
        newest = run.decision("left")
        for _ in range(2):
            device.drop_link()
            newest = run.decision("left", after_s=newest.window_stop_s)
        run.end()
        health = assert_all_accounted_for(run, "left", foot)
    assert device.counts.copies == 0
    assert (health.n_reconnects, health.n_duplicates) == (2, 0)


def test_two_feet_have_streams_decisions_and_health_of_their_own(bluez: FakeBluez, tmp_path: Path) -> None:
    left, right = CountedFoot("FE-left", seed=1), CountedFoot("FE-right", seed=2)
    devices = [bluez.add(foot, address=at) for foot, at in ((left, LEFT), (right, RIGHT))]
    config = settings_file(tmp_path, ("left", "FE-left"), ("right", "FE-right"), **QUICK)
    with LiveRun("--config", config) as run:
        run.decision("left")
        right_before = run.decision("right")
        devices[0].drop_link()
        run.link("left", *AWAY)
        right_after = run.decision("right", after_s=right_before.window_start_s)
        assert right_after.stretch == right_before.stretch
        run.decision("left", after_s=right_before.window_stop_s)
        run.end()
        of_left = assert_all_accounted_for(run, "left", left)
        of_right = assert_all_accounted_for(run, "right", right)
    assert (of_left.n_reconnects, of_right.n_reconnects) == (1, 0)
    assert of_left.n_lost_samples > 0 == of_right.n_lost_samples
    assert re.search(r"sensor left: decision.*\n.*\n.*lost in 1 gaps", run.out)
    assert "sensor right: decision" in run.out


def test_a_sensor_that_boots_anew_begins_anew(bluez: FakeBluez, tmp_path: Path) -> None:
    foot = CountedFoot("FE-left")
    device = bluez.add(foot, address=LEFT, speed=SPEED)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"), **QUICK)) as run:
        before = run.decision("left")
        device.drop_link()
        device.run(lambda: foot.reboot(boot_id=77))
        after = run.until(lambda m: isinstance(m, Decision) and m.stretch > before.stretch, "decision of the next boot")
        run.end()
    assert isinstance(after, Decision)
    assert after.sample_start >= before.sample_stop
    assert run.last_health("left").n_restarts == 1


def test_either_process_killed_costs_no_sample_of_the_other(bluez: FakeBluez, tmp_path: Path) -> None:
    foot = CountedFoot("FE-left")
    bluez.add(foot, address=LEFT)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"), **QUICK)) as run:
        first = run.decision("left")
        (victim,) = run.pids("infer")
        os.kill(victim, signal.SIGKILL)
        again = run.until(lambda m: isinstance(m, Decision) and m.boot_id != first.boot_id, "decision after the kill")
        assert isinstance(again, Decision)
        health = run.link("left", "streaming")
        assert (health.ring_lost, health.n_lost_samples) == (0, 0)
        (victim,) = run.pids("ingest")
        (reader,) = run.pids("infer")
        os.kill(victim, signal.SIGKILL)
        later = run.until(lambda m: isinstance(m, Decision) and m.stretch > again.stretch, "decision after the other")
        assert later.boot_id == again.boot_id
        assert run.pids("infer") == [reader]
        run.end()
        # What nobody took while there was no ingestion is counted too: the sensor numbers its samples.
        last = run.last_health("left")
        assert last.n_packets * foot.info.n_samples + last.n_lost_samples == foot.n_to_account_for
        assert (last.n_gaps, last.n_lost_estimated) == (1, 0)
        assert sum(gap.n_samples for gap in run.gaps("left")) == last.n_lost_samples
    assert run.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_stops_the_sensor_says_goodbye_and_sums_up(
    bluez: FakeBluez, tmp_path: Path, number: signal.Signals
) -> None:
    foot = CountedFoot("FE-left")
    device = bluez.add(foot, address=LEFT, speed=SPEED)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"))) as run:
        run.decision("left")
        run.end(number)
        deadline_s = time.monotonic() + 10
        while device.is_connected and time.monotonic() < deadline_s:
            bluez.wait_for_tick()
    assert run.process.returncode == 0, run.err
    assert not device.is_connected
    assert not foot.is_streaming
    assert "Summary of" in run.out
    assert "sensor left: decision at the end" in run.out


def test_a_stop_in_the_midst_of_a_start_is_an_orderly_end(bluez: FakeBluez, tmp_path: Path) -> None:
    device = bluez.add(CountedFoot("FE-left"), address=LEFT)
    device.obstruct(CONTROL_UUID, is_answered=False)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"))) as run:
        run.link("left", "subscribing")
        run.end()
    assert run.process.returncode == 0, run.err
    assert run.last_health("left").link == "ended", "ingestion was not killed: it had the time to say so"
    assert not device.is_connected


class Refusing(CountedFoot):
    """Does not start: it is busy, until it says what is wrong."""

    status = Status.BUSY

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """A refusal to every start."""
        if data[:1] == bytes([Op.START]):
            return [(CONTROL_UUID, bytes(Answer(Op.START, self.status)))]
        return super().write(uuid, data, now_us)


def test_a_sensor_that_is_refused_ends_the_run_with_what_the_other_one_gave(bluez: FakeBluez, tmp_path: Path) -> None:
    left, right = CountedFoot("FE-left"), Refusing("FE-right")
    device = bluez.add(left, address=LEFT, speed=SPEED)
    bluez.add(right, address=RIGHT)
    with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"), ("right", "FE-right"))) as run:
        run.decision("left")
        right.status = Status.BAD_VALUE
        run.finish()
    assert run.process.returncode == 2
    assert re.search(r"sensor right: it does not start: it says that the value is bad", run.err)
    assert run.err.strip().splitlines()[-1].startswith("frailedge: the ingest process gave up")
    assert "Traceback" not in run.err
    assert re.search(r"Summary of .*\n +sensor left: decision at the end", run.out)
    assert (device.is_connected, left.is_streaming) == (False, False)
    assert_all_accounted_for(run, "left", left)
    assert run.last_health("right").link != "ended"


def test_a_bus_and_a_bluetoothd_that_start_anew_cost_what_came_meanwhile_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    foot = CountedFoot("FE-left")
    with PrivateBus() as bus, FakeBluez(bus.address) as bluez:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        bluez.add(foot, address=LEFT, speed=SPEED)
        with LiveRun("--config", settings_file(tmp_path, ("left", "FE-left"), **QUICK)) as run:
            newest = run.decision("left")
            bluez.stop()
            run.link("left", *AWAY)
            bluez.start()
            newest = run.decision("left", after_s=newest.window_stop_s)
            bus.kill()
            run.link("left", *AWAY)
            bus.start()
            bluez.start()
            run.decision("left", after_s=newest.window_stop_s)
            run.end()
            health = assert_all_accounted_for(run, "left", foot)
    assert (health.n_reconnects, health.n_gaps, health.n_restarts) == (2, 2, 0)
    assert "restarting it" not in run.err


def test_the_only_known_sensor_is_taken_under_its_id_and_a_choice_is_asked_for(bluez: FakeBluez) -> None:
    bluez.add(CountedFoot("FE-left"), address=LEFT, speed=SPEED)
    name = sensor_id(LEFT, load_salt())
    with LiveRun() as run:
        assert run.decision(name).sensor == name
        run.end()
    assert LEFT not in run.out + run.err
    bluez.add(CountedFoot("FE-right"), address=RIGHT)
    assert_refused(frailedge("live"), "2 sensors", "--sensor", "FE-left", "FE-right", name)
    assert_refused(frailedge("live", "--sensor", "FE-up", "--search-s", "1"), "'FE-up'", "FE-left", "FE-right")
    assert_refused(frailedge("live", "--sensor", name, "--sensor", "FE-left"), "one and the same")
    listed = frailedge("scan", "--seconds", "1")
    assert re.search(rf"FE-left +{name} +-(60|59) dBm +frailedge-v1 +80 %", listed.stdout), listed
    assert LEFT not in listed.stdout + listed.stderr


class Heartbeat(CountedFoot):
    """Something on the air that is no motion sensor."""

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        return ("0000180d-0000-1000-8000-00805f9b34fb",)


def test_a_sensor_of_an_unknown_kind_is_refused_in_one_line(bluez: FakeBluez) -> None:
    heartbeat = Heartbeat("FE-x")
    heartbeat.name = "Pulse"
    bluez.add(heartbeat, address=LEFT)
    assert_refused(frailedge("live", "--sensor", "Pulse"), "'Pulse' is there", "no decoder fits", "--list-sensors")
    assert_refused(frailedge("live", "--search-s", "1"), "no sensor that is known", "Pulse", "unknown kind")
    scanned = frailedge("scan", "--seconds", "1")
    assert scanned.stdout == ""
    assert "1 more that no decoder fits" in scanned.stderr


def test_without_a_radio_that_can_be_used_there_is_one_clear_line(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(frailedge("live", "--adapter", "hci7"), "hci7", "hci0")
    bluez.power(False)
    assert_refused(frailedge("live"), "hci0", "off")
    bluez.power(True)
    bluez.deny(True)
    assert_refused(frailedge("scan"), "bluetooth", "group")
    bluez.deny(False)
    bluez.remove_adapter()
    assert_refused(frailedge("live"), "adapter")
    with PrivateBus() as empty:
        monkeypatch.setenv(ADDRESS_VARIABLE, empty.address)
        assert_refused(frailedge("live"), "bluetoothd")
    assert_refused(frailedge("live"), "D-Bus")
