"""Sensors that are only described: every type of number, counters and clocks that wrap, and what cannot be told."""

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.channels import Samples
from firmware_bridge.device import Advert, Losses, Subscribe, Write
from firmware_bridge.devices.described import DescribedDevice, described_kind
from firmware_bridge.devices.description import FORMATS, Channel, Clock, Counter, Counts, Description, Number
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.described import DescribedPeripheral
from firmware_bridge.virtual_sensor import Faults

DATA = "19b10001-e8f2-537e-4f6c-d104768a1214"
CONTROL = "19b10002-e8f2-537e-4f6c-d104768a1214"
SERVICE = "19b10000-e8f2-537e-4f6c-d104768a1214"
START = Write(CONTROL, b"\x01")
STOP = Write(CONTROL, b"\x00", with_response=False)
RATE_HZ = 100.0
N = 4
U16 = Number("u16", 0)
PLAIN = Description(
    key="mine",
    title="Mine",
    data_uuid=DATA,
    rate_hz=RATE_HZ,
    acc_range_g=16.0,
    gyr_range_deg_s=2000.0,
    channels=tuple(Channel(Number("i16", 6 + 2 * i), 9.80665 / 2048 if i < 3 else 0.001) for i in range(6)),
    packet_bytes=6 + 12 * N,
    samples_per_packet=N,
    stride_bytes=12,
    name_prefix="Mine",
    service_uuid=SERVICE,
    start=(START,),
    stop=(STOP,),
)
COUNTED = replace(PLAIN, counter=Counter(U16))
BY_SAMPLES = replace(PLAIN, counter=Counter(U16, Counts.SAMPLES))
CLOCKED = replace(PLAIN, clock=Clock(Number("u32", 2), 1_000_000.0))
BOTH = replace(COUNTED, clock=Clock(Number("u32", 2), 1_000_000.0, is_of_last_sample=True))
EVERY = {"plain": PLAIN, "counted": COUNTED, "by samples": BY_SAMPLES, "clocked": CLOCKED, "both": BOTH}


def noise(_rate_hz: float) -> Iterator[Samples]:
    random = np.random.default_rng(1)
    while True:
        yield random.normal(0, 5, (64, 6)).astype(np.float32)


def hear(device: DescribedDevice, peripheral: DescribedPeripheral, until_s: float) -> list[Event]:
    return [
        event
        for ready_us, (uuid, data) in peripheral.notifications(round(until_s * 1e6))
        for event in device.feed(uuid, data, ready_us * 1000)
    ]


def blocks(events: list[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def gaps(events: list[Event]) -> list[tuple[int, bool]]:
    return [(event.n_samples, event.is_estimated) for event in events if isinstance(event, Gap)]


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def counted(count: int, *, at_s: float, device: DescribedDevice) -> list[Event]:
    """Feed a packet of zeros with this counter."""
    return device.feed(DATA, struct.pack("<H", count) + bytes(4 + 12 * N), round(at_s * 1e9))


def test_it_subscribes_and_writes_what_the_description_says_and_nothing_else() -> None:
    device, peripheral = DescribedDevice(PLAIN), DescribedPeripheral(noise, PLAIN)
    assert rehearse(device.start(0), peripheral) == [Subscribe(DATA), START]
    assert peripheral.is_streaming
    assert rehearse(device.stop(), peripheral) == [STOP]
    assert not peripheral.is_streaming
    silent = replace(PLAIN, start=(), stop=())
    assert rehearse(DescribedDevice(silent).start(0), DescribedPeripheral(noise, silent)) == [Subscribe(DATA)]


@pytest.mark.parametrize("description", EVERY.values(), ids=EVERY)
def test_what_a_virtual_sensor_measured_comes_out_to_the_count(description: Description) -> None:
    device, peripheral = DescribedDevice(description), DescribedPeripheral(noise, description)
    rehearse(device.start(0), peripheral)
    events = hear(device, peripheral, 2.0)
    assert set(kinds(events)) == {Block}
    heard = np.concatenate([block.samples for block in blocks(events)])
    measured = np.concatenate([chunk for chunk, _ in zip(noise(RATE_HZ), range(4), strict=False)])[: len(heard)]
    np.testing.assert_allclose(heard[:, :3], measured[:, :3], atol=9.80665 / 2048)
    np.testing.assert_allclose(heard[:, 3:], measured[:, 3:], atol=0.001)
    index = np.concatenate([np.arange(len(b.samples)) + b.first_sample_index for b in blocks(events)])
    assert index.tolist() == list(range(len(heard)))
    times = np.concatenate([block.device_time_ns for block in blocks(events)])
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, index * 1e9 / RATE_HZ, atol=1e6)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_type_of_number_is_read_at_its_place(kind: str) -> None:
    values = np.arange(6) * 3 + 1
    n_bytes = Number(kind, 0).n_bytes
    offsets = [1 + i * (n_bytes + 1) for i in range(6)]
    description = replace(
        PLAIN,
        channels=tuple(Channel(Number(kind, offset), 0.5) for offset in offsets),
        packet_bytes=80,
        samples_per_packet=1,
        stride_bytes=0,
    )
    packet = bytearray(80)
    for value, offset in zip(values.tolist(), offsets, strict=True):
        struct.pack_into(FORMATS[kind], packet, offset, value)
    (block,) = DescribedDevice(description).feed(DATA, bytes(packet), 0)
    assert isinstance(block, Block)
    assert block.samples.tolist() == [(values * 0.5).tolist()]
    virtual = DescribedPeripheral(lambda _: iter([block.samples]), description)
    assert virtual.pack(block.samples, 0, np.zeros(1, np.int64)) == [(DATA, bytes(packet))]


@pytest.mark.parametrize(
    "description", [COUNTED, BY_SAMPLES, CLOCKED, BOTH], ids=["packets", "samples", "clock", "both"]
)
@given(
    drop=st.sampled_from([0.0, 0.05, 0.2]),
    burst=st.integers(1, 5),
    repeat=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32 - 1),
    outages_s=st.lists(st.tuples(st.floats(0.5, 3), st.floats(0, 20)), min_size=1, max_size=3),
)
@settings(max_examples=15)
def test_received_and_lost_are_all_that_was_taken_over_any_outages(
    description: Description,
    drop: float,
    burst: int,
    repeat: float,
    seed: int,
    outages_s: list[tuple[float, float]],
) -> None:
    faults = Faults(radio_drop=drop, burst_packets=burst, repeat=repeat)
    device, peripheral = DescribedDevice(description), DescribedPeripheral(noise, description, faults=faults, seed=seed)
    events: list[Event] = []
    now_s = 0.0
    for connected_s, away_s in outages_s:
        rehearse(device.start(round(now_s * 1e9)), peripheral)
        now_s += connected_s
        events += hear(device, peripheral, now_s)
        peripheral.link_lost()
        now_s += away_s
        assert hear(device, peripheral, now_s) == []
    heard = blocks(events)
    assert sum(len(block.samples) for block in heard) == peripheral.counts.samples_sent
    assert sum(isinstance(event, DuplicatePacket) for event in events) == peripheral.counts.packets_repeated
    if heard:
        first_ns, last_ns = (block.device_time_ns[-1] for block in (heard[0], heard[-1]))
        true_ns = (heard[-1].received_ns - heard[0].received_ns) if description.clock is None else last_ns - first_ns
        n_lost = sum(n for n, _ in gaps(events))
        n_between = sum(len(block.samples) for block in heard[1:]) + n_lost
        assert n_between == round(true_ns * RATE_HZ / 1e9)
        assert not any(is_estimated for _, is_estimated in gaps(events))


def test_without_counter_and_clock_an_outage_is_estimated_and_says_so() -> None:
    device, peripheral = DescribedDevice(PLAIN), DescribedPeripheral(noise, PLAIN)
    rehearse(device.start(0), peripheral)
    hear(device, peripheral, 1.0)
    peripheral.link_lost()
    assert hear(device, peripheral, 6.0) == []
    rehearse(device.start(6_000_000_000), peripheral)
    ((n_lost, is_estimated),) = gaps(hear(device, peripheral, 7.0))
    assert is_estimated
    assert abs(n_lost - 500) <= 2 * N


def test_a_small_counter_that_wrapped_while_away_is_unwrapped_by_the_arrivals() -> None:
    small = replace(PLAIN, counter=Counter(Number("u8", 0)))
    device = DescribedDevice(small)
    rehearse(device.start(0), DescribedPeripheral(noise, small))
    device.feed(DATA, bytes([250]) + bytes(53), 0)
    rehearse(device.start(0), DescribedPeripheral(noise, small))
    n_packets = 3 * 256 + 10
    events = device.feed(DATA, bytes([260 % 256]) + bytes(53), round(n_packets * N / RATE_HZ * 1e9))
    assert gaps(events) == [((n_packets - 1) * N, False)]


@pytest.mark.parametrize("clock", [None, Clock(Number("i16", 2), 1_000_000.0)], ids=["no clock", "signed clock"])
def test_a_signed_counter_and_a_signed_clock_go_round_without_a_loss(clock: Clock | None) -> None:
    signed = replace(PLAIN, counter=Counter(Number("i8", 0)), clock=clock)
    device, peripheral = DescribedDevice(signed), DescribedPeripheral(noise, signed)
    rehearse(device.start(0), peripheral)
    events = hear(device, peripheral, 70.0)
    assert set(kinds(events)) == {Block}
    times = np.concatenate([block.device_time_ns for block in blocks(events)])
    assert (np.diff(times) > 0).all()
    assert np.ptp(times) / 1e9 == pytest.approx(70.0, abs=0.1)


def test_a_packet_that_comes_twice_is_told_by_a_number_that_a_record_holds() -> None:
    """A signed counter reads below 0 half of the time."""
    device = DescribedDevice(replace(PLAIN, counter=Counter(Number("i16", 0))))
    packet = struct.pack("<h", -5) + bytes(4 + 12 * N)
    device.feed(DATA, packet, 0)
    assert device.feed(DATA, packet, 1_000) == [DuplicatePacket((1 << 16) - 5, 1_000)]


def test_a_link_that_stalls_for_seconds_and_catches_up_loses_nothing() -> None:
    device = DescribedDevice(COUNTED)
    counted(7, at_s=0.0, device=device)
    assert kinds([e for i in range(8, 108) for e in counted(i, at_s=4.0, device=device)]) == [Block] * 100


def test_a_counter_that_goes_back_is_a_sensor_that_booted() -> None:
    device = DescribedDevice(COUNTED)
    counted(30_000, at_s=0.0, device=device)
    events = counted(0, at_s=0.5, device=device)
    assert kinds(events) == [Restart, Block]
    assert blocks(events)[0].first_sample_index == 0


def test_a_counter_that_began_anew_while_away_hides_no_outage() -> None:
    device = DescribedDevice(COUNTED)
    rehearse(device.start(0), DescribedPeripheral(noise, COUNTED))
    counted(30_000, at_s=0.0, device=device)
    rehearse(device.start(0), DescribedPeripheral(noise, COUNTED))
    events = counted(0, at_s=30.0, device=device)
    assert kinds(events) == [Restart, Gap, Block]
    assert gaps(events) == [(3000, True)]


def test_a_counter_that_stood_still_while_away_hides_no_outage() -> None:
    device = DescribedDevice(BOTH)
    rehearse(device.start(0), DescribedPeripheral(noise, BOTH))
    counted(5, at_s=0.0, device=device)
    rehearse(device.start(0), DescribedPeripheral(noise, BOTH))
    events = counted(6, at_s=8.0, device=device)
    ((n_lost, is_estimated),) = gaps(events)
    assert is_estimated
    assert abs(n_lost - 800) <= 2 * N
    assert blocks(events)[0].first_sample_index == N + n_lost
    assert blocks(events)[0].device_time_ns[0] / 1e9 == pytest.approx((N + n_lost) / RATE_HZ, abs=0.1)


def test_a_counter_of_samples_that_steps_by_less_than_a_packet_is_no_packet() -> None:
    device = DescribedDevice(BY_SAMPLES)
    counted(0, at_s=0.0, device=device)
    (event,) = counted(1, at_s=0.04, device=device)
    assert event == CorruptPacket("its counter steps by 1 after 4 samples", 40_000_000)


@pytest.mark.parametrize(("count", "is_full"), [(32767, True), (-32768, True), (32736, True), (32000, False)])
def test_full_counts_and_the_end_of_the_range_are_saturated(count: int, is_full: bool) -> None:
    packet = bytearray(6 + 12 * N)
    struct.pack_into("<h", packet, 6 + 12, count)
    (block,) = DescribedDevice(PLAIN).feed(DATA, bytes(packet), 0)
    assert isinstance(block, Block)
    assert block.saturated.tolist() == [False, is_full, False, False]


FLOATS = replace(
    PLAIN,
    channels=tuple(Channel(Number("f64", 8 + 8 * i), 10.0) for i in range(6)),
    packet_bytes=56,
    samples_per_packet=1,
    clock=Clock(Number("f64", 0), 1e9),
)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e30])
def test_floating_point_values_that_cannot_be_are_corrupt_packets(value: float) -> None:
    (sample,) = DescribedDevice(FLOATS).feed(DATA, struct.pack("<7d", 0, 0, 0, value, 0, 0, 0), 3)
    assert sample == CorruptPacket("a value is no number, or far beyond its range", 3)
    (time,) = DescribedDevice(FLOATS).feed(DATA, struct.pack("<7d", value, 0, 0, 0, 0, 0, 0), 3)
    assert time == CorruptPacket("its time is no number, or centuries away", 3)


@given(stamps_s=st.lists(st.floats(), min_size=1, max_size=8), is_counted=st.booleans())
@settings(max_examples=60)
def test_no_clock_raises_or_makes_time_run_backwards_without_a_restart(stamps_s: list[float], is_counted: bool) -> None:
    device = DescribedDevice(replace(FLOATS, counter=Counter(Number("u8", 15))) if is_counted else FLOATS)
    end_ns = None
    for number, stamp_s in enumerate(stamps_s):
        data = struct.pack("<7d", stamp_s, *[0] * 6)[:15] + bytes([number]) + bytes(40)
        for event in device.feed(DATA, data, number * 10_000_000):
            if isinstance(event, Restart):
                end_ns = None
            elif isinstance(event, Block):
                assert end_ns is None or event.device_time_ns[0] > end_ns
                end_ns = int(event.device_time_ns[-1])


def test_a_clock_that_begins_anew_beside_a_counter_that_goes_on_does_not_hold_time_up() -> None:
    device = DescribedDevice(replace(BOTH, clock=Clock(Number("u32", 2), 1_000_000.0)))
    times = []
    for number in range(50):
        t_ms = 40 * number + (5_000_000 if number < 25 else 0)
        data = struct.pack("<HI", number, t_ms) + bytes(12 * N)
        times += [e.device_time_ns for e in device.feed(DATA, data, number * 40_000_000) if isinstance(e, Block)]
    np.testing.assert_allclose(np.diff(np.concatenate(times)), 10e6)


@pytest.mark.parametrize("description", EVERY.values(), ids=EVERY)
@given(data=st.lists(st.one_of(st.binary(max_size=60), st.binary(min_size=54, max_size=54)), max_size=6))
@settings(max_examples=15)
def test_no_bytes_raise(description: Description, data: list[bytes]) -> None:
    device = DescribedDevice(description)
    for number, packet in enumerate(data):
        events = device.feed(DATA, packet, number * 40_000_000)
        assert len(packet) == 54 or kinds(events) == [CorruptPacket]
    assert kinds(device.feed(CONTROL, b"", 0)) == [CorruptPacket]


@pytest.mark.parametrize(
    ("description", "losses"), [(PLAIN, Losses.ESTIMATED), (CLOCKED, Losses.CLOCK), (BOTH, Losses.EXACT)]
)
def test_the_kind_says_how_well_losses_are_counted(description: Description, losses: Losses) -> None:
    kind = described_kind(description)
    assert kind.losses is losses
    assert not kind.is_verified
    assert kind.make().stream.has_clock is (description.clock is not None)
    assert kind.make() is not kind.make()


@pytest.mark.parametrize(
    ("name_prefix", "service", "fits"),
    [
        ("Mine", "", True),
        ("", SERVICE, True),
        ("Mine", SERVICE, True),
        ("Yours", SERVICE, False),
        ("Mine", DATA, False),
    ],
)
def test_it_is_known_by_all_that_is_given(name_prefix: str, service: str, fits: bool) -> None:
    description = replace(PLAIN, name_prefix=name_prefix, service_uuid=service)
    assert described_kind(description).fits(Advert("Mine-1", frozenset({SERVICE}))) is fits


def test_the_virtual_sensor_has_what_the_description_names_and_a_name_that_fits() -> None:
    peripheral = DescribedPeripheral(noise, replace(PLAIN, name_prefix="MineIsTooLong"))
    table = {c.uuid: c.properties for s in peripheral.services for c in s.characteristics}
    assert table[DATA] == ("notify",)
    assert table[CONTROL] == ("write", "write-without-response")
    assert peripheral.name == "MineIsTo"
    assert peripheral.advertised_uuids == (SERVICE,)
    with pytest.raises(KeyError):
        peripheral.write(DATA, b"\x01", 0)


def test_a_wrong_start_write_starts_nothing() -> None:
    peripheral = DescribedPeripheral(noise, PLAIN)
    peripheral.subscribe(DATA, True)
    peripheral.write(CONTROL, b"\x02", 0)
    assert list(peripheral.notifications(1_000_000)) == []
    assert peripheral.counts.samples_idle == peripheral.counts.samples_taken > 0
