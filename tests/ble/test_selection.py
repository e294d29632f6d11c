"""Which sensor on the air is meant, where the configuration describes kinds of its own."""

from pathlib import Path

import pytest

from edge.ble.identity import sensor_id
from edge.ble.nearby import scan
from edge.ble.radio import Radio
from edge.ble.selection import find_kind, find_sensors, known_kinds, wanted_sensors
from edge.cli import live
from edge.config import BleConfig, SensorConfig, VirtualConfig
from edge.run_settings import RunSensor
from edge.sources.described_sensor import read_description
from edge.sources.virtual import walk_source
from firmware_bridge.kinds import KINDS
from firmware_bridge.peripherals.described import DescribedPeripheral
from tests.ble.bus import NEEDS_DBUS
from tests.ble.central import LEFT, RIGHT, foot, on_bleak
from tests.ble.fake_bluez import FakeBluez

EXAMPLE = Path(__file__).parents[2] / "configs" / "ble" / "example.toml"
DESCRIBED = BleConfig(
    search_s=5.0, sensors=(SensorConfig(name="right", match="FE-right"), SensorConfig(name="left", kind=str(EXAMPLE)))
)
SALT = bytes(16)
V1 = "frailedge-v1"


def nano() -> DescribedPeripheral:
    return DescribedPeripheral(walk_source(VirtualConfig()), read_description(EXAMPLE), name="FootNano")


def test_the_kinds_are_those_of_the_table_and_those_that_the_configuration_describes() -> None:
    assert list(known_kinds(BleConfig())) == [kind.key for kind in KINDS]
    known = known_kinds(DESCRIBED)
    assert list(known) == [str(EXAMPLE), *(kind.key for kind in KINDS)]
    assert all(find_kind(name).key == kind.key for name, kind in known.items())


def test_the_list_of_sensors_holds_those_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(f"[[ble.sensors]]\nname = 'left'\nkind = '{EXAMPLE}'\n", encoding="utf-8")
    live.command(list_sensors=True, config=config)
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == ["nano33ble", *(kind.key for kind in KINDS)]


@NEEDS_DBUS
@pytest.mark.parametrize("asked", ["FootNano", ""], ids=["asked for by name", "in an entry without kind"])
def test_a_sensor_of_a_described_kind_is_known_wherever_the_configuration_describes_it(
    asked: str, bluez: FakeBluez
) -> None:
    bluez.add(nano(), address=LEFT)
    found: list[RunSensor] = []

    async def work() -> None:
        wanted = wanted_sensors(DESCRIBED, [asked]) if asked else (SensorConfig(name="some"),)
        async with Radio(DESCRIBED) as radio:
            found.extend(await find_sensors(radio, DESCRIBED, wanted, SALT))

    on_bleak(work)
    assert [(sensor.address, sensor.kind) for sensor in found] == [(LEFT, str(EXAMPLE))]


@NEEDS_DBUS
@pytest.mark.parametrize("asked", ["mine", "FE-foot", "fe-foot", sensor_id(LEFT, SALT)])
def test_a_configured_sensor_keeps_its_name_and_axes_whatever_it_is_asked_for_by(bluez: FakeBluez, asked: str) -> None:
    bluez.add(foot(), address=LEFT)
    bluez.add(foot("FE-right"), address=RIGHT)
    mine = SensorConfig(name="mine", match="FE-foot", kind=V1, axes="-x,-y,z")
    config = BleConfig(search_s=5.0, sensors=(mine, SensorConfig(name="any", kind=V1)))
    found: list[RunSensor] = []

    async def work() -> None:
        async with Radio(config) as radio:
            found.extend(await find_sensors(radio, config, wanted_sensors(config, [asked]), SALT))

    on_bleak(work)
    assert [(one.name, one.kind, one.axes) for one in found] == [("mine", V1, "-x,-y,z")]


@NEEDS_DBUS
def test_a_scan_knows_the_kinds_that_the_configuration_describes(bluez: FakeBluez) -> None:
    bluez.add(nano(), address=LEFT)
    bluez.add(foot("FE-right"), address=RIGHT)
    kinds = {one.name: one.kind for one in scan(DESCRIBED, 0.5, with_battery=False)}
    assert kinds == {"FootNano": "nano33ble", "FE-right": "frailedge-v1"}
    assert {one.name: one.kind for one in scan(BleConfig(), 0.5, with_battery=False)}["FootNano"] == ""
