"""A TOML file of a sensor of one's own: the example works, and whatever is wrong with a file is one line."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.paths import configs_dir
from edge.sources.described_sensor import load_described, read_description
from firmware_bridge.device import Advert, Losses, Subscribe, Write
from firmware_bridge.events import Block
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.described import DescribedPeripheral

EXAMPLE = configs_dir() / "ble" / "example.toml"
SERVICE = "19b10000-e8f2-537e-4f6c-d104768a1214"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_the_example_is_a_sensor_whose_packet_is_read_to_the_byte() -> None:
    kind = load_described(EXAMPLE)
    assert (kind.key, kind.rate_hz, kind.losses, kind.source) == ("nano33ble", 119.0, Losses.EXACT, "example.toml")
    assert kind.fits(Advert("FootNano", frozenset({SERVICE})))
    assert not kind.fits(Advert("FootNano"))
    counts = np.arange(24, dtype="<i2") * 100
    device = kind.make()
    (block,) = device.feed("19b10001-e8f2-537e-4f6c-d104768a1214", b"\x07\x00\xe8\x03\x00\x00" + counts.tobytes(), 0)
    assert isinstance(block, Block)
    scale = np.array([0.000122 * 9.80665] * 3 + [np.radians(0.07)] * 3)
    np.testing.assert_allclose(block.samples, counts.reshape(4, 6) * scale, rtol=1e-6)
    assert block.device_time_ns[0] == 1_000_000_000
    assert device.stream.longest_packet_s == 4 / 119


def test_the_example_starts_and_stops_its_virtual_sensor() -> None:
    description = read_description(EXAMPLE)
    kind = load_described(EXAMPLE)
    peripheral = DescribedPeripheral(lambda _: iter([np.zeros((400, 6), np.float32)]), description)
    control = "19b10002-e8f2-537e-4f6c-d104768a1214"
    device = kind.make()
    assert rehearse(device.start(0), peripheral) == [Subscribe(description.data_uuid), Write(control, b"\x01")]
    n_heard = sum(len(device.feed(uuid, data, t * 1000)) for t, (uuid, data) in peripheral.notifications(2_000_000))
    assert n_heard == peripheral.counts.packets_sent > 50
    assert rehearse(device.stop(), peripheral) == [Write(control, b"\x00")]
    assert kind.fits(Advert(peripheral.name, frozenset(peripheral.advertised_uuids)))


def test_short_uuids_one_scale_for_each_axis_and_si_units_are_understood(tmp_path: Path) -> None:
    path = changed(tmp_path, '"19b10001-e8f2-537e-4f6c-d104768a1214"', '"FFE4"')
    text = path.read_text(encoding="utf-8")
    text = text.replace('unit = "g" ', 'unit = "m/s^2" ').replace("scale = 0.000122", "scale = [1, -2, 0.5]")
    path.write_text(text, encoding="utf-8")
    description = read_description(path)
    assert description.data_uuid == "0000ffe4-0000-1000-8000-00805f9b34fb"
    assert [channel.si_per_count for channel in description.channels[:3]] == [1.0, -2.0, 0.5]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate_hz =", "rate =", "unknown key 'rate'; the nearest known one is 'rate_hz'"),
        ("tick_us =", "tick =", "unknown key 'clock.tick'; the nearest known one is 'clock.tick_us'"),
        ("rate_hz = 119.0", "", "missing required field `rate_hz`"),
        ("rate_hz = 119.0", "rate_hz = 0", "rate_hz = 0; it must be above 0"),
        ("rate_hz = 119.0", "rate_hz = nan", "rate_hz = nan; it must be above 0"),
        ("rate_hz = 119.0", 'rate_hz = "fast"', "Expected `float`, got `str` - at `$.rate_hz`"),
        ("rate_hz = 119.0", "rate_hz = ", "this is no TOML"),
        ('key = "nano33ble"', 'key = "my nano"', "key 'my nano': a key has 1 to 64 letters"),
        ('"19b10001-e8f2-537e-4f6c-d104768a1214"', '"19b10001"', "data = '19b10001' is no UUID"),
        ('"19b10000-e8f2-537e-4f6c-d104768a1214"', '"x"', "service = 'x' is no UUID"),
        ("offsets = [12, 14, 16]", "offsets = [12, 14]", "Expected `array` of length 3, got 2 - at `$.gyr.offsets`"),
        ("offsets = [12, 14, 16]", "offsets = [12, 14, -1]", "in [gyr]: an offset of -1; it counts bytes from 0"),
        ("packet_bytes = 54", "packet_bytes = 52", "gyr_z ends at byte 54, but a packet has packet_bytes = 52"),
        ("packet_bytes = 54", "packet_bytes = 600", "packet_bytes = 600; a notification has 1 to 512"),
        ("stride_bytes = 12", "", "stride_bytes is missing"),
        ('unit = "deg/s"', 'unit = "dps"', "Invalid enum value 'dps' - at `$.gyr.unit`"),
        ("scale = 0.07", "scale = 0.0", "in [gyr]: a scale of 0"),
        ('type = "u16"', 'type = "u24"', "in [counter]: type 'u24' is none of i8, u8"),
        ('type = "u16"', 'type = "f32"', "in [counter]: a counter is no floating-point number"),
        ("# modulo = 65536 ", "modulo = 65537 ", "in [counter]: a modulo of 65537"),
        ('counts = "packets"', 'counts = "bytes"', "Invalid enum value 'bytes' - at `$.counter.counts`"),
        ("tick_us = 1000.0", "tick_us = 0", "in [clock]: a tick of 0"),
        ('hex = "01"', 'hex = "1"', "in [start]: hex = '1'; write bytes as two hexadecimal digits"),
        ('hex = "00"', 'hex = ""', "in [stop]: hex is empty"),
        (
            'uuid = "19b10002-e8f2-537e-4f6c-d104768a1214"\nhex = "01"',
            'uuid = "?"\nhex = "01"',
            "in [start]: uuid = '?'",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_with_its_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        load_described(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert said in text
    assert "\n" not in text


def test_a_file_that_says_neither_name_nor_service_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, 'name_prefix = "FootNano"', "")
    path.write_text(path.read_text(encoding="utf-8").replace(f'service = "{SERVICE}"', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="neither name_prefix nor service: say by which the sensor is known"):
        load_described(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_described(tmp_path / "none.toml")
