"""Each check of `frailedge doctor` against real files, a real D-Bus and real sockets: right, wrong and not known."""

import asyncio
import contextlib
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.ble.bluez import Adapter, BluezState, RadioPermissionError, bluez_state
from edge.bus import Publisher
from edge.config import BleConfig, Config, LiveConfig, ModelConfig, SensorConfig
from edge.doctor import examine
from edge.doctor.finding import Finding, Level
from edge.doctor.machine import check_clock, check_disk, check_rfkill, check_shared_chip
from edge.doctor.main_conf import check_main_conf, fragment
from edge.doctor.program import check_configuration, check_model, check_ports
from edge.doctor.radio import adapter_in_use, check_adapter, check_permission, check_transport, check_version
from edge.errors import RadioError
from edge.messages import Signal
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.fake_bluez import FakeBluez
from tests.edge.cli.run import free_endpoint
from tests.tiny_bundle import write_tiny_bundle

NO_ANSWER = RadioError("bluetoothd is not running: sudo systemctl start bluetooth")
ONE_ADAPTER = BluezState((Adapter("hci0", is_powered=True, is_le=True),), (5, 66))
PI = "Raspberry Pi 4 Model B Rev 1.4\0"
UART = "sys/devices/platform/soc/fe201000.serial/serial0/serial0-0/bluetooth/hci0"
USB = "sys/devices/platform/scb/fd500000.pcie/usb1/1-1/1-1.4/1-1.4:1.0/bluetooth/hci0"


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def put_switch(root: Path, index: int, name: str, *, soft: str = "0", hard: str = "0", kind: str = "bluetooth") -> None:
    for file, text in (("type", kind), ("name", name), ("soft", soft), ("hard", hard)):
        put(root, f"sys/class/rfkill/rfkill{index}/{file}", f"{text}\n")


def put_adapter(root: Path, device: str) -> None:
    (root / device).mkdir(parents=True)
    link = root / "sys/class/bluetooth" / Path(device).name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(root / device)


def put_wifi(root: Path, state: str) -> None:
    (root / "sys/class/net/wlan0/wireless").mkdir(parents=True)
    put(root, "sys/class/net/wlan0/operstate", f"{state}\n")
    put(root, "sys/class/net/eth0/operstate", "up\n")


def put_script(folder: Path, text: str) -> str:
    path = put(folder, "script", f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@contextlib.contextmanager
def publishing(endpoint: str) -> Iterator[None]:
    """A publisher of ours at work, in a thread as its own process would be."""
    is_up, stop = threading.Event(), threading.Event()

    def publish() -> None:
        publisher = Publisher(endpoint)
        publisher.send(
            Signal(sensor="left", stretch=0, sample_start=0, decimation=4, rate_hz=104.0, samples=[[0.0] * 6])
        )
        is_up.set()
        while not stop.is_set():
            publisher.serve(0.01)
        publisher.close()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        assert is_up.wait(10)
        yield
    finally:
        stop.set()
        thread.join()


def named(findings: list[Finding]) -> dict[str, Finding]:
    by_name = {found.name: found for found in findings}
    assert len(by_name) == len(findings)
    return by_name


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    with PrivateBus() as bus:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        yield bus


@NEEDS_DBUS
def test_a_machine_with_everything_right_has_no_warning(
    bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    put(tmp_path, "etc/bluetooth/main.conf", "[General]\n#Name=x\n" + fragment())
    put(tmp_path, "run/systemd/timesync/synchronized", "")
    put(tmp_path, "proc/device-tree/model", PI)
    put_adapter(tmp_path, USB)
    put_switch(tmp_path, 0, "hci0")
    put_wifi(tmp_path, "up")
    config = put(
        tmp_path,
        "mine.toml",
        f'[publish]\nendpoint = "{free_endpoint()}"\n'
        '[[ble.sensors]]\nname = "left"\nkind = "frailedge-v1"\naxes = "x,-z,y"\n',
    )
    with FakeBluez(bus.address):
        findings = examine(config, root=tmp_path)
    assert {found.level for found in findings} == {Level.OK}, "\n".join(found.line for found in findings)
    assert all("\n" not in found.line for found in findings)
    assert "bluetoothd 5.66" in named(findings)["bluez"].words


@NEEDS_DBUS
def test_a_machine_without_anything_is_not_called_good(
    bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.kill()
    (tmp_path / "sys/class").mkdir(parents=True)
    config = put(tmp_path, "mine.toml", f'[publish]\nendpoint = "{free_endpoint()}"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    found = named(examine(config, root=tmp_path))
    good = {name for name, finding in found.items() if finding.level is Level.OK}
    assert good == {"configuration", "model", "disk", "ports"}
    failed = {name for name, finding in found.items() if finding.level is Level.FAILURE}
    assert failed == {"bluez", "adapter"}
    assert all(found[name].advice for name in failed)


def test_a_bumble_transport_makes_the_checks_of_bluez_not_apply(tmp_path: Path) -> None:
    config = put(tmp_path, "mine.toml", f'[ble]\nbackend = "usb:0"\n[publish]\nendpoint = "{free_endpoint()}"\n')
    found = named(examine(config, root=tmp_path))
    for name in ("bluez", "permission", "rfkill", "main.conf", "shared chip"):
        assert found[name].level is Level.OK
        assert "does not apply" in found[name].words
    assert found["adapter"] == check_transport("usb:0")
    assert found["adapter"].level is Level.WARNING


def test_a_bumble_transport_without_bumble_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bumble", None)
    found = check_transport("usb:0")
    assert (found.level, "frailedge[bumble]" in found.advice) == (Level.FAILURE, True)


def test_a_configuration_that_cannot_be_read_is_a_finding_and_the_rest_is_checked(tmp_path: Path) -> None:
    findings = examine(put(tmp_path, "mine.toml", "[bel]\n"), root=tmp_path)
    found = named(findings)
    assert found["configuration"].level is Level.FAILURE
    assert "'bel'" in found["configuration"].words
    assert found["model"].level is Level.OK


@pytest.mark.parametrize(
    ("sensor", "words"),
    [
        (SensorConfig(name="left", axes="x,y"), 'axes "x,y"'),
        (SensorConfig(name="left", kind="abacus"), "abacus"),
        (SensorConfig(name="left", kind="nowhere/mine.toml"), "nowhere/mine.toml"),
    ],
)
def test_a_sensor_of_the_configuration_that_cannot_be_used_is_named(sensor: SensorConfig, words: str) -> None:
    found = check_configuration(Config(ble=BleConfig(sensors=(sensor,))), Path("mine.toml"))
    assert found.level is Level.FAILURE
    assert "mine.toml: ble.sensors left: " in found.words
    assert words in found.words


@NEEDS_DBUS
def test_a_user_who_may_not_ask_bluez_fails_the_line_permission_only(bus: PrivateBus, tmp_path: Path) -> None:
    with FakeBluez(bus.address) as bluez:
        bluez.deny(True)
        with pytest.raises(RadioPermissionError) as refused:
            asyncio.run(bluez_state())
    assert check_permission(refused.value).level is Level.FAILURE
    assert "group bluetooth" in check_permission(refused.value).advice
    assert check_version(refused.value).level is Level.WARNING
    assert check_adapter(refused.value, "", tmp_path).level is Level.WARNING


def test_an_adapter_that_a_run_would_not_take_fails_with_what_to_do(tmp_path: Path) -> None:
    off = BluezState((Adapter("hci0", is_powered=False, is_le=True),), None)
    assert "bluetoothctl power on" in check_adapter(off, "", tmp_path).advice
    assert check_adapter(ONE_ADAPTER, "hci1", tmp_path).level is Level.FAILURE
    silent_about_le = BluezState((Adapter("hci0", is_powered=True, is_le=None),), None)
    assert check_adapter(silent_about_le, "", tmp_path).level is Level.WARNING
    put_adapter(tmp_path, UART)
    assert "hci0" in check_adapter(NO_ANSWER, "", tmp_path).words
    assert check_adapter(NO_ANSWER, "", tmp_path).level is Level.WARNING


def test_the_files_looked_at_are_those_of_the_adapter_in_use(tmp_path: Path) -> None:
    assert adapter_in_use(NO_ANSWER, "", tmp_path) == ""
    put_adapter(tmp_path, "sys/devices/usb1/hci10")
    put_adapter(tmp_path, "sys/devices/usb1/hci2")
    put_adapter(tmp_path, "sys/devices/usb1/hci0:11")
    assert adapter_in_use(NO_ANSWER, "", tmp_path) == "hci2"
    assert adapter_in_use(NO_ANSWER, "hci7", tmp_path) == "hci7"
    two = BluezState(
        (Adapter("hci0", is_powered=False, is_le=True), Adapter("hci1", is_powered=True, is_le=True)), None
    )
    assert adapter_in_use(two, "", tmp_path) == "hci1"


def test_the_version_is_the_daemons_else_that_of_its_tool_else_not_known(tmp_path: Path) -> None:
    silent = BluezState(ONE_ADAPTER.adapters, None)
    assert check_version(ONE_ADAPTER, "/nowhere").level is Level.OK
    assert check_version(BluezState((), (5, 50))).level is Level.WARNING
    assert check_version(silent, "/nowhere").level is Level.WARNING
    old = check_version(silent, put_script(tmp_path, "echo bluetoothctl: 5.54"))
    assert (old.level, "5.54" in old.words) == (Level.WARNING, True)
    assert check_version(silent, put_script(tmp_path, "echo bluetoothctl: 5.82")).level is Level.OK


def test_a_blocked_radio_fails_and_that_of_another_adapter_does_not(tmp_path: Path) -> None:
    assert check_rfkill("hci0", tmp_path).level is Level.WARNING
    put_switch(tmp_path, 0, "phy0", soft="1", kind="wlan")
    assert check_rfkill("hci0", tmp_path).level is Level.WARNING
    put_switch(tmp_path, 1, "hci0")
    put_switch(tmp_path, 2, "hci1", soft="1")
    assert check_rfkill("hci0", tmp_path).level is Level.OK
    assert "unblock" in check_rfkill("hci1", tmp_path).advice
    assert check_rfkill("", tmp_path).level is Level.FAILURE
    put_switch(tmp_path, 3, "laptop_bluetooth", hard="1")
    found = check_rfkill("hci0", tmp_path)
    assert (found.level, "laptop_bluetooth" in found.words) == (Level.FAILURE, True)


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        (fragment(), Level.OK, "15 ms and a timeout of 4 s"),
        ("[LE]\n#MinConnectionInterval=\n" + fragment(), Level.OK, "15 ms"),
        (fragment().replace("=12", "=0x0006"), Level.OK, "7.5 ms"),
        ("[General]\nName=x\n", Level.WARNING, "MinConnectionInterval is not set"),
        (fragment() + "MaxConnectionInterval=40\n", Level.WARNING, "MaxConnectionInterval is 40"),
        (fragment().replace("=400", "=42"), Level.WARNING, "ConnectionSupervisionTimeout is 42"),
        (fragment().replace("=400", "=4 s"), Level.WARNING, "no number"),
        (fragment().replace("[LE]", "[BR]"), Level.WARNING, "is not set"),
        ("[General]\nDiscoverable\n" + fragment(), Level.WARNING, "its line 2"),
    ],
)
def test_the_connection_parameters_are_read_as_bluetoothd_reads_them(
    tmp_path: Path, text: str, level: Level, words: str
) -> None:
    put(tmp_path, "etc/bluetooth/main.conf", text)
    found = check_main_conf(tmp_path)
    assert found.level is level
    assert words in found.words


def test_the_page_on_bluetooth_shows_the_very_lines() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "bluetooth.md").read_text(encoding="utf-8")
    assert textwrap.indent(fragment(), "    ") in page


def test_what_the_file_lacks_comes_with_the_command_that_adds_it(tmp_path: Path) -> None:
    assert "apt install bluez" in check_main_conf(tmp_path).advice
    (tmp_path / "etc/bluetooth").mkdir(parents=True)
    found = check_main_conf(tmp_path)
    assert found.level is Level.WARNING
    assert "doctor --main-conf | sudo tee -a /etc/bluetooth/main.conf" in found.advice


@pytest.mark.parametrize(
    ("model", "device", "wifi", "level", "words"),
    [
        (PI, UART, "up", Level.WARNING, "one chip of this Raspberry Pi 4"),
        (PI, UART.replace("serial0/serial0-0/bluetooth", "tty/ttyAMA0"), "up", Level.WARNING, "one chip"),
        (PI, USB, "up", Level.OK, "on USB"),
        (PI, UART, "down", Level.OK, "not in use"),
        ("Another board\0", USB, "up", Level.WARNING, "not known"),
        (PI, "sys/devices/virtual/bluetooth/hci0", "up", Level.WARNING, "not known"),
    ],
)
def test_wifi_and_bluetooth_on_one_chip_are_told_by_board_and_bus(
    tmp_path: Path, model: str, device: str, wifi: str, level: Level, words: str
) -> None:
    put(tmp_path, "proc/device-tree/model", model)
    put_adapter(tmp_path, device)
    put_wifi(tmp_path, wifi)
    found = check_shared_chip("hci0", tmp_path)
    assert found.level is level
    assert words in found.words


def test_a_machine_that_shows_no_network_is_not_called_good(tmp_path: Path) -> None:
    assert check_shared_chip("hci0", tmp_path).level is Level.WARNING


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        ("echo yes", Level.OK, "kept"),
        ("echo no", Level.WARNING, "no time server has set it"),
        ("echo cannot >&2; exit 1", Level.WARNING, "not known"),
    ],
)
def test_the_clock_is_right_only_where_the_machine_says_so(
    tmp_path: Path, answer: str, level: Level, words: str
) -> None:
    found = check_clock(tmp_path, put_script(tmp_path, answer))
    assert found.level is level
    assert words in found.words
    put(tmp_path, "run/systemd/timesync/synchronized", "")
    assert check_clock(tmp_path, "/nowhere").level is Level.OK


def test_a_disk_without_room_for_the_ring_or_a_place_of_its_own_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "not/yet/there"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert check_disk(Config()).level is Level.OK
    endless = check_disk(Config(live=LiveConfig(ring_slots=1 << 50)))
    assert (endless.level, "live.ring_slots" in endless.advice) == (Level.FAILURE, True)
    (tmp_path / "frailedge").chmod(0o755)
    assert "0700" in check_disk(Config()).words


def test_a_model_that_does_not_open_fails_with_the_reason(tmp_path: Path) -> None:
    assert check_model(Config()).level is Level.OK
    missing = check_model(Config(model=ModelConfig(bundle=str(tmp_path / "none"))))
    assert (missing.level, "no such folder" in missing.words) == (Level.FAILURE, True)
    assert check_model(Config(model=ModelConfig(runtime="abacus"))).level is Level.FAILURE
    write_tiny_bundle(tmp_path / "removed", gravity="removed")
    removed = check_model(Config(model=ModelConfig(bundle=str(tmp_path / "removed"))))
    assert (removed.level, "gravity removed" in removed.words) == (Level.FAILURE, True)


def test_an_address_is_free_or_held_by_somebody_or_would_leave_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = free_endpoint()
    assert check_ports(endpoint).level is Level.OK
    assert check_ports(endpoint).level is Level.OK, "it was given back"
    assert check_ports("tcp://192.0.2.1:5556").level is Level.FAILURE
    monkeypatch.setattr("edge.doctor.program._HEARD_WITHIN_S", 0.05)
    publisher = Publisher(endpoint)
    try:
        taken = check_ports(endpoint)
    finally:
        publisher.close()
    assert (taken.level, "publishes there already" in taken.words) == (Level.FAILURE, True)


def test_an_address_that_a_running_frailedge_holds_is_said_to_be_its() -> None:
    endpoint = free_endpoint()
    with publishing(endpoint):
        found = check_ports(endpoint)
    assert (found.level, "a running frailedge" in found.words) == (Level.WARNING, True)
