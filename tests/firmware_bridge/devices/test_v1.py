"""Our own sensor, talked to and listened to over any number of connections."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.channels import Samples
from firmware_bridge.device import Advert, Ask, DeviceBusyError, DeviceError, Losses, Read, Step, Subscribe, Write
from firmware_bridge.devices.v1 import KIND, DeviceV1
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    SERVICE_UUID,
    Answer,
    Command,
    Frame,
    Info,
    Op,
    Status,
)
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.virtual_sensor import Faults

BATTERY_UUID = "00002a19-0000-1000-8000-00805f9b34fb"


def noise(_rate_hz: float) -> Iterator[Samples]:
    """Endless SI samples."""
    random = np.random.default_rng(0)
    while True:
        yield random.normal(0, 5, (64, 6)).astype(np.float32)


def hear(device: DeviceV1, peripheral: PeripheralV1, until_ms: int) -> list[Event]:
    return [
        event
        for ready_us, (uuid, data) in peripheral.notifications(until_ms * 1000)
        for event in device.feed(uuid, data, ready_us * 1000)
    ]


def n_received(events: list[Event]) -> int:
    return sum(len(event.samples) for event in events if isinstance(event, Block))


def n_lost(events: list[Event]) -> int:
    return sum(event.n_samples for event in events if isinstance(event, Gap))


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_it_reads_what_the_sensor_is_before_it_subscribes_and_starts() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    assert rehearse(device.start(0), peripheral) == [
        Read(INFO_UUID),
        Subscribe(CONTROL_UUID, is_data=False),
        Subscribe(DATA_UUID),
        Ask(CONTROL_UUID, b"\x01", CONTROL_UUID),
    ]
    assert peripheral.is_streaming
    assert rehearse(device.stop(), peripheral) == [Write(CONTROL_UUID, b"\x02")]
    assert not peripheral.is_streaming


def test_the_stream_is_what_the_info_says() -> None:
    device = DeviceV1()
    with pytest.raises(RuntimeError, match="once the sensor was started"):
        _ = device.stream
    info = Info(7, n_samples=8, rate_tenth_hz=2080, acc_lsb_per_g=4096, gyr_lsb_per_10_deg_s=328, frame=Frame.SENSOR)
    rehearse(device.start(0), PeripheralV1(noise, info=info))
    stream = device.stream
    assert (stream.rate_hz, stream.samples_per_packet, stream.boot_id, stream.has_clock) == (208.0, 8, 7, True)
    assert stream.acc_range_m_s2 == pytest.approx(8 * 9.80665)
    assert stream.gyr_range_rad_s == pytest.approx(np.radians(1000), rel=2e-3)
    assert not stream.is_foot_frame
    rehearse(device.start(0), PeripheralV1(noise))
    assert device.stream.is_foot_frame


def test_the_first_notification_is_preceded_by_the_restart_of_the_boot() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    rehearse(device.start(123), peripheral)
    events = hear(device, peripheral, 100)
    assert events[0] == Restart(peripheral.info.boot_id, 123)
    assert kinds(events[1:]) == [Block, Block]


def test_an_outage_of_the_same_boot_is_a_gap_of_exactly_its_samples_and_no_restart() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    rehearse(device.start(0), peripheral)
    hear(device, peripheral, 500)
    peripheral.link_lost()
    before = peripheral.counts.samples_idle
    assert hear(device, peripheral, 90_000) == []
    n_idle = peripheral.counts.samples_idle - before
    rehearse(device.start(90_000_000_000), peripheral)
    events = hear(device, peripheral, 90_100)
    assert kinds(events) == [Gap, Block, Block]
    assert n_lost(events) == n_idle


def test_packets_that_a_stale_subscription_repeats_are_dropped_after_a_reconnection_too() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    rehearse(device.start(0), peripheral)
    sent = [data for _, (_, data) in peripheral.notifications(500_000)]
    heard = [event for data in sent for event in device.feed(DATA_UUID, data, 0)]
    peripheral.link_lost()
    rehearse(device.start(0), peripheral)
    assert kinds([event for data in sent for event in device.feed(DATA_UUID, data, 0)]) == [DuplicatePacket] * len(sent)
    assert n_received(heard) == 4 * len(sent)


def test_a_new_boot_starts_afresh() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise, first_sample_index=5_000_000, first_packet_seq=60_000)
    rehearse(device.start(0), peripheral)
    hear(device, peripheral, 500)
    peripheral.reboot(0xB007)
    rehearse(device.start(9), peripheral)
    events = hear(device, peripheral, 100)
    assert events[0] == Restart(0xB007, 9)
    assert kinds(events[1:]) == [Block, Block]
    assert device.stream.boot_id == 0xB007


@pytest.mark.parametrize(
    "command", [Command.set_rate(2080), Command.set_ranges(8, 2000), Command.set_ranges(16, 1000)], ids=str
)
def test_another_rate_or_scale_of_the_same_boot_is_a_restart(command: Command) -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    rehearse(device.start(0), peripheral)
    hear(device, peripheral, 500)
    peripheral.link_lost()
    peripheral.write(CONTROL_UUID, bytes(command), 500_000)
    rehearse(device.start(1), peripheral)
    events = hear(device, peripheral, 600)
    assert events[0] == Restart(peripheral.info.boot_id, 1)
    assert set(kinds(events[1:])) == {Block}


def test_boots_without_a_packet_in_between_are_told_as_one_restart() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    for boot_id in (1, 2, 3):
        peripheral.reboot(boot_id)
        rehearse(device.start(boot_id), peripheral)
    events = hear(device, peripheral, 50)
    assert kinds(events) == [Restart, Block]
    assert events[0] == Restart(3, 3)


@given(
    drop=st.sampled_from([0.0, 0.05, 0.2]),
    burst=st.integers(1, 6),
    in_queue=st.booleans(),
    repeat=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32 - 1),
    outages_ms=st.lists(st.tuples(st.integers(100, 3000), st.integers(0, 20_000)), min_size=1, max_size=4),
)
@settings(max_examples=25)
def test_received_and_lost_are_all_that_was_taken_from_the_first_packet_to_the_last_over_any_outages(
    drop: float, burst: int, in_queue: bool, repeat: float, seed: int, outages_ms: list[tuple[int, int]]
) -> None:
    faults = Faults(
        queue_drop=drop if in_queue else 0.0, radio_drop=0.0 if in_queue else drop, burst_packets=burst, repeat=repeat
    )
    device, peripheral = DeviceV1(), PeripheralV1(noise, faults=faults, seed=seed, first_sample_index=2**32 - 500)
    events: list[Event] = []
    now_ms = n_unheard = 0
    for connected_ms, away_ms in outages_ms:
        rehearse(device.start(now_ms * 1_000_000), peripheral)
        now_ms += connected_ms
        n_unheard = peripheral.counts.samples_idle
        events += hear(device, peripheral, now_ms)
        peripheral.link_lost()
        now_ms += away_ms
        assert hear(device, peripheral, now_ms) == []
    counts = peripheral.counts
    assert n_received(events) == counts.samples_sent
    assert sum(isinstance(event, DuplicatePacket) for event in events) == counts.packets_repeated
    blocks = [event for event in events if isinstance(event, Block)]
    if blocks:
        last = blocks[-1].first_sample_index + len(blocks[-1].samples)
        assert n_received(events) + n_lost(events) == last - blocks[0].first_sample_index
    if drop == 0:
        assert n_lost(events) == n_unheard


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (b"", "info has 0 bytes, not 16"),
        (bytes(Info(1))[:-1], "info has 15 bytes, not 16"),
        (b"\x02" + bytes(Info(1))[1:], "unknown version: 2, not 1"),
        (bytes(16), "unknown version: 0, not 1"),
    ],
)
def test_an_info_that_is_none_is_refused_in_a_line(info: bytes, reason: str) -> None:
    talk = DeviceV1().start(0)
    assert next(talk) == Read(INFO_UUID)
    with pytest.raises(
        DeviceError, match=f"^its info cannot be used: {reason}; update the sensor's firmware"
    ) as caught:
        talk.send(info)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "answer to start cannot be used: truncated"),
        (b"\x01\x09", "answer to start cannot be used: status must be 0 to 3, got 9"),
        (bytes(Answer(Op.STOP, Status.DONE)), r"answered another command \(2\) than start \(1\)"),
        (bytes(Answer(Op.START, Status.UNKNOWN)), "does not start: it does not know the command"),
        (bytes(Answer(Op.START, Status.BAD_VALUE)), "does not start: it says that the value is bad"),
        (bytes(Answer(Op.START, Status.BUSY)), "does not start: it says that it is busy"),
    ],
)
def test_an_answer_that_is_no_yes_is_refused_in_a_line(answer: bytes, reason: str) -> None:
    talk = DeviceV1().start(0)
    next(talk)
    talk.send(bytes(Info(1)))
    talk.send(b"")
    assert isinstance(talk.send(b""), Ask)
    with pytest.raises(DeviceError, match=reason) as caught:
        talk.send(answer)
    assert "\n" not in str(caught.value)


def test_a_start_that_failed_tells_its_restart_once_when_the_next_one_succeeds() -> None:
    device, peripheral = DeviceV1(), PeripheralV1(noise)
    talk = device.start(5)
    step: Step = next(talk)
    for answer in (peripheral.read(INFO_UUID, 0), b"", b""):
        step = talk.send(answer)
    assert isinstance(step, Ask)
    with pytest.raises(DeviceBusyError, match="busy"):
        talk.send(bytes(Answer(Op.START, Status.BUSY)))
    rehearse(device.start(6), peripheral)
    assert kinds(hear(device, peripheral, 100)) == [Restart, Block, Block]


def test_bytes_before_the_info_or_of_another_characteristic_are_corrupt_packets() -> None:
    device = DeviceV1()
    assert kinds(device.feed(DATA_UUID, bytes(60), 1)) == [CorruptPacket]
    rehearse(device.start(0), PeripheralV1(noise))
    assert kinds(device.feed(BATTERY_UUID, b"\x50", 1)) == [CorruptPacket]


@given(st.binary(max_size=260))
@settings(max_examples=50)
def test_no_bytes_raise(data: bytes) -> None:
    device = DeviceV1()
    rehearse(device.start(0), PeripheralV1(noise))
    assert isinstance(device.feed(DATA_UUID, data, 1)[-1], CorruptPacket | Block)


@pytest.mark.parametrize(
    ("advert", "fits"),
    [
        (Advert(service_uuids=frozenset({SERVICE_UUID})), True),
        (Advert(name="FE-left"), True),
        (Advert(name="fe-left"), False),
        (Advert(name="Polar", service_uuids=frozenset({CONTROL_UUID})), False),
    ],
)
def test_it_is_known_by_its_service_or_its_name(advert: Advert, fits: bool) -> None:
    assert KIND.fits(advert) is fits


def test_what_the_kind_promises_is_what_the_virtual_foot_delivers() -> None:
    device = KIND.make()
    peripheral = PeripheralV1(noise)
    rehearse(device.start(0), peripheral)
    assert device.stream.rate_hz == KIND.rate_hz
    assert device.stream.acc_range_m_s2 == pytest.approx(KIND.acc_range_g * 9.80665)
    assert device.stream.gyr_range_rad_s == pytest.approx(np.radians(KIND.gyr_range_deg_s), rel=2e-3)
    assert KIND.losses is Losses.EXACT
    assert KIND.fits(Advert(peripheral.name))
    assert KIND.fits(Advert(service_uuids=frozenset(peripheral.advertised_uuids)))


def test_the_gatt_table_has_what_can_be_read_and_nothing_else_can() -> None:
    peripheral = PeripheralV1(noise, battery_percent=42)
    readable = [c.uuid for s in peripheral.services for c in s.characteristics if "read" in c.properties]
    assert all(peripheral.read(uuid, 0) for uuid in readable)
    assert peripheral.read(BATTERY_UUID, 0) == b"\x2a"
    with pytest.raises(KeyError):
        peripheral.read(DATA_UUID, 0)
    with pytest.raises(KeyError):
        peripheral.write(INFO_UUID, b"\x01", 0)


def test_the_virtual_foot_streams_only_to_whom_is_subscribed() -> None:
    peripheral = PeripheralV1(noise)
    assert peripheral.write(CONTROL_UUID, bytes(Command.start()), 0) == []
    peripheral.subscribe(CONTROL_UUID, True)
    assert peripheral.write(CONTROL_UUID, bytes(Command.start()), 0) == [(CONTROL_UUID, b"\x01\x03")]
    peripheral.subscribe(DATA_UUID, True)
    assert peripheral.write(CONTROL_UUID, bytes(Command.start()), 0) == [(CONTROL_UUID, b"\x01\x00")]
    assert len(list(peripheral.notifications(100_000))) == 2
    peripheral.subscribe(DATA_UUID, False)
    assert list(peripheral.notifications(200_000)) == []


@pytest.mark.parametrize("name", ["foot", "FE-leftfoot"])
def test_a_name_that_is_not_ours_or_does_not_fit_an_advertisement_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at most 8 bytes"):
        PeripheralV1(noise, name=name)
