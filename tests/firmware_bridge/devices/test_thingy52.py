"""Nordic Thingy:52: the decoder and the virtual sensor, each against bytes and formats that Nordic published."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.device import Advert, DeviceError, Read, Subscribe, Write
from firmware_bridge.devices.thingy52 import CONFIG_UUID, KIND, RAW_UUID, Thingy52
from firmware_bridge.events import Block, CorruptPacket, Event, Gap
from firmware_bridge.peripheral import Peripheral, rehearse
from firmware_bridge.peripherals.thingy52 import Thingy52Peripheral
from firmware_bridge.virtual_sensor import Faults

G = STANDARD_GRAVITY_M_S2
FOREVER_US = 10**12
CONFIG_10_HZ = bytes.fromhex("e803 f401 f401 0a00 01")
"""The default of the firmware's ``m_motion.h`` in the order of ``firmware_architecture.html``."""
CONFIG_100_HZ = bytes.fromhex("e803 f401 f401 6400 01")


def noise(n_samples: int, acc_m_s2: float = 8.0, gyr_rad_s: float = 4.0) -> Samples:
    rng = np.random.default_rng(1)
    scale = np.repeat([acc_m_s2, gyr_rad_s], 3)
    samples: Samples = (rng.uniform(-1, 1, (n_samples, 6)) * scale).astype(np.float32)
    return samples


def started(samples: Samples, faults: Faults | None = None) -> tuple[Thingy52, Thingy52Peripheral]:
    device, sensor = Thingy52(), Thingy52Peripheral(lambda _rate_hz: [samples], faults=faults)
    rehearse(device.start(0), sensor)
    return device, sensor


def decode(device: Thingy52, sensor: Thingy52Peripheral, until_us: int = FOREVER_US) -> list[Event]:
    return [e for t_us, (uuid, data) in sensor.notifications(until_us) for e in device.feed(uuid, data, t_us * 1000)]


def samples_of(events: list[Event]) -> Samples:
    return np.concatenate([event.samples for event in events if isinstance(event, Block)])


def only_block(events: list[Event]) -> Block:
    (block,) = events
    assert isinstance(block, Block)
    return block


def test_the_bytes_of_a_thingy_on_a_table_are_one_g() -> None:
    """Nordic DevZone 47415: acceleration FAFF F4FF F603 of a Thingy:52 that lay on a table.

    ``drv_motion.c`` turns the accelerometer by -1 against the gyroscope: 1.0 g stands for an axis that points down.
    """
    block = only_block(Thingy52().feed(RAW_UUID, bytes.fromhex("faff f4ff f603" + "0000" * 6), 7))
    np.testing.assert_allclose(block.samples[0, ACC] / G, [6 / 1024, 12 / 1024, -1014 / 1024], rtol=1e-6)
    assert not block.saturated.any()
    assert block.received_ns == 7


def test_the_raw_formats_are_6q10_and_11q5() -> None:
    """``firmware_architecture.html``, raw data characteristic: 0.5 g is 512, 90 deg/s is 2880 (and not 23040)."""
    data = bytes.fromhex("0002 00fe 0004 400b c0f4 2000 6400 6400 6400")
    block = only_block(Thingy52().feed(RAW_UUID, data, 0))
    np.testing.assert_allclose(block.samples[0, ACC] / G, [-0.5, 0.5, -1.0], rtol=1e-6)
    np.testing.assert_allclose(np.degrees(block.samples[0, GYR]), [90, -90, 1], rtol=1e-6)


def test_starting_writes_the_default_configuration_with_100_hz_and_nothing_else() -> None:
    device, sensor = Thingy52(), Thingy52Peripheral(lambda _rate_hz: [])
    assert sensor.read(CONFIG_UUID, 0) == CONFIG_10_HZ
    steps = rehearse(device.start(0), sensor)
    assert steps == [Read(CONFIG_UUID), Write(CONFIG_UUID, CONFIG_100_HZ), Subscribe(RAW_UUID)]
    assert sensor.rate_hz == 100.0
    assert rehearse(device.stop(), sensor) == []


def test_a_rate_that_is_set_already_is_not_written_to_flash_again() -> None:
    device, sensor = started(noise(1))
    sensor.link_lost()
    assert rehearse(device.start(0), sensor) == [Read(CONFIG_UUID), Subscribe(RAW_UUID)]


def test_a_configuration_of_another_length_is_refused() -> None:
    talk = Thingy52().start(0)
    next(talk)
    with pytest.raises(DeviceError, match="8 bytes, not 9"):
        talk.send(bytes(8))


def test_the_virtual_sensor_keeps_its_configuration_where_one_is_out_of_its_limits() -> None:
    sensor = Thingy52Peripheral(lambda _rate_hz: [])
    for config in ("6300 f401 f401 6400 01", "e803 f401 f401 c900 01", "e803 f401 f401 6400 02", "e803"):
        sensor.write(CONFIG_UUID, bytes.fromhex(config), 0)
        assert sensor.read(CONFIG_UUID, 0) == CONFIG_10_HZ


def test_the_virtual_sensor_sends_the_bytes_of_the_format_table() -> None:
    up = np.array([[0, 0, -G, np.radians(90), np.radians(-90), np.radians(1)]], np.float32)
    _, sensor = started(up)
    assert list(sensor.notifications(FOREVER_US)) == [
        (0, (RAW_UUID, bytes.fromhex("0000 0000 0004 400b c0f4 2000 0000 0000 0000")))
    ]


def test_a_stream_is_decoded_to_its_samples_within_half_a_count() -> None:
    sent = noise(300)
    events = decode(*started(sent))
    got = samples_of(events)
    assert len(events) == len(got) == 300
    assert np.abs(got[:, ACC] - sent[:, ACC]).max() <= 0.501 * G / 1024
    assert np.abs(got[:, GYR] - sent[:, GYR]).max() <= 0.501 * np.radians(1 / 32)
    blocks = [event for event in events if isinstance(event, Block)]
    assert [block.first_sample_index for block in blocks] == list(range(300))
    assert not any(block.saturated.any() for block in blocks)


def test_clipped_samples_are_marked_and_others_are_not() -> None:
    rows = np.zeros((8, 6), np.float32)
    rows[0, 0], rows[1, 1], rows[2, 2] = 2.5 * G, -2.5 * G, 1.9 * G
    rows[3, 3], rows[4, 4], rows[5, 5] = np.radians(1500), np.radians(-1500), np.radians(1020)
    rows[6, 3] = np.radians(-1023.5)
    blocks = [e for e in decode(*started(rows)) if isinstance(e, Block)]
    assert [bool(b.saturated[0]) for b in blocks] == [True, True, False, True, True, False, False, False]
    assert np.degrees(blocks[3].samples[0, 3]) == pytest.approx(1023)
    assert np.degrees(blocks[4].samples[0, 4]) == pytest.approx(-1024)
    assert blocks[0].samples[0, 0] == pytest.approx(2 * G)


def test_a_lost_link_is_an_estimated_gap() -> None:
    device, sensor = started(noise(1000))
    before = decode(device, sensor, 990_000)
    sensor.link_lost()
    assert decode(device, sensor, 3_000_000) == []
    rehearse(device.start(0), sensor)
    after = decode(device, sensor, 4_000_000)
    gap = after[0]
    assert isinstance(gap, Gap)
    assert gap.is_estimated
    assert (gap.first_sample_index, gap.n_samples) == (len(before), sensor.counts.samples_idle)


def test_a_silence_is_an_estimated_gap() -> None:
    device = Thingy52()
    device.feed(RAW_UUID, bytes(18), 0)
    gap, block = device.feed(RAW_UUID, bytes(18), 3_000_000_000)
    assert gap == Gap(1, 299, 3_000_000_000, is_estimated=True)
    assert isinstance(block, Block)
    assert block.first_sample_index == 300


@pytest.mark.parametrize("n_bytes", [0, 1, 17, 19, 36])
def test_a_notification_of_the_wrong_length_is_corrupt_and_one_lost_sample(n_bytes: int) -> None:
    device = Thingy52()
    device.feed(RAW_UUID, bytes(18), 0)
    (corrupt,) = device.feed(RAW_UUID, bytes(n_bytes), 10_000_000)
    assert isinstance(corrupt, CorruptPacket)
    assert f"{n_bytes} bytes" in corrupt.reason
    assert device.feed(RAW_UUID, bytes(18), 20_000_000)[0] == Gap(1, 1, 20_000_000, is_estimated=True)


def test_every_spoilt_notification_is_reported_and_its_sample_counted() -> None:
    device, sensor = started(noise(400), Faults(spoil=0.1))
    events = decode(device, sensor)
    counts = sensor.counts
    assert counts.samples_spoilt > 20
    assert sum(isinstance(e, CorruptPacket) for e in events) == counts.packets_spoilt
    n_lost = sum(e.n_samples for e in events if isinstance(e, Gap))
    assert len(samples_of(events)) + n_lost == 400


@given(st.lists(st.one_of(st.binary(max_size=40), st.binary(min_size=18, max_size=18)), max_size=30))
def test_no_bytes_raise_or_make_a_sample_out_of_range(notifications: list[bytes]) -> None:
    device = Thingy52()
    for n, data in enumerate(notifications):
        for event in device.feed(RAW_UUID, data, n * 10_000_000):
            if isinstance(event, Block):
                assert np.isfinite(event.samples).all()
                assert np.abs(event.samples[:, ACC]).max() <= 32.001 * G
                assert np.abs(event.samples[:, GYR]).max() <= np.radians(1024.01)


def test_it_is_known_by_its_configuration_service_under_any_name() -> None:
    sensor: Peripheral = Thingy52Peripheral(lambda _rate_hz: [])
    assert KIND.fits(Advert(sensor.name, frozenset(sensor.advertised_uuids)))
    assert KIND.fits(Advert("left foot", frozenset({"ef680100-9b35-4933-9b10-52ffa9740042"})))
    assert not KIND.fits(Advert("Thingy", frozenset({"0000180f-0000-1000-8000-00805f9b34fb"})))
    assert len(sensor.name) <= 8


def test_the_table_says_what_the_stream_says() -> None:
    stream = KIND.make().stream
    assert stream.rate_hz == KIND.rate_hz
    assert stream.acc_range_m_s2 == pytest.approx(KIND.acc_range_g * G)
    assert np.degrees(stream.gyr_range_rad_s) == pytest.approx(KIND.gyr_range_deg_s)
    assert not stream.has_clock
