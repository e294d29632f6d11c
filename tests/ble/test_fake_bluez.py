"""The fake bluetoothd is one to the real bleak: what works on BlueZ works here, and what goes wrong there does here."""

import asyncio
from collections.abc import Sequence

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakDBusError, BleakGATTProtocolError
from bleak_retry_connector import establish_connection

from firmware_bridge.device import BATTERY_LEVEL_UUID
from firmware_bridge.events import Block, DuplicatePacket, Event, Gap
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    SERVICE_UUID,
    Answer,
    Command,
    Op,
    Status,
)
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.central import LEFT, RIGHT, Received, caught_up, find, foot, on_bleak, ramp, stream_from, streaming
from tests.ble.fake_bluez import FakeBluez
from tests.ble.fake_device import FakeDevice

pytestmark = NEEDS_DBUS


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
    keeps_services: bool, monkeypatch: pytest.MonkeyPatch
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

    with PrivateBus() as bus, FakeBluez(bus.address, keeps_services=keeps_services) as bluez:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
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
