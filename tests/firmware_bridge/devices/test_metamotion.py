"""MetaMotion: the decoder and the virtual sensor, each against the bytes in the tests of the maker's SDK."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.device import Advert, Ask, DeviceError, Subscribe, Write
from firmware_bridge.devices.metamotion import (
    COMMAND_UUID,
    KIND,
    LASTING_PAIRS,
    MAX_AHEAD,
    NOTIFY_UUID,
    MetaMotion,
)
from firmware_bridge.events import Block, CorruptPacket, Event, Gap
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.metamotion import MetaMotionPeripheral
from firmware_bridge.virtual_sensor import Faults

G = STANDARD_GRAVITY_M_S2
FOREVER_US = 10**12
MS = 1_000_000
ACC_BYTES = bytes.fromhex("0304 16c4 94a2 2ad0")
ACC_G_AT_4_G = (-1.872, -2.919, -1.495)
"""``test_accelerometer_bmi160.py``, ``test_get_acceleration_data_g``; the SDK rounds to 0.001."""
GYR_BYTES = bytes.fromhex("1305 3e43 ff7f 0080")
GYR_DEG_S_AT_500 = (262.409, 499.497, -499.512)
"""``test_gyro_bmi160.py``, ``test_rotation_data_handler``."""
STOP = ["130100", "13020001", "{gyr}00", "030100", "03020001", "030400"]
"""``test_gyro_standby``, ``test_disable_rotation_sampling``, ``test_unsubscribe_rotation_data``, and the same of 03."""


def noise(n_samples: int) -> Samples:
    scale = np.repeat([15 * G, 30.0], 3)
    samples: Samples = (np.random.default_rng(3).uniform(-1, 1, (n_samples, 6)) * scale).astype(np.float32)
    return samples


def started(
    samples: Samples, faults: Faults | None = None, is_bmi270: bool = False
) -> tuple[MetaMotion, MetaMotionPeripheral]:
    sensor = MetaMotionPeripheral(lambda _rate_hz: [samples], faults=faults, is_bmi270=is_bmi270)
    device = MetaMotion()
    rehearse(device.start(0), sensor)
    return device, sensor


def decode(device: MetaMotion, sensor: MetaMotionPeripheral, until_us: int = FOREVER_US) -> list[Event]:
    return [e for t_us, (uuid, data) in sensor.notifications(until_us) for e in device.feed(uuid, data, t_us * 1000)]


def feed(device: MetaMotion, *notifications: bytes) -> list[Event]:
    return [e for data in notifications for e in device.feed(NOTIFY_UUID, data, 0)]


def acc(number: int) -> bytes:
    return struct.pack("<2B3h", 0x03, 0x04, number, 0, 0)


def gyr(number: int) -> bytes:
    return struct.pack("<2B3h", 0x13, 0x05, number, 0, 0)


def blocks_of(events: list[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def numbers(events: list[Event]) -> list[tuple[int, int]]:
    """The counts with which `acc` and `gyr` were called, pair by pair."""
    pairs = [(b.samples[0, 0] * 2048 / G, np.degrees(b.samples[0, 3]) * 16.4) for b in blocks_of(events)]
    return [(round(float(a)), round(float(g))) for a, g in pairs]


def n_gap(events: list[Event]) -> int:
    gaps = [event for event in events if isinstance(event, Gap)]
    assert all(gap.is_estimated for gap in gaps)
    return sum(gap.n_samples for gap in gaps)


def test_the_data_of_the_sdks_tests_are_decoded_in_our_ranges() -> None:
    """The SDK reads the bytes at ±4 g and 500 deg/s; at ±16 g and 2000 deg/s the same counts are four times as much."""
    (block,) = blocks_of(feed(MetaMotion(), ACC_BYTES, GYR_BYTES))
    np.testing.assert_allclose(block.samples[0, ACC] / G / 4, ACC_G_AT_4_G, atol=0.00051)
    np.testing.assert_allclose(np.degrees(block.samples[0, GYR]) / 4, GYR_DEG_S_AT_500, atol=0.00051)
    assert block.saturated.tolist() == [True]


@pytest.mark.parametrize(("is_bmi270", "range_and_rate", "data"), [(False, "280c", "1305"), (True, "a803", "1304")])
def test_starting_writes_the_commands_of_the_sdks_tests(is_bmi270: bool, range_and_rate: str, data: str) -> None:
    """``test_set_range``: 0303 280c is ±16 g at 100 Hz of a BMI160, 0303 a803 of a BMI270."""
    sensor, device = MetaMotionPeripheral(lambda _rate_hz: [], is_bmi270=is_bmi270), MetaMotion()

    def writes(*commands: str) -> list[Write]:
        return [Write(COMMAND_UUID, bytes.fromhex(command)) for command in commands]

    assert rehearse(device.start(0), sensor) == [
        *writes("130100", "030100"),
        Subscribe(NOTIFY_UUID),
        Ask(COMMAND_UUID, bytes.fromhex("0380"), NOTIFY_UUID),
        Ask(COMMAND_UUID, bytes.fromhex("1380"), NOTIFY_UUID),
        *writes(f"0303{range_and_rate}", "13032800"),
        *writes(f"{data}01", "13020100", "130101", "030401", "03020100", "030101"),
    ]
    assert sensor.is_streaming
    assert rehearse(device.stop(), sensor) == writes(*(command.format(gyr=data) for command in STOP))
    assert not sensor.is_streaming


@pytest.mark.parametrize(
    ("is_bmi270", "answers"), [(False, ("03800101", "13800001")), (True, ("03800400", "13800100"))]
)
def test_the_virtual_boards_answer_as_the_boards_of_the_sdks_tests(is_bmi270: bool, answers: tuple[str, str]) -> None:
    """``common.py``: ``metawear_rg_services`` and ``metawear_motion_s_services``."""
    sensor = MetaMotionPeripheral(lambda _rate_hz: [], is_bmi270=is_bmi270)
    for question, answer in zip(("0380", "1380"), answers, strict=True):
        assert sensor.write(COMMAND_UUID, bytes.fromhex(question), 0) == [(NOTIFY_UUID, bytes.fromhex(answer))]


def test_the_virtual_sensor_sends_the_bytes_of_the_sdks_tests() -> None:
    """Their counts in SI units at the ranges that the decoder sets."""
    counts = np.array([*struct.unpack("<3h", ACC_BYTES[2:]), *struct.unpack("<3h", GYR_BYTES[2:])], np.float64)
    counts[:3] *= G / 2048
    counts[3:] = np.radians(counts[3:] / 16.4)
    _, sensor = started(counts.astype(np.float32).reshape(1, 6))
    assert [data for _, (_, data) in sensor.notifications(FOREVER_US)] == [ACC_BYTES, GYR_BYTES]


def test_a_board_without_gyroscope_is_refused_with_the_reason() -> None:
    sensor = MetaMotionPeripheral(lambda _rate_hz: [], has_gyroscope=False)
    with pytest.raises(DeviceError, match="no gyroscope: use a MetaMotion"):
        rehearse(MetaMotion().start(0), sensor)


@pytest.mark.parametrize("answer", ["", "03", "1380", "038001", "13800001", "0304000000000000"])
def test_an_answer_that_answers_something_else_is_a_device_error(answer: str) -> None:
    talk = MetaMotion().start(0)
    step = next(talk)
    while not isinstance(step, Ask):
        step = talk.send(b"")
    with pytest.raises(DeviceError, match="accelerometer"):
        talk.send(bytes.fromhex(answer))


def test_a_board_with_an_older_accelerometer_is_refused() -> None:
    """``metawear_detector_services`` answers 03: a BMA255."""
    talk = MetaMotion().start(0)
    step = next(talk)
    while not isinstance(step, Ask):
        step = talk.send(b"")
    talk.send(bytes.fromhex("03800301"))
    with pytest.raises(DeviceError, match="accelerometer type 3"):
        talk.send(bytes.fromhex("13800001"))


@pytest.mark.parametrize("is_bmi270", [False, True])
def test_a_stream_is_decoded_to_its_samples_within_half_a_count(is_bmi270: bool) -> None:
    sent = noise(300)
    events = decode(*started(sent, is_bmi270=is_bmi270))
    got = np.concatenate([block.samples for block in blocks_of(events)])
    assert len(events) == len(got) == 300
    assert np.abs(got[:, ACC] - sent[:, ACC]).max() <= 0.501 * G / 2048
    assert np.abs(got[:, GYR] - sent[:, GYR]).max() <= 0.501 * np.radians(1 / 16.4)
    assert not any(block.saturated.any() for block in blocks_of(events))


def test_clipped_samples_are_marked() -> None:
    rows = np.zeros((4, 6), np.float32)
    rows[0, 1], rows[1, 5], rows[2, 3] = 17 * G, np.radians(-2100), np.radians(1990)
    assert [bool(b.saturated[0]) for b in blocks_of(decode(*started(rows)))] == [True, True, False, False]


def test_a_stream_that_begins_earlier_is_paired_from_the_others_first_sample_on() -> None:
    events = feed(MetaMotion(), *(gyr(n) for n in range(9)), acc(8), gyr(9), acc(9))
    assert numbers(events) == [(8, 8), (9, 9)]
    assert n_gap(events) == 0


def test_notifications_in_bursts_of_either_stream_are_paired_by_count() -> None:
    device = MetaMotion()
    events = feed(device, acc(0), gyr(0))
    for first in range(1, 200, MAX_AHEAD):
        burst = range(first, first + MAX_AHEAD)
        events += feed(device, *map(acc, burst), *map(gyr, burst))
    assert numbers(events) == [(n, n) for n in range(201)]
    assert n_gap(events) == 0


def test_a_stream_that_stays_ahead_lost_partners_and_is_realigned() -> None:
    """Three accelerations are lost: two are certain, one may have been the order of the two."""
    device = MetaMotion()
    events = feed(device, *(half(n) for n in range(10) for half in (acc, gyr)))
    events += feed(device, gyr(10), gyr(11), gyr(12))
    for n in range(13, 13 + 2 * LASTING_PAIRS):
        events += feed(device, acc(n), gyr(n))
    apart = [g - a for a, g in numbers(events)]
    assert apart[:10] == [0] * 10
    assert apart[10] == -3
    assert abs(apart[-1]) <= 1
    assert n_gap(events) == 2


def test_a_stream_that_falls_silent_is_counted_and_paired_anew() -> None:
    device = MetaMotion()
    events = feed(device, *(half(n) for n in range(10) for half in (acc, gyr)))
    events += feed(device, *(acc(n) for n in range(10, 50)), gyr(49), acc(50), gyr(50))
    assert numbers(events) == [(n, n) for n in (*range(10), 49, 50)]
    assert n_gap(events) == 39


def test_a_corrupt_half_costs_its_sample_and_no_other() -> None:
    events = feed(MetaMotion(), acc(0), gyr(0), acc(1)[:5], gyr(1), acc(2), gyr(2) + b"\x00", acc(3), gyr(3))
    assert numbers(events) == [(0, 0), (3, 3)]
    reasons = [event.reason for event in events if isinstance(event, CorruptPacket)]
    assert reasons == ["0304 with 5 bytes, not 8", "1305 with 9 bytes, not 8"]
    assert n_gap(events) == 2


def test_answers_are_no_data_and_foreign_notifications_are_reported() -> None:
    """A button (0101 01) and an empty notification are nobody's samples."""
    device = MetaMotion()
    assert feed(device, bytes.fromhex("03800101"), bytes.fromhex("118c633410")) == []
    for foreign in ("010101", "", "03"):
        (event,) = feed(device, bytes.fromhex(foreign))
        assert isinstance(event, CorruptPacket)
    assert device.feed(COMMAND_UUID, acc(0), 0) == []


def test_a_lost_link_is_an_estimated_gap_and_a_waiting_half_is_forgotten() -> None:
    device, sensor = started(noise(1000))
    before = decode(device, sensor, 990_000)
    feed(device, acc(7))
    sensor.link_lost()
    assert decode(device, sensor, 3_000_000) == []
    rehearse(device.start(0), sensor)
    after = decode(device, sensor, 4_000_000)
    gap = after[0]
    assert isinstance(gap, Gap)
    assert gap.is_estimated
    assert (gap.first_sample_index, gap.n_samples) == (len(before), sensor.counts.samples_idle)
    assert len(blocks_of(after)) == len(after) - 1


def test_dropped_packets_below_a_second_cannot_be_seen_and_are_not_made_up() -> None:
    device, sensor = started(noise(500), Faults(radio_drop=0.05))
    events = decode(device, sensor)
    assert sensor.counts.samples_dropped > 10
    assert len(blocks_of(events)) == len(events) == sensor.counts.samples_sent


def test_spoilt_notifications_are_reported_and_never_become_samples() -> None:
    device, sensor = started(noise(600), Faults(spoil=0.05))
    notifications = [data for _, (_, data) in sensor.notifications(FOREVER_US)]
    events = feed(device, *notifications)
    n_headless = sum(len(data) < 2 for data in notifications)
    corrupt = [event for event in events if isinstance(event, CorruptPacket)]
    assert len(corrupt) == 2 * sensor.counts.packets_spoilt > 20
    assert sensor.counts.samples_sent - n_headless <= len(blocks_of(events)) <= sensor.counts.samples_sent
    assert n_gap(events) >= sensor.counts.samples_spoilt - n_headless


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.tuples(st.sampled_from([b"\x03\x04", b"\x13\x05"]), st.binary(min_size=4, max_size=7)).map(b"".join),
            st.tuples(st.sampled_from([b"\x03\x04", b"\x13\x05"]), st.binary(min_size=6, max_size=6)).map(b"".join),
        ),
        max_size=80,
    )
)
def test_no_bytes_raise_or_make_a_sample_out_of_range(notifications: list[bytes]) -> None:
    device = MetaMotion()
    expected = 0
    for n, data in enumerate(notifications):
        for event in device.feed(NOTIFY_UUID, data, n * 5 * MS):
            if isinstance(event, Gap):
                assert event.first_sample_index == expected
                expected += event.n_samples
            elif isinstance(event, Block):
                assert event.first_sample_index == expected
                expected += 1
                assert np.isfinite(event.samples).all()
                assert np.abs(event.samples[:, ACC]).max() <= 16.001 * G
                assert np.abs(event.samples[:, GYR]).max() <= np.radians(1998.1)
    assert expected <= len(notifications)


@given(st.lists(st.binary(max_size=6), max_size=20))
def test_no_command_breaks_the_virtual_sensor(commands: list[bytes]) -> None:
    _, sensor = started(noise(1))
    for command in commands:
        sensor.write(COMMAND_UUID, b"\x03\x03" + command, 0)
        sensor.write(COMMAND_UUID, b"\x13" + command, 0)
    assert len(sensor.pack(noise(2), 0, np.zeros(2, np.int64))) == 4


def test_it_is_known_by_its_service_or_its_first_name() -> None:
    sensor = MetaMotionPeripheral(lambda _rate_hz: [])
    assert KIND.fits(Advert(sensor.name, frozenset(sensor.advertised_uuids)))
    assert KIND.fits(Advert("MetaWear"))
    assert KIND.fits(Advert("left foot", frozenset({"326a9000-85cb-9195-d9dd-464cfbbae75a"})))
    assert not KIND.fits(Advert("MetaWearable"))
    assert len(sensor.name) <= 8


def test_the_table_says_what_the_stream_says() -> None:
    stream = KIND.make().stream
    assert stream.rate_hz == KIND.rate_hz
    assert stream.acc_range_m_s2 == pytest.approx(KIND.acc_range_g * G)
    assert np.degrees(stream.gyr_range_rad_s) == pytest.approx(KIND.gyr_range_deg_s)
    assert stream.packet_rate_hz == 200.0
    assert not stream.has_clock
