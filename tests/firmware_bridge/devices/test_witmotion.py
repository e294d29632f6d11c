"""WitMotion: the decoder and the virtual sensor, each against published commands, formats and captured bytes."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.device import Advert, Ask, DeviceError, Pause, Step, Subscribe, Write
from firmware_bridge.devices.witmotion import (
    COMMAND_PAUSE_S,
    KIND_BWT901BLE5,
    KIND_WT901BLE,
    MOST_QUESTIONS,
    NOTIFY_UUID,
    SERVICE_UUID,
    WRITE_UUID,
    WitMotion,
)
from firmware_bridge.events import Block, CorruptPacket, Event, Gap
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.witmotion import Bwt901ble5Peripheral, WitMotionPeripheral
from firmware_bridge.virtual_sensor import Faults

G = STANDARD_GRAVITY_M_S2
FOREVER_US = 10**12
MS = 1_000_000
CAPTURED = "55 61 35ff 59ff 0a08 0000 0000 0000 b9fc", "55 61 e403 ebf4 3f00 7c02 02ff 3300 52fe"
"""obedier/vib ``analyze_wt901_data.py``: frames of a WT901BLE68, which prints the first 16 of their 20 bytes."""
MAGNETIC_FIELD = bytes.fromhex("5571 3a00 6801 6900 7a00 0000 0000 0000 0000 0000")
"""The answer to FF AA 27 3A 00 in WitMotion's Bluetooth 5.0 protocol."""


QUESTION = Ask(
    WRITE_UUID, bytes.fromhex("ffaa270300"), NOTIFY_UUID, with_response=False, mark=bytes.fromhex("55710300")
)


def rate_answer(code: int) -> bytes:
    return bytes.fromhex("55710300") + struct.pack("<8H", code, *(0,) * 7)


def frame(*values: int) -> bytes:
    return b"\x55\x61" + struct.pack("<9h", *values, *(0,) * (9 - len(values)))


def noise(n_samples: int) -> Samples:
    """Nothing that reads like a header: a count of 0x6155 is 12 g."""
    scale = np.repeat([8 * G, 8.0], 3)
    samples: Samples = (np.random.default_rng(2).uniform(-1, 1, (n_samples, 6)) * scale).astype(np.float32)
    return samples


def started(
    samples: Samples, faults: Faults | None = None, frames_per_notification: int = 1
) -> tuple[WitMotion, WitMotionPeripheral]:
    sensor = WitMotionPeripheral(
        lambda _rate_hz: [samples], faults=faults, frames_per_notification=frames_per_notification
    )
    device = WitMotion()
    rehearse(device.start(0), sensor)
    return device, sensor


def decode(device: WitMotion, sensor: WitMotionPeripheral, until_us: int = FOREVER_US) -> list[Event]:
    return [e for t_us, (uuid, data) in sensor.notifications(until_us) for e in device.feed(uuid, data, t_us * 1000)]


def blocks_of(events: list[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def samples_of(events: list[Event]) -> Samples:
    return np.concatenate([block.samples for block in blocks_of(events)])


def reasons(events: list[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, CorruptPacket)]


def n_gap(events: list[Event]) -> int:
    return sum(event.n_samples for event in events if isinstance(event, Gap))


def test_captured_frames_are_decoded_by_the_published_formula() -> None:
    device = WitMotion()
    at_rest, moved = (
        samples_of(device.feed(NOTIFY_UUID, bytes.fromhex(printed + "0000 0000"), 0))[0] for printed in CAPTURED
    )
    np.testing.assert_allclose(at_rest[ACC] / G, np.array([-203, -167, 2058]) / 32768 * 16, rtol=1e-6)
    assert np.linalg.norm(at_rest[ACC]) == pytest.approx(G, rel=0.02)
    assert not at_rest[GYR].any()
    np.testing.assert_allclose(moved[ACC] / G, np.array([996, -2837, 63]) / 32768 * 16, rtol=1e-6)
    np.testing.assert_allclose(np.degrees(moved[GYR]), np.array([636, -254, 51]) / 32768 * 2000, rtol=1e-6)


def test_the_answer_to_a_register_question_is_not_data() -> None:
    assert WitMotion().feed(NOTIFY_UUID, MAGNETIC_FIELD, 0) == []


def test_starting_unlocks_sets_100_hz_saves_subscribes_and_reads_the_rate_back() -> None:
    """The commands of WitMotion's Bluetooth 5.0 protocol; 100 ms between them as in ``device_model.py``."""

    def write(data: str) -> Write:
        return Write(WRITE_UUID, bytes.fromhex(data), with_response=False)

    device, sensor = WitMotion(), WitMotionPeripheral(lambda _rate_hz: [])
    assert sensor.rate_hz == 10.0
    pause = Pause(COMMAND_PAUSE_S)
    assert rehearse(device.start(0), sensor) == [
        *(write("ffaa6988b5"), pause, write("ffaa030900"), pause, write("ffaa000000"), pause),
        *(Subscribe(NOTIFY_UUID), QUESTION),
    ]
    assert sensor.rate_hz == 100.0
    assert rehearse(device.stop(), sensor) == []


def test_the_virtual_sensor_sends_the_bytes_of_the_format_table() -> None:
    one = np.array([[G, -G, 0.5 * G, np.radians(1000), np.radians(-1000), np.radians(125)]], np.float32)
    _, sensor = started(one)
    expected = bytes.fromhex("5561 0008 00f8 0004 0040 00c0 0008 0000 0000 0000")
    assert list(sensor.notifications(FOREVER_US)) == [(0, (NOTIFY_UUID, expected))]


def test_the_virtual_sensor_answers_register_questions_with_eight_registers() -> None:
    """Its battery stands in register 64 as a voltage: 3.87 V is 60 to 75 % in the protocol's table."""
    _, sensor = started(noise(1))
    ((uuid, answer),) = sensor.write(WRITE_UUID, bytes.fromhex("ffaa276400"), 0)
    assert (uuid, len(answer), answer[:6]) == (NOTIFY_UUID, 20, bytes.fromhex("5571 6400 8301"))
    with pytest.raises(KeyError):
        sensor.read("00002a19-0000-1000-8000-00805f9b34fb", 0)


def test_the_virtual_sensor_changes_no_rate_while_it_is_locked() -> None:
    sensor = WitMotionPeripheral(lambda _rate_hz: [])
    for data in ("ffaa030900", "ffaa0309", "00aa030900"):
        sensor.write(WRITE_UUID, bytes.fromhex(data), 0)
        assert sensor.rate_hz == 10.0
    sensor.write(WRITE_UUID, bytes.fromhex("ffaa6988b5"), 0)
    sensor.write(WRITE_UUID, bytes.fromhex("ffaa030900"), 10_000_000)
    assert sensor.rate_hz == 10.0


@pytest.mark.parametrize("frames_per_notification", [1, 8])
def test_a_stream_is_decoded_to_its_samples_within_half_a_count(frames_per_notification: int) -> None:
    sent = noise(320)
    events = decode(*started(sent, frames_per_notification=frames_per_notification))
    got = samples_of(events)
    assert len(got) == 320
    assert len(events) == 320 // frames_per_notification
    assert np.abs(got[:, ACC] - sent[:, ACC]).max() <= 0.501 * 16 * G / 32768
    assert np.abs(got[:, GYR] - sent[:, GYR]).max() <= 0.501 * np.radians(2000) / 32768
    numbers = [block.first_sample_index for block in blocks_of(events)]
    assert numbers == list(range(0, 320, frames_per_notification))


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_frames_cut_anywhere_over_notifications_are_the_same_samples(cuts: list[int]) -> None:
    frames = [frame(*range(n * 6, n * 6 + 6)) for n in range(10)]
    frames[4] = MAGNETIC_FIELD
    stream = b"".join(frames)
    edges = [0, *sorted(cuts), 200]
    device = WitMotion()
    events = [e for a, b in itertools.pairwise(edges) for e in device.feed(NOTIFY_UUID, stream[a:b], a * MS)]
    assert len(events) == len(blocks_of(events))
    got = samples_of(events)[:, GYR] / (np.radians(2000) / 32768)
    expected = [[n * 6 + 3, n * 6 + 4, n * 6 + 5] for n in range(10) if n != 4]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_bytes_between_frames_are_skipped_and_counted() -> None:
    device = WitMotion()
    events = device.feed(NOTIFY_UUID, b"\x01\x02\x55\x00" + frame(1) + b"\x09\x09" + frame(2), 0)
    assert reasons(events) == ["6 bytes between frames"]
    assert len(samples_of(events)) == 2
    assert n_gap(events) == 0


@pytest.mark.parametrize("n_bytes", range(1, 20))
def test_a_cut_frame_is_one_lost_sample_and_never_a_made_up_one(n_bytes: int) -> None:
    device = WitMotion()
    device.feed(NOTIFY_UUID, frame(1), 0)
    assert device.feed(NOTIFY_UUID, frame(2)[:n_bytes], 10 * MS) == []
    corrupt, gap, block = device.feed(NOTIFY_UUID, frame(3), 20 * MS)
    assert corrupt == CorruptPacket(f"{n_bytes} bytes between frames", 20 * MS)
    assert gap == Gap(1, 1, 20 * MS, is_estimated=True)
    assert isinstance(block, Block)
    assert block.samples[0, 0] == pytest.approx(3 * 16 * G / 32768)


def test_a_frame_that_is_cut_within_a_notification_gives_way_to_the_next() -> None:
    device = WitMotion()
    events = device.feed(NOTIFY_UUID, frame(1) + frame(2)[:11] + frame(3) + frame(4), 0)
    assert reasons(events) == ["11 bytes between frames"]
    np.testing.assert_allclose(samples_of(events)[:, 0] / (16 * G / 32768), [1, 3, 4], rtol=1e-5)


def test_frames_with_a_time_behind_them_are_decoded_and_the_time_reported_as_foreign() -> None:
    """WT901SDCL recorders append eight bytes of date and time to each frame."""
    events = WitMotion().feed(NOTIFY_UUID, (frame(1) + bytes([26, 1, 2, 3, 4, 5, 6, 0])) * 2, 0)
    assert len(samples_of(events)) == 2
    assert reasons(events) == ["16 bytes between frames"]


def test_the_values_at_the_ends_of_the_counter_are_saturated() -> None:
    rows = np.zeros((5, 6), np.float32)
    rows[0, 0], rows[1, 4] = -17 * G, np.radians(2100)
    rows[2, 2], rows[3, 5] = 15.99 * G, np.radians(-1999.8)
    saturated = [bool(block.saturated[0]) for block in blocks_of(decode(*started(rows)))]
    assert saturated == [True, True, False, False, False]
    (block,) = blocks_of(WitMotion().feed(NOTIFY_UUID, frame(0, -32767) + frame(0, 32766), 0))
    assert block.saturated.tolist() == [True, False]


def test_a_lost_link_is_an_estimated_gap_and_half_a_frame_is_forgotten() -> None:
    device, sensor = started(noise(1000))
    before = decode(device, sensor, 990_000)
    assert device.feed(NOTIFY_UUID, frame(1)[:12], 995 * MS) == []
    sensor.link_lost()
    assert decode(device, sensor, 3_000_000) == []
    rehearse(device.start(0), sensor)
    after = decode(device, sensor, 4_000_000)
    assert reasons(before + after) == []
    gap = after[0]
    assert isinstance(gap, Gap)
    assert gap.is_estimated
    assert (gap.first_sample_index, gap.n_samples) == (len(samples_of(before)), sensor.counts.samples_idle)


def test_every_spoilt_notification_with_a_header_is_one_sample_of_a_gap() -> None:
    device, sensor = started(noise(600), Faults(spoil=0.1))
    notifications = [data for _, (_, data) in sensor.notifications(FOREVER_US)]
    events = [e for n, data in enumerate(notifications) for e in device.feed(NOTIFY_UUID, data, n * 10 * MS)]
    n_headless = sum(len(data) < 2 for data in notifications)
    assert sensor.counts.samples_spoilt > 30
    assert len(samples_of(events)) == sensor.counts.samples_sent
    assert sensor.counts.samples_spoilt - n_headless <= n_gap(events) <= sensor.counts.samples_spoilt


@pytest.mark.parametrize("fastest_code", [8, 7])
def test_a_sensor_that_keeps_another_rate_is_refused_before_its_first_sample(fastest_code: int) -> None:
    sensor = WitMotionPeripheral(lambda _rate_hz: [noise(3)], fastest_code=fastest_code)
    with pytest.raises(DeviceError, match="sends at 10 Hz, not 100 Hz: set it in the maker's app"):
        rehearse(WitMotion().start(0), sensor)


def answered(device: WitMotion, *answers: bytes) -> list[Step]:
    """Start a sensor that gives these answers, one after the other; the questions that got one."""
    talk = device.start(0)
    step = next(talk)
    asked: list[Step] = []
    left = list(answers)
    while True:
        try:
            if isinstance(step, Ask):
                asked.append(step)
                step = talk.send(left.pop(0))
            else:
                step = talk.send(b"")
        except StopIteration:
            assert not left
            return asked


def test_data_between_question_and_answer_are_data_and_no_answer() -> None:
    """A sensor streams over the characteristic that it answers on."""
    assert not QUESTION.is_answered_by(NOTIFY_UUID, frame(1, 2, 3))
    assert not QUESTION.is_answered_by(NOTIFY_UUID, MAGNETIC_FIELD)
    assert not QUESTION.is_answered_by(WRITE_UUID, rate_answer(9))
    assert QUESTION.is_answered_by(NOTIFY_UUID, frame(1) + rate_answer(9))


def test_an_answer_that_is_cut_or_no_frame_is_asked_for_again_a_bounded_number_of_times() -> None:
    cut, inside = rate_answer(6)[:12], frame(0x7155, 3, 6)
    assert answered(WitMotion(), cut, inside, rate_answer(9)) == [QUESTION] * MOST_QUESTIONS
    with pytest.raises(DeviceError, match="does not say its rate: set 100 Hz"):
        answered(WitMotion(), *[cut] * MOST_QUESTIONS)
    with pytest.raises(DeviceError, match="an unknown rate"):
        answered(WitMotion(), rate_answer(255))


def test_samples_beside_the_answer_are_counted_as_lost() -> None:
    device = WitMotion()
    device.feed(NOTIFY_UUID, frame(1), 0)
    answered(device, frame(2) + rate_answer(9) + frame(3))
    gap, _ = device.feed(NOTIFY_UUID, frame(4), 10 * MS)
    assert gap == Gap(1, 2, 10 * MS, is_estimated=True)


@given(st.lists(st.one_of(st.binary(max_size=50), st.binary(max_size=30).map(b"\x55\x61".__add__)), max_size=40))
def test_no_bytes_raise_or_make_a_sample_out_of_range(notifications: list[bytes]) -> None:
    device = WitMotion()
    n_fed = n_decoded = 0
    for n, data in enumerate(notifications):
        n_fed += len(data)
        for event in device.feed(NOTIFY_UUID, data, n * 10 * MS):
            if isinstance(event, Block):
                n_decoded += len(event.samples)
                assert np.isfinite(event.samples).all()
                assert np.abs(event.samples[:, ACC]).max() <= 16.001 * G
                assert np.abs(event.samples[:, GYR]).max() <= np.radians(2000.1)
    assert 20 * n_decoded <= n_fed


@pytest.mark.parametrize(
    ("name", "uuids", "key"),
    [
        ("WT901BLE68", (), "wt901ble"),
        ("WT901BLE68", (SERVICE_UUID,), "wt901ble"),
        ("BWT901BLE5.0", (), "bwt901ble5"),
        ("left foot", (SERVICE_UUID,), "bwt901ble5"),
        ("WTVB01", (), None),
        ("", ("0000ffe5-0000-1000-8000-00805f9b34fb",), None),
    ],
)
def test_each_advertisement_fits_one_of_the_two_kinds_at_most(name: str, uuids: tuple[str, ...], key: str) -> None:
    advert = Advert(name, frozenset(uuids))
    kinds = [kind.key for kind in (KIND_WT901BLE, KIND_BWT901BLE5) if kind.fits(advert)]
    assert kinds == ([] if key is None else [key])


@pytest.mark.parametrize("name", ["WT901BLE68", "BWT901BLE", "foot"])
def test_the_virtual_sensor_is_known_by_what_fits_into_its_advertisement(name: str) -> None:
    sensor = WitMotionPeripheral(lambda _rate_hz: [], name=name)
    advert = Advert(sensor.name, frozenset(sensor.advertised_uuids))
    assert KIND_WT901BLE.fits(advert) or KIND_BWT901BLE5.fits(advert)
    assert 3 + 18 * len(sensor.advertised_uuids) + 2 + len(name) <= 31


def test_the_virtual_sensor_of_either_kind_is_taken_for_that_kind() -> None:
    older, newer = WitMotionPeripheral(lambda _rate_hz: []), Bwt901ble5Peripheral(lambda _rate_hz: [])
    assert KIND_WT901BLE.fits(Advert(older.name, frozenset(older.advertised_uuids)))
    assert KIND_BWT901BLE5.fits(Advert(newer.name, frozenset(newer.advertised_uuids)))
    assert len(rehearse(WitMotion().start(0), newer)) == 8


def test_the_table_says_what_the_stream_says() -> None:
    for kind in (KIND_WT901BLE, KIND_BWT901BLE5):
        stream = kind.make().stream
        assert stream.rate_hz == kind.rate_hz
        assert stream.acc_range_m_s2 == pytest.approx(kind.acc_range_g * G)
        assert np.degrees(stream.gyr_range_rad_s) == pytest.approx(kind.gyr_range_deg_s)
        assert not stream.has_clock
