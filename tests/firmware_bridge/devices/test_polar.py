"""Polar sensors: what is asked and started, an H10 that is refused, and every sample received or counted as lost.

Bytes of the control point are those of ``BlePmdClientControlPointResponseTest.kt``, ``PmdSettingTest.kt`` and issue 360
of polarofficial/polar-ble-sdk; frames have their own tests beside these.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.channels import Samples
from firmware_bridge.device import Advert, Ask, DeviceError, Losses, Read, Subscribe, Write
from firmware_bridge.devices import polar_control as control
from firmware_bridge.devices.polar import CONTROL_UUID, DATA_UUID, KIND, SERVICE_UUID, Polar
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.polar import PolarPeripheral
from firmware_bridge.virtual_sensor import Faults

FOREVER_US = 10**12
SDK_SETTINGS = bytes.fromhex("0001 3400 0101 1000 0204 F500F401E803D007 0401 03")
STEPS = np.array([8 / 32768 * 9.80665] * 3 + [np.radians(2000 / 32768)] * 3)


def noise(n_samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 5, (n_samples, 6)).astype(np.float32)


def source_of(samples: Samples) -> Callable[[float], Iterator[Samples]]:
    return lambda _rate_hz: iter([samples])


def started(peripheral: PolarPeripheral) -> Polar:
    device = Polar()
    rehearse(device.start(0), peripheral)
    return device


def hear(device: Polar, peripheral: PolarPeripheral, until_us: int = FOREVER_US) -> list[Event]:
    return [
        event
        for ready_us, (uuid, data) in peripheral.notifications(until_us)
        for event in device.feed(uuid, data, ready_us * 1000)
    ]


def received(events: list[Event]) -> Samples:
    return np.concatenate([event.samples for event in events if isinstance(event, Block)])


def n_lost(events: list[Event]) -> int:
    return sum(event.n_samples for event in events if isinstance(event, Gap))


def test_it_asks_for_the_settings_and_starts_both_with_the_best_of_them() -> None:
    assert rehearse(Polar().start(0), PolarPeripheral(source_of(noise(1)))) == [
        Read(CONTROL_UUID),
        Subscribe(CONTROL_UUID, is_data=False),
        Ask(CONTROL_UUID, bytes.fromhex("0102"), CONTROL_UUID),
        Ask(CONTROL_UUID, bytes.fromhex("0105"), CONTROL_UUID),
        Subscribe(DATA_UUID),
        Ask(CONTROL_UUID, bytes.fromhex("0202 00013400 01011000 02010800 040103"), CONTROL_UUID),
        Ask(CONTROL_UUID, bytes.fromhex("0205 00013400 01011000 0201D007 040103"), CONTROL_UUID),
    ]


@pytest.mark.parametrize(("rates_hz", "expected_hz"), [((52,), 52), ((26, 52, 104, 208, 416), 104), ((208, 416), 208)])
def test_the_highest_rate_up_to_104_hz_is_chosen(rates_hz: tuple[int, ...], expected_hz: int) -> None:
    peripheral = PolarPeripheral(source_of(noise(1)), rates_hz=rates_hz)
    device = started(peripheral)
    assert device.stream.rate_hz == peripheral.rate_hz == expected_hz


def test_measurements_that_still_run_are_stopped_and_started_again() -> None:
    peripheral = PolarPeripheral(source_of(noise(1)))
    device = started(peripheral)
    steps = [step.data[:2].hex() for step in rehearse(device.start(0), peripheral) if isinstance(step, Ask)]
    assert steps == ["0102", "0105", "0202", "0302", "0202", "0205", "0305", "0205"]
    assert peripheral.is_streaming
    assert rehearse(device.stop(), peripheral) == [
        Write(CONTROL_UUID, bytes.fromhex("0302")),
        Write(CONTROL_UUID, bytes.fromhex("0305")),
    ]
    assert not peripheral.is_streaming


def test_an_h10_is_refused_since_it_measures_acceleration_only() -> None:
    peripheral = PolarPeripheral(source_of(noise(1)), has_gyroscope=False)
    assert KIND.fits(Advert(peripheral.name))
    with pytest.raises(DeviceError, match=r"no gyroscope .*acceleration only.* use a Polar Verity Sense"):
        rehearse(Polar().start(0), peripheral)


def test_features_settings_and_answers_are_read_as_in_the_sdk() -> None:
    assert control.features(bytes.fromhex("0f05") + bytes(14)) == {0, 2}
    assert control.parse_settings(SDK_SETTINGS) == {0: (52,), 1: (16,), 2: (245, 500, 1000, 2000), 4: (3,)}
    assert control.parse_settings(bytes.fromhex("0302 FFFFFFFF FF000000 0101 0E00")) == {3: (2**32 - 1, 255), 1: (14,)}
    assert control.parameters(bytes.fromhex("F001020000FFFFFF"), 1, 2) == b"\xff\xff\xff"
    with pytest.raises(DeviceError, match="not say its settings for rotation: invalid resolution"):
        control.parameters(bytes.fromhex("F001050700"), 1, 5)
    assert control.start(2, {0: 200, 1: 16, 2: 8}) == bytes.fromhex("0202 0001C800 01011000 02010800")
    assert control.factor({5: (int.from_bytes(np.float32(0.061).tobytes(), "little"),)}) == pytest.approx(0.061)
    assert control.factor({}) == 1.0


OFFER = b"\xf0\x01\x02\x00\x00" + SDK_SETTINGS
GYR_OFFER = b"\xf0\x01\x05\x00\x00" + SDK_SETTINGS


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([b""], "control point says"),
        ([b"\x0f\x6e", b"", b"\xf0\x01\x02\x0d"], "it is in its charger"),
        ([b"\x0f\x6e", b"", b"\x01\x02"], "say its settings for acceleration is none"),
        ([b"\x0f\x6e", b"", b"\xf0\x01\x02\x00\x01"], "more parts"),
        ([b"\x0f\x6e", b"", OFFER[:-1]], "settings cannot be read"),
        ([b"\x0f\x6e", b"", OFFER + b"\x09\x01\x00"], "settings cannot be read"),
        ([b"\x0f\x6e", b"", OFFER, bytes.fromhex("f001050000 00011a00 02010800")], "no rate that"),
        ([b"\x0f\x6e", b"", OFFER, bytes.fromhex("f001050000 00013400")], "no range for rotation"),
        ([b"\x0f\x6e", b"", OFFER, GYR_OFFER, b"", b"\xf0\x02\x02\x08"], "invalid sample rate .status 8"),
        ([b"\x0f\x6e", b"", OFFER, GYR_OFFER, b"", b"\xf0\x02\x02\x63"], "unknown .status 99"),
        ([b"\x0f\x6e", b"", OFFER, GYR_OFFER, b"", b"\xf0\x02\x02\x06", b"\xf0\x03\x02\x0c"], "not stop for acceler"),
        ([b"\x0f\x6e", b"", OFFER, GYR_OFFER, b"", b"\xf0\x02\x02\0\0\x05\x01\0\0\xc0\x7f"], "factor is nan"),
    ],
)
def test_an_answer_that_is_none_is_told_in_a_line(answers: list[bytes], message: str) -> None:
    talk = Polar().start(0)
    next(talk)
    for answer in answers[:-1]:
        talk.send(answer)
    with pytest.raises(DeviceError, match=message) as error:
        talk.send(answers[-1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("is_compressed", [True, False])
def test_every_sample_of_the_virtual_sensor_arrives_within_its_quantisation(is_compressed: bool) -> None:
    samples = noise(34 * 12)
    peripheral = PolarPeripheral(source_of(samples), is_compressed=is_compressed)
    events = hear(started(peripheral), peripheral)
    step = STEPS.copy()
    if not is_compressed:
        step[:3] = 1e-3 * 9.80665
    assert (np.abs(received(events) - samples) <= 0.51 * step).all()
    assert all(isinstance(event, Block) for event in events)
    times_ns = np.concatenate([event.device_time_ns for event in events if isinstance(event, Block)])
    assert np.abs(np.diff(times_ns) - 1e9 / 52).max() < 2000


def test_packets_of_each_kind_may_be_cut_differently() -> None:
    samples = noise(34 * 20)
    one, other = (PolarPeripheral(source_of(samples), samples_per_packet=n_samples) for n_samples in (34, 25))
    device = started(one)
    rehearse(Polar().start(0), other)
    due = [each for each in one.notifications(FOREVER_US) if each[1][1][0] == 2]
    due += [each for each in other.notifications(FOREVER_US) if each[1][1][0] == 5]
    events = [
        e for us, (uuid, data) in sorted(due, key=lambda each: each[0]) for e in device.feed(uuid, data, us * 1000)
    ]
    assert all(isinstance(event, Block) for event in events)
    assert (np.abs(received(events) - samples[: len(received(events))]) <= 0.51 * STEPS).all()
    assert len(received(events)) == 34 * 20


@settings(max_examples=15)
@given(seed=st.integers(0, 999), burst=st.integers(1, 5), is_compressed=st.booleans())
def test_received_and_lost_are_what_was_taken(seed: int, burst: int, is_compressed: bool) -> None:
    faults = Faults(radio_drop=0.05, burst_packets=burst, repeat=0.1)
    samples = noise(34 * 60, seed)
    peripheral = PolarPeripheral(source_of(samples), faults=faults, seed=seed, is_compressed=is_compressed)
    events = hear(started(peripheral), peripheral)
    counts = peripheral.counts
    got = received(events)
    assert len(got) == counts.samples_sent
    assert sum(isinstance(event, DuplicatePacket) for event in events) == 2 * counts.packets_repeated
    last = [event for event in events if isinstance(event, Block)][-1]
    assert len(got) + n_lost(events) == last.first_sample_index + len(last.samples)
    n_before = next(n for n in range(0, len(samples), 34) if np.abs(got[0] - samples[n]).max() < 0.01)
    numbers = np.concatenate([e.first_sample_index + np.arange(len(e.samples)) for e in events if isinstance(e, Block)])
    assert np.abs(got - samples[numbers + n_before]).max() < 0.01


def test_one_lost_notification_loses_its_pairs_and_counts_them() -> None:
    samples = noise(34 * 10)
    peripheral = PolarPeripheral(source_of(samples))
    device = started(peripheral)
    due = list(peripheral.notifications(FOREVER_US))
    del due[13], due[6]  # one of rotation, one of acceleration
    events = [event for us, (uuid, data) in due for event in device.feed(uuid, data, us * 1000)]
    assert [(e.first_sample_index, e.n_samples) for e in events if isinstance(e, Gap)] == [(3 * 34, 34), (6 * 34, 34)]
    assert len(received(events)) == 8 * 34


@pytest.mark.parametrize("outage_s", [5, 3600])
def test_an_outage_is_counted_exactly_from_the_clock(outage_s: int) -> None:
    peripheral = PolarPeripheral(source_of(noise(34 * 10)))
    device = started(peripheral)
    assert len(received(hear(device, peripheral))) == 340
    peripheral.link_lost()
    assert not peripheral.is_streaming
    rehearse(device.start(0), peripheral)
    first = 340 + outage_s * 52
    time_us = np.rint(np.arange(first, first + 34) * 1e6 / 52).astype(np.int64)
    events = [
        event
        for uuid, data in peripheral.pack(noise(34), 0, time_us)
        for event in device.feed(uuid, data, int(time_us[-1]) * 1000 + 100_000_000)
    ]
    assert events[0] == Gap(340, outage_s * 52, int(time_us[-1]) * 1000 + 100_000_000)
    assert len(received(events)) == 34


def test_a_sensor_whose_clock_was_set_back_starts_afresh() -> None:
    device = started(PolarPeripheral(source_of(noise(1))))
    for first_time_ns in (800 * 10**15, 10**15):
        peripheral = PolarPeripheral(source_of(noise(68)), first_time_ns=first_time_ns)
        rehearse(device.start(0), peripheral)
        events = hear(device, peripheral)
    assert isinstance(events[0], Restart)
    assert len(received(events)) == 68
    assert n_lost(events) == 0


def test_another_rate_than_before_starts_afresh() -> None:
    device = started(PolarPeripheral(source_of(noise(1))))
    peripheral = PolarPeripheral(source_of(noise(68)), rates_hz=(104,))
    rehearse(device.start(0), peripheral)
    events = hear(device, peripheral)
    assert isinstance(events[0], Restart)
    assert len(received(events)) == 68


def test_saturated_samples_are_marked() -> None:
    samples = np.zeros((34, 6), np.float32)
    samples[3, 1] = 100.0
    samples[5, 5] = -40.0
    peripheral = PolarPeripheral(source_of(samples))
    (block,) = hear(started(peripheral), peripheral)
    assert isinstance(block, Block)
    assert np.flatnonzero(block.saturated).tolist() == [3, 5]


@settings(max_examples=200)
@given(
    notifications=st.lists(
        st.one_of(
            st.binary(max_size=250),
            st.builds(
                lambda kind, stamp, frame, content: bytes([kind]) + stamp.to_bytes(8, "little") + frame + content,
                st.sampled_from([2, 5]),
                st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 10**10)),
                st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x80", b"\x81"]),
                st.binary(min_size=6, max_size=60),
            ),
        ),
        max_size=12,
    )
)
def test_no_bytes_raise_or_give_a_sample_out_of_range(notifications: list[bytes]) -> None:
    device = started(PolarPeripheral(source_of(noise(1))))
    for n, data in enumerate(notifications):
        for event in device.feed(DATA_UUID, data, n * 10**9):
            if isinstance(event, Block):
                assert np.isfinite(event.samples).all()
                assert np.abs(event.samples).max() < 160


def test_what_comes_before_the_start_or_from_elsewhere_is_corrupt() -> None:
    frame = b"\x02" + bytes(8) + b"\x01" + bytes(6)
    assert Polar().feed(DATA_UUID, frame, 1) == [CorruptPacket("measurement type 2 was not started", 1)]
    assert Polar().feed(CONTROL_UUID, frame, 1) == [CorruptPacket(f"no data characteristic: {CONTROL_UUID}", 1)]
    with pytest.raises(RuntimeError, match="once the sensor was started"):
        _ = Polar().stream


def test_it_is_known_by_its_name_or_service_and_the_advertisement_has_room() -> None:
    assert KIND.fits(Advert("Polar Sense 16961D33", manufacturer_ids=frozenset({0x6B})))
    assert KIND.fits(Advert("", frozenset({SERVICE_UUID})))
    assert not KIND.fits(Advert("Polaroid"))
    peripheral = PolarPeripheral(source_of(noise(1)))
    assert KIND.fits(Advert(peripheral.name))
    assert peripheral.advertised_uuids == ()
    n_bytes = 3 + 2 + len(peripheral.name) + sum(4 + len(data) for data in peripheral.manufacturer_data.values())
    assert n_bytes <= 31


def test_the_kind_says_what_a_start_sets() -> None:
    stream = started(PolarPeripheral(source_of(noise(1)))).stream
    assert stream.rate_hz == KIND.rate_hz
    assert stream.acc_range_m_s2 == pytest.approx(KIND.acc_range_g * 9.80665)
    assert stream.gyr_range_rad_s == pytest.approx(np.radians(KIND.gyr_range_deg_s))
    assert stream.has_clock
    assert (KIND.losses, KIND.is_verified) == (Losses.CLOCK, True)
    assert PolarPeripheral(source_of(noise(1)), battery_percent=33).read(KIND.battery_uuid, 0) == b"\x21"
