"""A bluetoothd that the tests serve: bleak's own BlueZ backend finds an adapter and virtual sensors, and no radio.

Any `Peripheral` enters; ``org.bluez`` on a private bus leaves. It answers what bleak 3 and bleak-retry-connector ask,
with BlueZ's own errors; advertisement monitors, pairing and AcquireNotify are refused as by a bluetoothd without them.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from dbus_fast import DBusError, ErrorType, Message, Variant

from firmware_bridge.peripheral import Peripheral
from tests.ble.fake_device import FakeDevice, Host, bluez_error
from tests.ble.layout import ADAPTER, ADAPTER_PATH, adapter_properties
from tests.ble.objects import Interfaces, ObjectServer

CONNECTION_INTERVAL_S: Final = 0.0075
"""How often notifications leave: the shortest interval of a connection."""
_TICKS_PER_ADVERT: Final = 13


class FakeBluez:
    """Runs inside ``with``, in a thread of its own; its methods are for any other thread.

    ``address`` is the bus's. With ``keeps_services`` the GATT objects stay while a device is not connected, as with
    bluetoothd's ``Cache = always``, its default; without, they come and go with the link.
    """

    def __init__(self, address: str, *, keeps_services: bool = True) -> None:
        self._host = Host(keeps_services=keeps_services)
        self._devices: dict[str, FakeDevice] = {}
        self._searchers: set[str] = set()
        self._clock: asyncio.Task[None] | None = None
        self._answers: dict[str, Callable[[Message], Message]] = {
            "SetDiscoveryFilter": Message.new_method_return,
            "StartDiscovery": self._start_discovery,
            "StopDiscovery": self._stop_discovery,
            "RemoveDevice": self._remove_device,
        }
        self._server = ObjectServer(address, "org.bluez", self)

    def __enter__(self) -> Self:
        try:
            self.start()
            self._clock = self._server.call(lambda: self._server.loop.create_task(self._run()))
        except BaseException:
            self._server.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        clock = self._clock
        assert clock is not None
        try:
            self._server.call(
                lambda: clock.result() if clock.done() else None
            )  # a sensor that failed is no test's pass
        finally:
            self._server.call(clock.cancel)
            self._server.close()

    def add(
        self,
        peripheral: Peripheral,
        *,
        address: str,
        address_type: str = "random",
        speed: float = 1.0,
        rssi: int = -60,
    ) -> FakeDevice:
        """Put a sensor on the air; its clock starts now and goes ``speed`` times as fast as ours.

        From now on the peripheral is the fake's: read its counts through `FakeDevice.sensor_counts`. What it notifies
        at this speed must stay well below what the machine can carry, some 4,000 notifications a second.
        """
        if address != address.upper() or len(address) != len("00:00:00:00:00:00"):
            raise ValueError(f"an address reads like C0:FF:EE:00:00:01, got {address!r}")
        device = FakeDevice(self._server, self._host, peripheral, address, address_type, speed, rssi)
        self._server.call(lambda: self._devices.update({device.path: device}))
        return device

    def start(self) -> None:
        """Get on the bus, as bluetoothd when it is started."""
        self._server.call(lambda: self._server.objects.update({ADAPTER_PATH: self._adapter()}))
        self._server.join()

    def stop(self) -> None:
        """Get off the bus, as bluetoothd when it is stopped: all links end, what it knew is forgotten."""
        self._server.leave()

    def wait_for_tick(self) -> None:
        """Wait until every sensor has taken the samples that were due; raises what a sensor raised."""
        self._server.call(self._take_samples)

    def deny(self, is_on: bool) -> None:
        """Answer every call with AccessDenied, as for a user who is not in the group bluetooth."""

        def set_denying() -> None:
            self._server.is_denying = is_on

        self._server.call(set_denying)

    def duplicate_after_reconnect(self, is_on: bool) -> None:
        """Have subscriptions outlive a lost link, as BlueZ does: each one held gives a copy of every notification."""

        def set_multiplying() -> None:
            self._host.multiplies = is_on

        self._server.call(set_multiplying)

    def power(self, is_on: bool) -> None:
        """Switch the adapter; off, all links are lost and the search ends."""

        def switch() -> None:
            self._host.is_powered = is_on
            if not is_on:
                self._lose_all()
            self._server.change(ADAPTER_PATH, ADAPTER, {"Powered": Variant("b", is_on)})

        self._server.call(switch)

    def remove_adapter(self) -> None:
        """Unplug the adapter, and with it all its devices."""

        def unplug() -> None:
            self._lose_all()
            for device in self._devices.values():
                device.on_forgotten()
            self._server.remove(ADAPTER_PATH)

        self._server.call(unplug)

    def restore_adapter(self) -> None:
        """Plug it in again."""
        self._server.call(lambda: self._server.add(ADAPTER_PATH, self._adapter()))

    def answer(self, message: Message) -> Message | None:
        """A call of a method of the adapter or of a device."""
        if message.path == ADAPTER_PATH:
            answer = self._answers.get(message.member or "")
            if answer is None:
                raise DBusError(ErrorType.UNKNOWN_METHOD, f"no method {message.member}")
            return answer(message)
        depth = ADAPTER_PATH.count("/") + 1
        return self._devices["/".join((message.path or "").split("/")[: depth + 1])].on_call(message)

    def client_left(self, unique_name: str) -> None:
        """A client's search and subscriptions end with its connection to the bus."""
        for device in self._devices.values():
            device.on_client_left(unique_name)
        self._end_search(unique_name)

    def bus_left(self) -> None:
        """A bluetoothd without bus ends."""
        self._lose_all()
        for device in self._devices.values():
            device.on_forgotten()
        self._server.objects.clear()

    async def _run(self) -> None:
        n_ticks = 0
        while True:
            await asyncio.sleep(CONNECTION_INTERVAL_S)
            n_ticks += 1
            self._take_samples()
            if self._searchers and n_ticks % _TICKS_PER_ADVERT == 0:
                for device in self._devices.values():
                    device.on_discovery()

    def _take_samples(self) -> None:
        for device in self._devices.values():
            device.on_time()

    def _adapter(self) -> Interfaces:
        return {ADAPTER: adapter_properties(self._host.is_powered)}

    def _start_discovery(self, message: Message) -> Message:
        if not self._host.is_powered:
            raise bluez_error("NotReady", "Resource Not Ready")
        sender = message.sender or ""
        if sender in self._searchers:
            raise bluez_error("InProgress", "Operation already in progress")
        self._searchers.add(sender)
        self._server.change(ADAPTER_PATH, ADAPTER, {"Discovering": Variant("b", True)})
        return Message.new_method_return(message)

    def _stop_discovery(self, message: Message) -> Message:
        if not self._host.is_powered:
            raise bluez_error("NotReady", "Resource Not Ready")
        if message.sender not in self._searchers:
            raise bluez_error("Failed", "No discovery started")
        self._end_search(message.sender)
        return Message.new_method_return(message)

    def _remove_device(self, message: Message) -> Message:
        device = self._devices.get(message.body[0])
        if device is None or device.path not in self._server.objects:
            raise bluez_error("DoesNotExist", "Does Not Exist")
        device.on_forgotten()
        return Message.new_method_return(message)

    def _end_search(self, unique_name: str) -> None:
        if unique_name in self._searchers:
            self._searchers.remove(unique_name)
            if not self._searchers:
                for device in self._devices.values():
                    device.on_discovery_end()
                self._server.change(ADAPTER_PATH, ADAPTER, {"Discovering": Variant("b", False)})

    def _lose_all(self) -> None:
        for device in self._devices.values():
            device.on_link_lost(is_asked_for=False)
        for unique_name in list(self._searchers):
            self._end_search(unique_name)
