"""What goes wrong on BlueZ goes wrong here, and shows at the real bleak in the same way."""

import asyncio
from collections.abc import Iterator

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError
from bleak_retry_connector import establish_connection

from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    Command,
)
from firmware_bridge.peripheral import Notification
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.central import LEFT, RIGHT, Received, caught_up, find, foot, on_bleak, ramp, streaming
from tests.ble.fake_bluez import FakeBluez

pytestmark = NEEDS_DBUS


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
    bluez.add(foot("FE-right"), address=RIGHT)

    async def work() -> None:
        client = BleakClient(await find())
        device.set_on_air(False)
        connecting = asyncio.create_task(client.connect())
        async with BleakScanner() as scanner:
            adverts = scanner.advertisement_data()
            heard = [(await anext(adverts))[0].name for _ in range(3)]
        assert heard == ["FE-right"] * 3
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
        await caught_up()  # links end before their adapter is said to be gone
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
        bus.kill()
        await lost.wait()
        await client.disconnect()
        with pytest.raises(OSError, match="refused"):
            await find()
        bus.start()
        bluez.start()
        async with streaming(await find()) as (_, received):
            await received.reach(1)

    with PrivateBus() as bus, FakeBluez(bus.address) as bluez:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        bluez.add(foot(), address=LEFT)
        on_bleak(work)


def test_a_sensor_that_raises_fails_the_test_that_uses_it() -> None:
    class Broken(PeripheralV1):
        def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:  # noqa: ARG002
            raise ZeroDivisionError

    def use() -> None:
        with PrivateBus() as bus, FakeBluez(bus.address) as bluez:
            bluez.add(Broken(ramp), address=LEFT)
            bluez.wait_for_tick()

    with pytest.raises(ZeroDivisionError):
        use()
