"""A central for tests: bleak's scanner and client over bumble, and a talk carried out step by step as an app would."""

import asyncio

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from edge.ble.bumble_backend import Backend
from firmware_bridge.device import Ask, Pause, Read, Subscribe, Talk, Write
from firmware_bridge.peripheral import Notification


async def find(backend: Backend, name: str) -> tuple[BLEDevice, AdvertisementData]:
    """Scan until a name is seen."""
    found: asyncio.Future[tuple[BLEDevice, AdvertisementData]] = asyncio.get_running_loop().create_future()

    def seen(device: BLEDevice, data: AdvertisementData) -> None:
        if data.local_name == name and not found.done():
            found.set_result((device, data))

    async with BleakScanner(seen, backend=backend.scanner):
        return await found


class Central:
    """A connected client, with what came by characteristic."""

    def __init__(self, backend: Backend, device: BLEDevice) -> None:
        self.lost = asyncio.Event()
        self.client = BleakClient(device, lambda _: self.lost.set(), backend=backend.client)
        self.came: asyncio.Queue[Notification] = asyncio.Queue()
        self.answers: asyncio.Queue[Notification] = asyncio.Queue()
        self._asked: Ask | None = None

    async def subscribe(self, uuid: str, queue: asyncio.Queue[Notification]) -> None:
        def received(_: BleakGATTCharacteristic, data: bytearray) -> None:
            is_answer = self._asked is not None and self._asked.is_answered_by(uuid, bytes(data))
            self._asked = None if is_answer else self._asked
            (self.answers if is_answer else queue).put_nowait((uuid, bytes(data)))

        await self.client.start_notify(uuid, received)

    async def carry_out(self, talk: Talk) -> None:
        """A talk, step by step, as an app would."""
        answer: bytes | None = None
        while True:
            try:
                step = next(talk) if answer is None else talk.send(answer)
            except StopIteration:
                return
            answer = b""
            match step:
                case Read():
                    if self.client.services.get_characteristic(step.uuid) is not None or not step.is_optional:
                        answer = bytes(await self.client.read_gatt_char(step.uuid))
                case Write():
                    await self.client.write_gatt_char(step.uuid, step.data, response=step.with_response)
                case Subscribe():
                    await self.subscribe(step.uuid, self.came if step.is_data else self.answers)
                case Ask():
                    self._asked = step
                    await self.client.write_gatt_char(step.uuid, step.data, response=step.with_response)
                    uuid, answer = await self.answers.get()
                    assert uuid == step.reply_uuid
                case Pause():
                    pass

    async def take(self, n_notifications: int) -> list[Notification]:
        return [await self.came.get() for _ in range(n_notifications)]
