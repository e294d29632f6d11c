"""Running real bleak in a test against our own virtual sensor: find it, stream from it, collect what comes.

bleak keeps one D-Bus connection for each event loop and closes it only when another loop comes; `on_bleak` closes it.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus import manager
from bleak.backends.device import BLEDevice
from dbus_fast import Message

from firmware_bridge.channels import Samples
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.events import Event
from firmware_bridge.packet_v1 import CONTROL_UUID, DATA_UUID, Command, Info
from firmware_bridge.peripherals.v1 import PeripheralV1

LEFT: Final = "C0:00:5E:00:53:01"
RIGHT: Final = "C0:00:5E:00:53:02"
TIMEOUT_S: Final = 10.0


def on_bleak(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in an event loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            try:
                await work()
            finally:
                await _close()

    asyncio.run(limited())


async def caught_up() -> None:
    """Wait until bleak has heard everything that bluetoothd said up to now."""
    bus = (await manager.get_global_bluez_manager())._bus
    assert bus is not None
    ping = Message(destination="org.bluez", path="/", interface="org.freedesktop.DBus.Peer", member="Ping")
    await bus.call(ping)


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
    """Scan for a name."""
    found = await BleakScanner.find_device_by_name(name, timeout=TIMEOUT_S)
    assert found is not None
    return found


@asynccontextmanager
async def streaming(device: BLEDevice) -> AsyncIterator[tuple[BleakClient, Received]]:
    """Connected and started."""
    async with BleakClient(device) as client:
        yield client, await stream_from(client)


async def stream_from(client: BleakClient) -> Received:
    """Subscribe and start."""
    received = Received()
    await client.start_notify(DATA_UUID, received)
    await client.write_gatt_char(CONTROL_UUID, bytes(Command.start()), response=True)
    return received


async def _close() -> None:
    known = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if known is not None and known._bus is not None:
        known._bus.disconnect()
        await known._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it out
