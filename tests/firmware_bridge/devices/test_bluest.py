"""ST's raw motion characteristic, held by bytes that follow ST's own sources."""

from collections.abc import Iterator

import numpy as np
import pytest

from firmware_bridge.channels import Samples
from firmware_bridge.device import Advert, Losses, Subscribe
from firmware_bridge.devices.bluest import DESCRIPTION, KIND, MOTION_UUID, SERVICE_UUID
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.bluest import BlueStPeripheral
from firmware_bridge.virtual_sensor import Faults

# The vector 10, -100, 300 and its bytes are those of the unit tests TestAccelerationFeature and TestGyroscopeFeature of
# BlueSTSDK_Android; mg and 0.1 deg/s are the units of FeatureAccelerometer and FeatureGyroscope of BlueSTSDK_Python.
VECTOR = bytes.fromhex("0a00 9cff 2c01")
GOLDEN = bytes.fromhex("0500") + VECTOR + VECTOR + bytes.fromhex("0000 0000 0000")
GOLDEN_SI = np.concatenate((np.array([10, -100, 300]) * 9.80665e-3, np.radians([1.0, -10.0, 30.0]))).astype(np.float32)


def still(_rate_hz: float) -> Iterator[Samples]:
    while True:
        yield np.tile(GOLDEN_SI, (16, 1))


def hear(peripheral: BlueStPeripheral, until_s: float) -> list[Event]:
    device = KIND.make()
    assert rehearse(device.start(0), peripheral) == [Subscribe(MOTION_UUID)]
    events = [
        event
        for ready_us, (uuid, data) in peripheral.notifications(round(until_s * 1e6))
        for event in device.feed(uuid, data, ready_us * 1000)
    ]
    assert rehearse(device.stop(), peripheral) == []
    return events


def test_the_golden_vector_is_read_in_si_units() -> None:
    (block,) = KIND.make().feed(MOTION_UUID, GOLDEN, 7)
    assert isinstance(block, Block)
    np.testing.assert_allclose(block.samples, [GOLDEN_SI], rtol=1e-6)
    assert block.device_time_ns.tolist() == [40_000_000]
    assert not block.saturated.any()


def test_the_virtual_board_sends_the_golden_bytes() -> None:
    peripheral = BlueStPeripheral(still)
    peripheral.subscribe(MOTION_UUID, True)
    notifications = list(peripheral.notifications(50_000))
    assert notifications == [
        (0, (MOTION_UUID, bytes(2) + GOLDEN[2:])),
        (50_000, (MOTION_UUID, b"\x06\x00" + GOLDEN[2:])),
    ]


def test_nothing_is_lost_or_made_up_over_the_wrap_of_the_tick() -> None:
    device = KIND.make()
    times_ms = 65530 * 8 + 50 * np.arange(40)
    events = [
        event
        for t_ms in times_ms.tolist()
        for event in device.feed(MOTION_UUID, (t_ms // 8 % 65536).to_bytes(2, "little") + GOLDEN[2:], t_ms * 1_000_000)
    ]
    blocks = [event for event in events if isinstance(event, Block)]
    assert len(blocks) == len(events) == len(times_ms)
    np.testing.assert_allclose([block.device_time_ns[0] for block in blocks], times_ms * 1e6, atol=8e6)


@pytest.mark.parametrize("seed", range(3))
def test_drops_are_counted_by_the_tick(seed: int) -> None:
    peripheral = BlueStPeripheral(still, faults=Faults(radio_drop=0.1, burst_packets=3, repeat=0.05), seed=seed)
    events = hear(peripheral, 60)
    blocks = [event for event in events if isinstance(event, Block)]
    n_lost = sum(event.n_samples for event in events if isinstance(event, Gap))
    assert not any(event.is_estimated for event in events if isinstance(event, Gap))
    assert len(blocks) == peripheral.counts.samples_sent
    assert len(blocks) + n_lost == round((blocks[-1].device_time_ns[0] - blocks[0].device_time_ns[0]) / 50e6) + 1
    n_repeated = sum(isinstance(event, DuplicatePacket) for event in events)
    assert n_repeated == peripheral.counts.packets_repeated > 0


def test_other_lengths_are_corrupt_packets() -> None:
    device = KIND.make()
    for n_bytes in (0, 2, 19, 21):
        assert isinstance(device.feed(MOTION_UUID, bytes(n_bytes), 0)[0], CorruptPacket)


@pytest.mark.parametrize(("count", "is_full"), [(1990, False), (1998, True), (-2000, True)])
def test_the_end_of_the_range_is_saturated(count: int, is_full: bool) -> None:
    data = bytes(2) + count.to_bytes(2, "little", signed=True) + bytes(16)
    (block,) = KIND.make().feed(MOTION_UUID, data, 0)
    assert isinstance(block, Block)
    assert block.saturated.tolist() == [is_full]


@pytest.mark.parametrize(
    ("advert", "fits"),
    [
        (Advert(manufacturer_ids=frozenset({0x0601})), True),
        (Advert(manufacturer_ids=frozenset({0x8001})), True),
        (Advert(manufacturer_ids=frozenset({0x0030})), True),
        (Advert(service_uuids=frozenset({SERVICE_UUID})), True),
        (Advert(name="ST-foot", manufacturer_ids=frozenset({0x004C, 0x0001})), False),
    ],
)
def test_it_is_known_by_its_manufacturer_data(advert: Advert, fits: bool) -> None:
    assert KIND.fits(advert) is fits


def test_what_it_says_of_itself_is_honest() -> None:
    assert not KIND.is_verified
    assert KIND.losses is Losses.CLOCK
    assert KIND.fits(Advert(manufacturer_ids=frozenset(BlueStPeripheral(still).manufacturer_data)))
    assert DESCRIPTION.packet_bytes == len(GOLDEN)
    with pytest.raises(KeyError):
        BlueStPeripheral(still).write(MOTION_UUID, b"\x01", 0)
