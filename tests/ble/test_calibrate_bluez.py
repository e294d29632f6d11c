"""`frailedge calibrate` over bleak's own BlueZ backend: the axes of a sensor worn otherwise, ready to be pasted."""

import re
from pathlib import Path

from edge.ble.identity import load_salt, sensor_id
from edge.config import SensorConfig, VirtualConfig, load_config
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
BACK_TO_FRONT = '[[ble.sensors]]\nname = "left"\nmatch = "FE-left"\naxes = "-x,-y,z"\n'
PASTED = re.compile(r"\[\[ble\.sensors\]\]\n(?:\w+ = .*\n)+")


def foot(name: str, seed: int) -> PeripheralV1:
    """A virtual foot whose axes are the foot's, and which does not say so."""
    return PeripheralV1(walk_source(VirtualConfig(seed=seed)), name=name, info=Info(boot_id=seed, frame=Frame.SENSOR))


def test_two_sensors_are_calibrated_each_with_its_own_axes_until_both_are_told(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    feet = foot("FE-left", seed=1), foot("FE-right", seed=2)
    for one, address in zip(feet, (LEFT, RIGHT), strict=True):
        bluez.add(one, address=address, speed=SPEED)
    config = tmp_path / "frailedge.toml"
    config.write_text(BACK_TO_FRONT)
    told = frailedge("calibrate", "--config", config, "--sensor", "FE-left", "--sensor", "FE-right")
    assert told.returncode == 0, told.stderr
    assert "left: The sensor's axes x,y,z point to toe, left and up (10 strides)" in told.stdout
    assert "left: It is worn otherwise than configured (-x,-y,z)" in told.stdout
    right = sensor_id(RIGHT, load_salt())
    assert f"{right}: It is worn as configured" in told.stdout
    config.write_text("".join(PASTED.findall(told.stdout)))
    left_one, right_one = load_config(config).ble.sensors
    assert left_one == SensorConfig(name="left", match="FE-left", axes="x,y,z")
    assert (right_one.match, right_one.axes) == ("FE-right", "x,y,z")
    assert right_one.name in {right, "right"}  # by its foot where the swing tells it
    assert LEFT not in told.stdout + told.stderr
    assert not any(one.is_streaming for one in feet)  # both were told goodbye
