"""The Movella DOT: its layout by the maker's tables, its talk, and losses counted by its clock.

The layout vectors are made by hand from tables 7, 13, 15 and 17 of "Movella DOT BLE Services Specifications" (XD0506P,
revision C). No public source gives bytes of a real DOT in this mode, so the decoder is not marked verified.
"""

import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.channels import Samples
from firmware_bridge.device import Advert, DeviceError, Losses, Read, Subscribe, Write
from firmware_bridge.devices.movella_dot import (
    BATTERY_UUID,
    CONTROL_UUID,
    DATA_UUID,
    KIND,
    SETTINGS_UUID,
    MovellaDot,
)
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.movella_dot import MovellaDotPeripheral
from firmware_bridge.virtual_sensor import Faults

FOREVER_US = 10**12
ONE_G_AND_180_DEG_S = bytes.fromhex("40420f00 00000000 00000000 0ae81c41 00000000 00000000 00003443")
"""One second; 0, 0, 9.80665 m/s²; 0, 0, 180 deg/s."""


def noise(n_samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 5, (n_samples, 6)).astype(np.float32)


def source_of(samples: Samples) -> Callable[[float], Iterator[Samples]]:
    return lambda _rate_hz: iter([samples])


def started(peripheral: MovellaDotPeripheral) -> MovellaDot:
    device = MovellaDot()
    rehearse(device.start(0), peripheral)
    return device


def hear(device: MovellaDot, peripheral: MovellaDotPeripheral, until_us: int = FOREVER_US) -> list[Event]:
    return [
        event
        for ready_us, (uuid, data) in peripheral.notifications(until_us)
        for event in device.feed(uuid, data, ready_us * 1000)
    ]


def blocks(events: list[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def n_lost(events: list[Event]) -> int:
    return sum(event.n_samples for event in events if isinstance(event, Gap))


@pytest.mark.parametrize("n_unused", [0, 12])
def test_a_sample_is_read_as_the_tables_say(n_unused: int) -> None:
    (event,) = MovellaDot().feed(DATA_UUID, ONE_G_AND_180_DEG_S + bytes(n_unused), 7)
    assert isinstance(event, Block)
    assert event.samples.tolist() == [[0, 0, np.float32(9.80665), 0, 0, np.float32(np.pi)]]
    assert event.device_time_ns.tolist() == [1_000_000_000]
    assert (event.first_sample_index, event.saturated.tolist(), event.received_ns) == (0, [False], 7)


@pytest.mark.parametrize("n_unused", [0, 12])
def test_the_virtual_sensor_sends_the_same_bytes(n_unused: int) -> None:
    sample = np.array([[0, 0, 9.80665, 0, 0, np.pi]], np.float32)
    peripheral = MovellaDotPeripheral(source_of(sample), first_time_us=1_000_000, n_unused_bytes=n_unused)
    started(peripheral)
    assert list(peripheral.notifications(0)) == [(0, (DATA_UUID, ONE_G_AND_180_DEG_S + bytes(n_unused)))]


def test_it_is_started_in_mode_21_after_its_rate_was_looked_at() -> None:
    peripheral = MovellaDotPeripheral(source_of(noise(1)))
    assert rehearse(MovellaDot().start(0), peripheral) == [
        Read(CONTROL_UUID),
        Read(SETTINGS_UUID),
        Subscribe(DATA_UUID),
        Write(CONTROL_UUID, bytes.fromhex("010115")),
        Read(CONTROL_UUID),
    ]
    assert peripheral.is_streaming
    assert rehearse(MovellaDot().stop(), peripheral) == [Write(CONTROL_UUID, bytes.fromhex("010015"))]
    assert not peripheral.is_streaming


def test_a_measurement_that_still_runs_at_another_rate_is_stopped_and_set_to_60_hz() -> None:
    peripheral = MovellaDotPeripheral(source_of(noise(1)), rate_hz=30)
    peripheral.write(CONTROL_UUID, bytes.fromhex("010115"), 0)
    steps = rehearse(MovellaDot().start(0), peripheral)
    assert steps[1] == Write(CONTROL_UUID, bytes.fromhex("010015"))
    # Table 7: only "output rate" (bit 4) is to be obeyed; the rate stands in bytes 24 and 25.
    (settings,) = (step.data for step in steps if isinstance(step, Write) and step.uuid == SETTINGS_UUID)
    assert (len(settings), settings[0], settings[24:26]) == (32, 0x10, b"\x3c\x00")
    assert peripheral.rate_hz == 60
    assert peripheral.is_streaming


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([b"\x01"], "control has 1 bytes"),
        ([b"\x01\x00\x15", bytes(31)], "settings have 31 bytes"),
        ([b"\x01\x00\x15", bytes(32), b"", bytes(32)], "stays at 0 Hz instead of 60 Hz"),
        ([b"\x01\x00\x15", bytes(24) + b"\x3c" + bytes(7), b"", b"", b"\x01\x00\x15"], r"does not start .*01 00 15"),
    ],
)
def test_an_answer_that_is_none_is_told_in_a_line(answers: list[bytes], message: str) -> None:
    talk = MovellaDot().start(0)
    next(talk)
    for answer in answers[:-1]:
        talk.send(answer)
    with pytest.raises(DeviceError, match=message):
        talk.send(answers[-1])


def test_every_sample_of_the_virtual_sensor_arrives_as_it_was() -> None:
    samples = noise(300)
    peripheral = MovellaDotPeripheral(source_of(samples))
    received = blocks(hear(started(peripheral), peripheral))
    np.testing.assert_allclose(np.concatenate([block.samples for block in received]), samples, rtol=1e-6)
    assert [block.first_sample_index for block in received] == list(range(300))
    assert [int(block.device_time_ns[0]) for block in received] == [round(n * 1e6 / 60) * 1000 for n in range(300)]


@settings(max_examples=15)
@given(seed=st.integers(0, 999), burst=st.integers(1, 30), first=st.sampled_from([0, 2**32 - 2_000_000]))
def test_received_and_lost_are_what_was_taken_over_a_wrap_too(seed: int, burst: int, first: int) -> None:
    faults = Faults(radio_drop=0.02, burst_packets=burst, spoil=0.05, repeat=0.1)
    samples = noise(400, seed)
    peripheral = MovellaDotPeripheral(source_of(samples), faults=faults, seed=seed, first_time_us=first)
    events = hear(started(peripheral), peripheral)
    counts = peripheral.counts
    received = blocks(events)
    numbers = np.array([block.first_sample_index for block in received])
    # Lost before the first packet and after the last one nothing can be known.
    n_before = 0
    while not np.allclose(received[0].samples[0], samples[n_before], rtol=1e-6):
        n_before += 1
    np.testing.assert_allclose(np.concatenate([b.samples for b in received]), samples[numbers + n_before], rtol=1e-6)
    assert len(received) == counts.packets_sent
    assert len(received) + n_lost(events) == numbers[-1] + 1
    assert sum(isinstance(event, DuplicatePacket) for event in events) == counts.packets_repeated
    assert sum(isinstance(event, CorruptPacket) for event in events) == counts.packets_spoilt
    assert not any(isinstance(event, Restart) for event in events)


@pytest.mark.parametrize("outage_s", [10, 3600, 3 * 3600 + 1])
def test_an_outage_is_counted_exactly_however_often_the_clock_went_round(outage_s: int) -> None:
    peripheral = MovellaDotPeripheral(source_of(noise(601)), first_time_us=2**32 - 5_000_000)
    device = started(peripheral)
    assert len(blocks(hear(device, peripheral))) == 601
    peripheral.link_lost()
    rehearse(device.start(0), peripheral)
    time_us = 10_000_000 + outage_s * 1_000_000
    ((uuid, data),) = peripheral.pack(noise(1), 0, np.array([time_us]))
    events = device.feed(uuid, data, time_us * 1000 + 50_000_000)
    assert events[:-1] == [Gap(601, outage_s * 60 - 1, time_us * 1000 + 50_000_000)]


def test_a_sensor_that_was_switched_off_and_on_starts_afresh() -> None:
    device = started(MovellaDotPeripheral(source_of(noise(1))))
    device.feed(DATA_UUID, struct.pack("<I6f", 90_000_000, *[0.0] * 6), 0)
    rehearse(device.start(0), MovellaDotPeripheral(source_of(noise(1))))
    events = device.feed(DATA_UUID, struct.pack("<I6f", 2_000_000, *[0.0] * 6), 20_000_000_000)
    assert events[0] == Restart(0, 20_000_000_000)
    assert blocks(events)[0].first_sample_index == 0
    assert n_lost(events) == 0


def test_samples_at_the_limit_are_marked() -> None:
    samples = np.zeros((4, 6), np.float32)
    samples[1, 0] = -200.0
    samples[2, 5] = 40.0
    samples[3] = [150, 0, 0, 0, 0, 34]
    peripheral = MovellaDotPeripheral(source_of(samples))
    received = blocks(hear(started(peripheral), peripheral))
    assert [bool(block.saturated[0]) for block in received] == [False, True, True, False]
    assert received[1].samples[0, 0] == pytest.approx(-16 * 9.80665)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ONE_G_AND_180_DEG_S[:27], "truncated: 27 bytes"),
        (b"", "truncated: 0 bytes"),
        (ONE_G_AND_180_DEG_S + bytes(13), "over-long: 41 bytes"),
        (ONE_G_AND_180_DEG_S + bytes(5), "over-long: 33 bytes"),
        (ONE_G_AND_180_DEG_S + bytes(11) + b"\1", "over-long: what follows"),
        (struct.pack("<I6f", 0, 0, 0, float("nan"), 0, 0, 0), "range"),
        (struct.pack("<I6f", 0, 0, 0, 0, 0, float("-inf"), 0), "range"),
        (struct.pack("<I6f", 0, 200, 0, 0, 0, 0, 0), "range"),
        (bytes(4) + b"\1\0\x80\x7f" * 6, "range"),
    ],
)
def test_what_is_no_sample_is_a_corrupt_packet(data: bytes, reason: str) -> None:
    (event,) = MovellaDot().feed(DATA_UUID, data, 1)
    assert isinstance(event, CorruptPacket)
    assert reason in event.reason


@settings(max_examples=300)
@given(
    notifications=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda stamp, values, tail: struct.pack("<I6f", stamp, *values) + tail,
                st.integers(0, 2**32 - 1),
                st.lists(st.floats(width=32), min_size=6, max_size=6),
                st.sampled_from([b"", bytes(12)]),
            ),
        ),
        max_size=12,
    ),
    step_ns=st.integers(0, 10**13),
)
def test_no_bytes_raise_or_give_a_sample_out_of_range(notifications: list[bytes], step_ns: int) -> None:
    device = MovellaDot()
    for n, data in enumerate(notifications):
        events = device.feed(DATA_UUID, data, n * step_ns)
        assert events
        for block in blocks(events):
            assert np.isfinite(block.samples).all()
            assert np.abs(block.samples).max() < 200


def test_it_is_known_by_its_name_or_its_maker_and_the_advertisement_has_room() -> None:
    for advert in (Advert("Movella DOT"), Advert("Xsens DOT"), Advert("", manufacturer_ids=frozenset({2182}))):
        assert KIND.fits(advert)
    assert not KIND.fits(Advert("MetaWear", manufacturer_ids=frozenset({1})))
    peripheral = MovellaDotPeripheral(source_of(noise(1)))
    assert KIND.fits(Advert(peripheral.name))
    assert peripheral.advertised_uuids == ()
    n_bytes = 3 + 2 + len(peripheral.name) + sum(4 + len(data) for data in peripheral.manufacturer_data.values())
    assert n_bytes <= 31


def test_the_kind_says_what_a_start_sets() -> None:
    device = KIND.make()
    assert device.stream.rate_hz == KIND.rate_hz == 60
    assert device.stream.acc_range_m_s2 == pytest.approx(KIND.acc_range_g * 9.80665)
    assert device.stream.gyr_range_rad_s == pytest.approx(np.radians(KIND.gyr_range_deg_s))
    assert device.stream.has_clock
    assert (KIND.losses, KIND.is_verified, KIND.battery_uuid) == (Losses.CLOCK, False, BATTERY_UUID)
    peripheral = MovellaDotPeripheral(source_of(noise(1)), battery_percent=55)
    assert peripheral.read(BATTERY_UUID, 0)[0] == 55


def test_a_notification_of_another_characteristic_is_corrupt() -> None:
    assert MovellaDot().feed(BATTERY_UUID, b"\x50\x00", 1) == [
        CorruptPacket(f"no data characteristic: {BATTERY_UUID}", 1)
    ]
