"""A virtual sensor on the air: any `Peripheral` goes in, a real GATT server on an HCI transport comes out.

A central's reads, writes and subscriptions are handed to the peripheral with the device time, which is real time by a
speed; what the peripheral notifies leaves when it is due. Nothing is known here of any maker's bytes. What cannot leave
is counted: nothing waits without bound.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from bleak.uuids import normalize_uuid_16

from edge.ble.bumble_host import HciHost, whole
from edge.errors import ConfigError, RadioError
from firmware_bridge.peripheral import Characteristic, Notification, Peripheral

try:
    from bumble import att, core, gatt
    from bumble.device import Connection
except ImportError as missing:
    raise ConfigError("an HCI transport needs bumble: pip install 'frailedge[bumble]'") from missing

ADVERT_BYTES: Final = 31
QUEUED_PACKETS: Final = 128
"""Longer than any firmware's queue, so that only a link that stands still loses here: what comes beyond it is lost."""

_TICK_S: Final = 0.005  # finer than a connection interval, so the pace is the sensor's own
_PER_TICK: Final = 64  # after a pause of the machine the event loop still gets its turn
_ADVERT_INTERVAL_MS: Final = 100.0
_GOODBYE_S: Final = 2.0
_SIXTEEN_BIT_TAIL: Final = normalize_uuid_16(0)[8:]
_FLAGS: Final = b"\x06"  # general discoverable, no BR/EDR
_PROPERTIES: Final = {
    "read": gatt.Characteristic.Properties.READ,
    "write": gatt.Characteristic.Properties.WRITE,
    "write-without-response": gatt.Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
    "notify": gatt.Characteristic.Properties.NOTIFY,
    "indicate": gatt.Characteristic.Properties.INDICATE,
}


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """What befalls the link, in seconds of real time; 0 is never.

    ``silence_every_s`` and ``disconnect_every_s`` are means, counted from each connection: every time lies evenly
    between half and one and a half of it. While silent, a link stands and no data come.
    """

    silence_every_s: float = 0.0
    silence_s: float = 0.0
    disconnect_every_s: float = 0.0

    def __post_init__(self) -> None:
        if min(self.silence_every_s, self.silence_s, self.disconnect_every_s) < 0:
            raise ValueError("times of link faults must not be negative")
        if (self.silence_every_s > 0) != (self.silence_s > 0):
            raise ValueError("a silence needs both how often and how long")


@dataclass(slots=True)
class LinkCounts:
    """What the link did with what the peripheral sent.

    ``silenced`` were kept back by a silence; ``unsent`` did not fit: the queue was full, or the MTU too small.
    """

    connections: int = 0
    disconnects_made: int = 0
    silences: int = 0
    packets_handed_over: int = 0
    samples_silenced: int = 0
    samples_unsent: int = 0


@dataclass(frozen=True, slots=True)
class Advertisement:
    """``data`` and ``scan_response`` as sent, at most 31 bytes each; ``name`` is what ``data`` has room for."""

    data: bytes
    scan_response: bytes
    name: str


def advertisement(peripheral: Peripheral) -> Advertisement:
    """Flags, service UUIDs, manufacturer data and the name, cut where there is no room for all of it.

    The whole of a cut name goes into the scan response, which a real scanner asks for; bumble's software controller
    never does. Raises ValueError where the rest has no room either.
    """
    parts = [_structure(core.AdvertisingData.FLAGS, _FLAGS)]
    short = [uuid for uuid in peripheral.advertised_uuids if uuid.endswith(_SIXTEEN_BIT_TAIL) and uuid[:4] == "0000"]
    long = [uuid for uuid in peripheral.advertised_uuids if uuid not in short]
    for uuids, kind in (
        (short, core.AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS),
        (long, core.AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS),
    ):
        if uuids:
            parts.append(_structure(kind, b"".join(_uuid(uuid).to_bytes() for uuid in uuids)))
    parts += [
        _structure(core.AdvertisingData.MANUFACTURER_SPECIFIC_DATA, company.to_bytes(2, "little") + data)
        for company, data in peripheral.manufacturer_data.items()
    ]
    data = b"".join(parts)
    whole = peripheral.name.encode()
    room = ADVERT_BYTES - len(data) - 2
    if room < 0:
        raise ValueError(f"{peripheral.name}: its advertisement would take {len(data)} of {ADVERT_BYTES} bytes")
    name = whole[:room].decode(errors="ignore")
    is_whole = name == peripheral.name
    kind = core.AdvertisingData.COMPLETE_LOCAL_NAME if is_whole else core.AdvertisingData.SHORTENED_LOCAL_NAME
    rest = b"" if is_whole else _structure(core.AdvertisingData.COMPLETE_LOCAL_NAME, whole[: ADVERT_BYTES - 2])
    return Advertisement(data + _structure(kind, name.encode()), rest, name)


def static_address(name: str, seed: int) -> str:
    """The address of a virtual sensor, the same in every run, so that a central knows it again."""
    digest = bytearray(hashlib.blake2b(f"{name} {seed}".encode(), digest_size=6).digest())
    digest[0] |= 0xC0  # the two highest bits say that a random address is static
    return ":".join(f"{byte:02X}" for byte in digest)


class BumblePeripheral:
    """One virtual sensor on a `HciHost`; its device clock runs from its making on, ``speed`` times as fast as time.

    ``seed`` decides the link's faults. ``on_sent`` is told each data notification with the device time in µs at which
    it was ready, just before it is handed to the radio; ``on_connected`` the device time at which a central came.
    """

    def __init__(
        self,
        host: HciHost,
        peripheral: Peripheral,
        *,
        speed: float = 1.0,
        faults: LinkFaults | None = None,
        seed: int = 0,
        on_connected: Callable[[int], None] | None = None,
        on_sent: Callable[[int, Notification], None] | None = None,
    ) -> None:
        self.advertisement = advertisement(peripheral)
        self._host = host
        self._peripheral = peripheral
        self._speed = speed
        self._faults = faults or LinkFaults()
        self._random = random.Random(seed)
        self._on_connected = on_connected
        self._on_sent = on_sent
        self._counts = LinkCounts()
        self._begin_ns = time.monotonic_ns()
        self._n_sent_seen = 0
        self._link: _Link | None = None
        self._is_advertising = False
        self._silence_s = self._disconnect_s = float("inf")
        self._silent_until_s: float | None = None
        self._characteristics: dict[str, gatt.Characteristic[bytes]] = {}
        for service in peripheral.services:
            made = [self._characteristic(found) for found in service.characteristics]
            host.device.add_service(gatt.Service(_uuid(service.uuid), made))

    @property
    def counts(self) -> LinkCounts:
        """A copy of the counts so far."""
        return replace(self._counts)

    @property
    def is_connected(self) -> bool:
        """Whether a central is there."""
        return self._link is not None

    @property
    def now_us(self) -> int:
        """The device clock."""
        return int((time.monotonic_ns() - self._begin_ns) * self._speed) // 1000

    async def run(self) -> None:
        """Advertise and serve until cancelled; `RadioError` where the transport is lost."""
        device = self._host.device
        device.on(device.EVENT_CONNECTION, self._connected)
        try:
            while not self._host.lost.done():
                is_behind = self._advance()
                await self._misbehave()
                if self._link is None and not self._is_advertising:
                    await self._advertise()
                await asyncio.sleep(0 if is_behind else _TICK_S)
            raise RadioError(f"{self._host.transport}: the controller is gone; plug it in again and start anew")
        finally:
            device.remove_listener(device.EVENT_CONNECTION, self._connected)
            if not self._host.lost.done():
                await self._goodbye()

    async def _advertise(self) -> None:
        self._is_advertising = True
        await whole(
            self._host.device.start_advertising(
                advertising_data=self.advertisement.data,
                scan_response_data=self.advertisement.scan_response,
                advertising_interval_min=_ADVERT_INTERVAL_MS,
                advertising_interval_max=_ADVERT_INTERVAL_MS,
            )
        )

    async def _goodbye(self) -> None:
        # A controller that answers no more keeps nobody: the transport is closed next.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                if self._link is not None:
                    await self._link.break_off()
                await whole(self._host.device.stop_advertising())

    def _characteristic(self, found: Characteristic) -> gatt.Characteristic[bytes]:
        uuid = found.uuid
        permissions = gatt.Characteristic.Permissions(0)
        if "read" in found.properties:
            permissions |= gatt.Characteristic.READABLE
        if "write" in found.properties or "write-without-response" in found.properties:
            permissions |= gatt.Characteristic.WRITEABLE
        properties = gatt.Characteristic.Properties(0)
        for name in found.properties:
            properties |= _PROPERTIES[name]

        def read(_connection: Connection) -> bytes:
            return self._peripheral.read(uuid, self.now_us)

        def write(_connection: Connection, data: bytes) -> None:
            self._advance()  # what was due before is not touched by what is written
            for answer in self._peripheral.write(uuid, bytes(data), self.now_us):
                self._hand_over(answer)

        def subscribed(_connection: Connection, is_notify: bool, is_indicate: bool) -> None:
            if self._link is not None:
                self._link.indicates[uuid] = is_indicate and not is_notify
            self._advance()
            self._peripheral.subscribe(uuid, is_notify or is_indicate)

        made = gatt.Characteristic[bytes](
            _uuid(uuid), properties, permissions, att.AttributeValue[bytes](read=read, write=write)
        )
        made.on(made.EVENT_SUBSCRIPTION, subscribed)
        self._characteristics[uuid] = made
        return made

    def _connected(self, connection: Connection) -> None:
        self._counts.connections += 1
        self._is_advertising = False
        link = self._link = _Link(connection, self._characteristics)
        connection.on(connection.EVENT_DISCONNECTION, lambda _reason: self._disconnected(link))
        now_s = time.monotonic()
        self._silent_until_s = None
        self._silence_s = now_s + self._draw(self._faults.silence_every_s)
        self._disconnect_s = now_s + self._draw(self._faults.disconnect_every_s)
        if self._on_connected is not None:
            self._on_connected(self.now_us)

    def _disconnected(self, link: "_Link") -> None:
        link.end()
        if self._link is link:
            self._link = None
            self._peripheral.link_lost()

    def _draw(self, mean_s: float) -> float:
        return self._random.uniform(0.5, 1.5) * mean_s if mean_s > 0 else float("inf")

    async def _misbehave(self) -> None:
        now_s = time.monotonic()
        if self._link is None:
            return
        if self._silent_until_s is not None and now_s >= self._silent_until_s:
            self._silent_until_s = None
            self._silence_s = now_s + self._draw(self._faults.silence_every_s)
        elif self._silent_until_s is None and now_s >= self._silence_s:
            self._counts.silences += 1
            self._silent_until_s = now_s + self._faults.silence_s
        if now_s >= self._disconnect_s:
            self._disconnect_s = float("inf")
            self._counts.disconnects_made += 1
            await self._link.break_off()

    def _advance(self) -> bool:
        """Take what is due by now; whether there may be more."""
        due = self._peripheral.notifications(self.now_us)
        n_taken = 0
        for ready_us, notification in islice(due, _PER_TICK):
            n_taken += 1
            # A packet of several notifications counts with its first.
            n_sent = self._peripheral.counts.samples_sent
            n_samples, self._n_sent_seen = n_sent - self._n_sent_seen, n_sent
            if self._silent_until_s is not None:
                self._counts.samples_silenced += n_samples
            elif self._link is None or not self._link.has_room(notification):
                self._counts.samples_unsent += n_samples
            else:
                self._counts.packets_handed_over += 1
                if self._on_sent is not None:
                    self._on_sent(ready_us, notification)
                self._hand_over(notification)
        return n_taken == _PER_TICK

    def _hand_over(self, notification: Notification) -> None:
        if self._link is not None and self._link.has_room(notification):
            self._link.queue.put_nowait(notification)


class _Link:
    """One connection: what waits to be sent over it, in order."""

    def __init__(self, connection: Connection, characteristics: dict[str, gatt.Characteristic[bytes]]) -> None:
        self.connection = connection
        self.indicates: dict[str, bool] = {}
        self.queue: asyncio.Queue[Notification] = asyncio.Queue(QUEUED_PACKETS)
        self._characteristics = characteristics
        self._sending = asyncio.create_task(self._send())

    def has_room(self, notification: Notification) -> bool:
        """Whether it can be sent whole and now."""
        return not self.queue.full() and len(notification[1]) <= self.connection.att_mtu - 3

    def end(self) -> None:
        """Send no more."""
        self._sending.cancel()

    async def break_off(self) -> None:
        """End the connection, if the other side has not."""
        with contextlib.suppress(core.BaseBumbleError):  # the controller knows it no more
            await whole(self.connection.disconnect())

    async def _send(self) -> None:
        device = self.connection.device
        while True:
            uuid, data = await self.queue.get()
            characteristic = self._characteristics[uuid]
            if self.indicates.get(uuid, False):
                try:
                    await device.indicate_subscriber(self.connection, characteristic, data)
                except TimeoutError:
                    # After 30 s without its confirmation nothing more may be sent: the specification ends such a link.
                    await self.break_off()
                    return
            else:
                await device.notify_subscriber(self.connection, characteristic, data)
            # The controller says when its buffers are free: until then what comes waits in our queue, which has an end.
            packets = device.host.le_acl_packet_queue
            if packets is not None and packets.pending >= packets.max_in_flight:
                await packets.drain(self.connection.handle)


def _structure(kind: int, data: bytes) -> bytes:
    return bytes([1 + len(data), kind]) + data


def _uuid(uuid: str) -> core.UUID:
    is_short = uuid.endswith(_SIXTEEN_BIT_TAIL) and uuid.startswith("0000")
    return core.UUID.from_16_bits(int(uuid[4:8], 16)) if is_short else core.UUID(uuid)
