"""The fake bluetoothd is one to the real bleak: what works on BlueZ works here, and what goes wrong there does here."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.backends.device import BLEDevice
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError, BleakGATTProtocolError
from bleak_retry_connector import establish_connection

from firmware_bridge.channels import Samples
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.device import BATTERY_LEVEL_UUID
from firmware_bridge.events import Block, DuplicatePacket, Event, Gap
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    SERVICE_UUID,
    Answer,
    Command,
    Info,
    Op,
    Status,
)
from firmware_bridge.peripheral import Notification
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.central import TIMEOUT_S, caught_up, on_bleak
from tests.ble.fake_bluez import FakeBluez
from tests.ble.fake_device import FakeDevice

pytestmark = NEEDS_DBUS

LEFT, RIGHT = "C0:00:5E:00:53:01", "C0:00:5E:00:53:02"


@pytest.fixture(scope="module")
def bus() -> Iterator[PrivateBus]:
    with PrivateBus() as running:
        yield running


@pytest.fixture(autouse=True)
def _system_bus(bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
    monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", True)  # no bluetoothctl to ask


@pytest.fixture
def bluez(bus: PrivateBus) -> Iterator[FakeBluez]:
    with FakeBluez(bus.address) as running:
        yield running


def ramp(_rate_hz: float) -> Iterator[Samples]:
    """Samples without end."""
    return (np.full((100, 6), index % 7, np.float32) for index in itertools.count())


def foot(name: str = "FE-foot", seed: int = 0) -> PeripheralV1:
    return PeripheralV1(ramp, name=name, seed=seed)


@dataclass
class Received:
    """Notifications as bleak hands them on; `reach` waits for their number."""

    data: list[bytes] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, _sender: object, data: bytearray) -> None:
        self.data.append(bytes(data))
        self._changed.set()

    async def reach(self, n: int) -> None:
        while len(self.data) < n:
            self._changed.clear()
            await self._changed.wait()

    def events(self, info: Info) -> list[Event]:
        decoder = DecoderV1(info)
        return [event for data in self.data for event in decoder.feed(data, 0)]


async def find(name: str = "FE-foot") -> BLEDevice:
    found = await BleakScanner.find_device_by_name(name, timeout=TIMEOUT_S)
    assert found is not None
    return found


@asynccontextmanager
async def streaming(device: BLEDevice) -> AsyncIterator[tuple[BleakClient, Received]]:
    async with BleakClient(device) as client:
        yield client, await stream_from(client)


async def stream_from(client: BleakClient) -> Received:
    received = Received()
    await client.start_notify(DATA_UUID, received)
    await client.write_gatt_char(CONTROL_UUID, bytes(Command.start()), response=True)
    return received


def n_samples(events: Sequence[Event], kind: type[Block | Gap]) -> int:
    return sum(
        event.n_samples if isinstance(event, Gap) else len(event.samples) for event in events if isinstance(event, kind)
    )


async def sent_and_received(device: FakeDevice, client: BleakClient, received: Received) -> int:
    """Have the sensor stop, and wait for the last of what it notified; gives the number of packets it sent."""
    await client.write_gatt_char(CONTROL_UUID, bytes(Command.stop()), response=True)
    await received.reach(device.counts.notifications)
    return device.sensor_counts.packets_sent


def test_a_scan_finds_name_service_company_and_signal_strength(bluez: FakeBluez) -> None:
    class Branded(PeripheralV1):
        @property
        def manufacturer_data(self) -> dict[int, bytes]:
            return {0xFFFF: b"\x01\x02"}

    bluez.add(Branded(ramp, name="FE-foot"), address=LEFT, rssi=-71)

    async def work() -> None:
        async with BleakScanner() as scanner:
            device, advert = await anext(aiter(scanner.advertisement_data()))
        assert (device.address, device.name, advert.local_name) == (LEFT, "FE-foot", "FE-foot")
        assert advert.service_uuids == [SERVICE_UUID]
        assert advert.manufacturer_data == {0xFFFF: b"\x01\x02"}
        assert advert.rssi in (-71, -70)

    on_bleak(work)


def test_values_are_read_commands_answered_and_what_is_not_permitted_refused(bluez: FakeBluez) -> None:
    sensor = foot()
    bluez.add(sensor, address=LEFT)

    async def work() -> None:
        answers = Received()
        async with BleakClient(await find()) as client:
            assert bytes(await client.read_gatt_char(INFO_UUID)) == bytes(sensor.info)
            assert bytes(await client.read_gatt_char(BATTERY_LEVEL_UUID)) == bytes([80])
            await client.start_notify(CONTROL_UUID, answers)
            await client.write_gatt_char(CONTROL_UUID, bytes(Command.stop()), response=True)
            await answers.reach(1)
            with pytest.raises(BleakGATTProtocolError, match="Write Not Permitted"):
                await client.write_gatt_char(DATA_UUID, b"", response=True)
            with pytest.raises(BleakGATTProtocolError, match="Read Not Permitted"):
                await client.read_gatt_char(DATA_UUID)
            with pytest.raises(BleakDBusError, match="NotSupported"):
                await client.start_notify(INFO_UUID, answers)
        assert answers.data == [bytes(Answer(Op.STOP, Status.DONE))]

    on_bleak(work)


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_every_notification_arrives_once_and_in_order(bluez: FakeBluez, speed: float) -> None:
    sensor = foot()
    device = bluez.add(sensor, address=LEFT, speed=speed)

    async def work() -> None:
        async with streaming(await find()) as (client, received):
            await received.reach(20)
            n_sent = await sent_and_received(device, client, received)
        assert len(received.data) == n_sent
        events = received.events(sensor.info)
        assert all(isinstance(event, Block) for event in events)
        assert n_samples(events, Block) == device.sensor_counts.samples_sent

    on_bleak(work)


def test_two_sensors_stream_at_once_and_each_to_its_own(bluez: FakeBluez) -> None:
    sensors = [foot("FE-left", seed=1), foot("FE-right", seed=2)]
    devices = [
        bluez.add(sensor, address=address, speed=10) for sensor, address in zip(sensors, (LEFT, RIGHT), strict=True)
    ]

    async def work() -> None:
        found = [await find(sensor.name) for sensor in sensors]
        async with streaming(found[0]) as (left, from_left), streaming(found[1]) as (right, from_right):
            await from_left.reach(30)
            await from_right.reach(30)
            n_left = await sent_and_received(devices[0], left, from_left)
            n_right = await sent_and_received(devices[1], right, from_right)
            assert (len(from_left.data), len(from_right.data)) == (n_left, n_right)

    on_bleak(work)


@pytest.mark.parametrize("keeps_services", [True, False])
def test_after_a_lost_link_nothing_comes_until_it_is_started_again_and_the_gap_is_exact(
    bus: PrivateBus, keeps_services: bool
) -> None:
    sensor = foot()

    async def work() -> None:
        lost = asyncio.Event()
        first = await establish_connection(
            BleakClient, await find(), "foot", disconnected_callback=lambda _client: lost.set()
        )
        received = await stream_from(first)
        await received.reach(5)
        device.drop_link()
        await lost.wait()
        assert not first.is_connected
        await first.disconnect()
        before = len(received.data)
        second = await establish_connection(BleakClient, await find(), "foot")
        await second.start_notify(DATA_UUID, received)
        await caught_up()
        assert len(received.data) == before
        await second.write_gatt_char(CONTROL_UUID, bytes(Command.start()), response=True)
        await received.reach(before + 5)
        n_sent = await sent_and_received(device, second, received)
        await second.disconnect()
        assert len(received.data) == n_sent
        assert (device.counts.connects, device.counts.disconnects, device.counts.notify_starts) == (2, 2, 2)
        events = received.events(sensor.info)
        blocks = [event for event in events if isinstance(event, Block)]
        n_between = blocks[-1].first_sample_index + 4 - blocks[0].first_sample_index - n_samples(blocks, Block)
        assert n_samples(events, Gap) == n_between > 0

    with FakeBluez(bus.address, keeps_services=keeps_services) as bluez:
        device = bluez.add(sensor, address=LEFT, speed=10)
        on_bleak(work)


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_client_that_does_not_disconnect_after_a_loss_has_every_notification_twice(
    bluez: FakeBluez, says_goodbye: bool
) -> None:
    sensor = foot()
    device = bluez.add(sensor, address=LEFT, speed=10)
    bluez.duplicate_after_reconnect(True)

    async def work() -> None:
        lost = asyncio.Event()
        found = await find()
        old = BleakClient(found, disconnected_callback=lambda _client: lost.set())
        await old.connect()
        await (await stream_from(old)).reach(2)
        device.drop_link()
        await lost.wait()
        if says_goodbye:
            await old.disconnect()
        async with streaming(found) as (_, received):
            await received.reach(40)
        duplicates = sum(isinstance(event, DuplicatePacket) for event in received.events(sensor.info))
        assert duplicates == (0 if says_goodbye else len(received.data) // 2)
        assert (device.counts.copies == 0) == says_goodbye
        await old.disconnect()

    on_bleak(work)


def test_a_silent_sensor_stays_connected_and_what_it_took_is_lost(bluez: FakeBluez) -> None:
    sensors = [foot("FE-left"), foot("FE-right")]
    left, _ = (bluez.add(sensor, address=at, speed=10) for sensor, at in zip(sensors, (LEFT, RIGHT), strict=True))

    async def work() -> None:
        found = [await find(sensor.name) for sensor in sensors]
        async with streaming(found[0]) as (client, silent), streaming(found[1]) as (_, clock):
            await silent.reach(5)
            left.silence(True)
            await caught_up()
            before = len(silent.data)
            await clock.reach(len(clock.data) + 20)
            assert len(silent.data) == before
            assert client.is_connected
            left.silence(False)
            await silent.reach(before + 5)
        assert n_samples(silent.events(sensors[0].info), Gap) >= 40

    on_bleak(work)


def test_bleak_itself_tries_again_after_an_aborted_connection(bluez: FakeBluez) -> None:
    device = bluez.add(foot(), address=LEFT)
    device.fail_connects(2)

    async def work() -> None:
        async with BleakClient(await find()):
            assert device.counts.connects == 1

    on_bleak(work)


def test_other_failures_to_connect_reach_the_caller_and_a_retry_gets_over_them(bluez: FakeBluez) -> None:
    device = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        found = await find()
        device.fail_connects(2, message="br-connection-canceled")
        with pytest.raises(BleakDBusError, match="br-connection-canceled"):
            await BleakClient(found).connect()
        client = await establish_connection(BleakClient, found, "foot")
        await client.disconnect()
        assert device.counts.connects == 1

    on_bleak(work)


def test_what_is_in_progress_fails_a_connection_and_a_subscription_but_only_delays_a_write(bluez: FakeBluez) -> None:
    device = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        found = await find()
        device.in_progress(1)
        with pytest.raises(BleakDBusError, match="InProgress"):
            await BleakClient(found).connect()
        async with BleakClient(found) as client:
            device.in_progress(1)
            with pytest.raises(BleakDBusError, match="InProgress"):
                await client.start_notify(DATA_UUID, Received())
            answers = Received()
            await client.start_notify(CONTROL_UUID, answers)
            device.in_progress(2)
            await client.write_gatt_char(CONTROL_UUID, bytes(Command.stop()), response=True)
            await answers.reach(1)

    on_bleak(work)


def test_a_sensor_off_the_air_lets_a_connection_wait_until_it_is_back(bluez: FakeBluez) -> None:
    device = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        client = BleakClient(await find())
        device.set_on_air(False)
        connecting = asyncio.create_task(client.connect())
        assert await BleakScanner.find_device_by_name("FE-foot", timeout=0.3) is None
        assert not connecting.done()
        device.set_on_air(True)
        await connecting
        await client.disconnect()

    on_bleak(work)


def test_a_forgotten_sensor_is_not_found_without_a_new_scan(bluez: FakeBluez) -> None:
    device = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        found = await find()
        device.forget()
        with pytest.raises(BleakError, match="not found"):
            await BleakClient(found).connect()
        async with BleakClient(await find()) as client:
            assert client.is_connected

    on_bleak(work)


@pytest.mark.parametrize("fault", ["power", "adapter"])
def test_without_a_powered_adapter_links_end_and_nothing_is_found_until_it_is_back(
    bluez: FakeBluez, fault: str
) -> None:
    bluez.add(foot(), address=LEFT)

    async def work() -> None:
        lost = asyncio.Event()
        found = await find()
        client = BleakClient(found, disconnected_callback=lambda _client: lost.set())
        await client.connect()
        if fault == "power":
            bluez.power(False)
        else:
            bluez.remove_adapter()
        await lost.wait()
        await client.disconnect()
        message = "No powered" if fault == "power" else "No Bluetooth adapters"
        with pytest.raises(BleakBluetoothNotAvailableError, match=message):
            await find()
        with pytest.raises(BleakError, match="NotReady" if fault == "power" else "not found"):
            await client.connect()
        if fault == "power":
            bluez.power(True)
        else:
            bluez.restore_adapter()
        await caught_up()
        async with streaming(await find()) as (_, received):
            await received.reach(1)

    on_bleak(work)


def test_a_user_without_the_right_is_denied_access(bluez: FakeBluez) -> None:
    bluez.deny(True)

    async def work() -> None:
        with pytest.raises(BleakDBusError, match="AccessDenied"):
            await find()

    on_bleak(work)


def test_a_stopped_bluetoothd_is_no_service_and_a_started_one_is_there_again(bluez: FakeBluez) -> None:
    bluez.add(foot(), address=LEFT)
    bluez.stop()

    async def work() -> None:
        with pytest.raises(BleakDBusError, match="ServiceUnknown"):
            await find()
        bluez.start()
        async with BleakClient(await find()) as client:
            assert client.is_connected

    on_bleak(work)


def test_a_killed_bus_ends_links_and_a_restarted_one_carries_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        lost = asyncio.Event()
        found = await find()
        client = BleakClient(found, disconnected_callback=lambda _client: lost.set())
        await client.connect()
        own_bus.kill()
        await lost.wait()
        await client.disconnect()
        with pytest.raises(OSError, match="refused"):
            await find()
        own_bus.start()
        own_bluez.start()
        async with streaming(await find()) as (_, received):
            await received.reach(1)

    with PrivateBus() as own_bus, FakeBluez(own_bus.address) as own_bluez:
        monkeypatch.setenv(ADDRESS_VARIABLE, own_bus.address)
        own_bluez.add(foot(), address=LEFT)
        on_bleak(work)


def test_a_sensor_that_raises_fails_the_test_that_uses_it(bus: PrivateBus) -> None:
    class Broken(PeripheralV1):
        def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:  # noqa: ARG002
            raise ZeroDivisionError

    def use() -> None:
        with FakeBluez(bus.address) as bluez:
            bluez.add(Broken(ramp), address=LEFT)
            bluez.wait_for_tick()

    with pytest.raises(ZeroDivisionError):
        use()
