"""`frailedge calibrate` over bleak's own BlueZ backend: the axes of a sensor worn otherwise, ready to be pasted."""

import re
import tomllib
from pathlib import Path

from edge.ble.identity import load_salt, sensor_id
from edge.config import VirtualConfig
from edge.sources.virtual import walk_source
from firmware_bridge.packet_v1 import Frame, Info
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bus import NEEDS_DBUS
from tests.ble.fake_bluez import FakeBluez
from tests.edge.cli.run import frailedge

pytestmark = NEEDS_DBUS

LEFT, RIGHT = "C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02"
SPEED = 8.0
"""The feet walk so many times as fast as a clock."""
WORN_AS = 'name = "left"\nmatch = "FE-left"\naxes = "{axes}"'
PASTED = re.compile(r"\[\[ble\.sensors\]\]\n(?:\w+ = .*\n)+")


def foot(name: str, frame: Frame, seed: int) -> PeripheralV1:
    """A virtual foot whose axes are the foot's, whether or not it says so."""
    return PeripheralV1(walk_source(VirtualConfig(seed=seed)), name=name, info=Info(boot_id=seed, frame=frame))


def test_two_sensors_are_calibrated_each_with_its_own_axes_and_what_is_pasted_is_as_configured(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    bluez.add(foot("FE-left", Frame.SENSOR, seed=1), address=LEFT, speed=SPEED)
    bluez.add(foot("FE-right", Frame.FOOT, seed=2), address=RIGHT, speed=SPEED)
    config = tmp_path / "frailedge.toml"
    config.write_text(f"[[ble.sensors]]\n{WORN_AS.format(axes='-x,-y,z')}\n")
    first = frailedge("calibrate", "--config", config, "--sensor", "left", "--sensor", "FE-right")
    assert first.returncode == 0, first.stderr
    assert "left: The sensor's axes x,y,z point to toe, left and up (10 strides)" in first.stdout
    assert "left: It is worn otherwise than configured (-x,-y,z)" in first.stdout
    right = sensor_id(RIGHT, load_salt())
    assert f"{right}: It is worn as configured" in first.stdout
    (pasted,) = PASTED.findall(first.stdout)  # the right one turns its axes itself: there is nothing to configure
    assert tomllib.loads(pasted) == tomllib.loads(f"[[ble.sensors]]\n{WORN_AS.format(axes='x,y,z')}")
    config.write_text(pasted)
    again = frailedge("calibrate", "--config", config)
    assert again.returncode == 0, again.stderr
    assert "left: It is worn as configured" in again.stdout
    assert not PASTED.search(again.stdout)
    assert LEFT not in first.stdout + first.stderr + again.stdout + again.stderr
