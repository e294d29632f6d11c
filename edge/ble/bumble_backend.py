"""bleak over a radio that this program drives itself: the name of an HCI transport enters, bleak's backend leaves.

Used where there is no BlueZ: for tests over a virtual link, or with a USB dongle of its own. One transport serves a
scanner and any number of clients, and is closed at the end::

    async with open_backend("tcp-client:127.0.0.1:6402") as backend:
        scanner = BleakScanner(seen, backend=backend.scanner)
        client = BleakClient(device, backend=backend.client)

Errors leave as bleak's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str

from edge.ble.bumble_host import HciHost, open_host, whole
from edge.errors import ConfigError

try:
    from bumble import att, hci
    from bumble.core import UUID, AdvertisingData, BaseBumbleError, PhysicalTransport
    from bumble.core import TimeoutError as BumbleTimeoutError
    from bumble.device import Advertisement, Connection, Peer
    from bumble.gatt import Characteristic
    from bumble.gatt_client import CharacteristicProxy
except ImportError as missing:
    raise ConfigError("an HCI transport needs bumble: pip install 'frailedge[bumble]'") from missing

_GIVING_UP_S: Final = 2.0
_ATT_MTU: Final = 517  # what BlueZ asks for too: the longest attribute, and 5 bytes
_PROPERTIES: Final[tuple[tuple[Characteristic.Properties, CharacteristicPropertyName], ...]] = (
    (Characteristic.Properties.BROADCAST, "broadcast"),
    (Characteristic.Properties.READ, "read"),
    (Characteristic.Properties.WRITE_WITHOUT_RESPONSE, "write-without-response"),
    (Characteristic.Properties.WRITE, "write"),
    (Characteristic.Properties.NOTIFY, "notify"),
    (Characteristic.Properties.INDICATE, "indicate"),
    (Characteristic.Properties.AUTHENTICATED_SIGNED_WRITES, "authenticated-signed-writes"),
    (Characteristic.Properties.EXTENDED_PROPERTIES, "extended-properties"),
)


@dataclass(frozen=True, slots=True)
class Backend:
    """Both classes of one HCI transport, for the ``backend`` argument of bleak's `BleakScanner` and `BleakClient`."""

    scanner: type[BaseBleakScanner]
    client: type[BaseBleakClient]


@asynccontextmanager
async def open_backend(transport: str) -> AsyncIterator[Backend]:
    """Open an HCI transport, once for a whole process; errors as `edge.ble.bumble_host.open_host` has them."""
    async with open_host(transport) as opened:

        class Scanner(BumbleScanner):
            host = opened

        class Client(BumbleClient):
            host = opened

        yield Backend(Scanner, Client)


class BumbleScanner(BaseBleakScanner):
    """What advertises near ``host``, which `open_backend` sets."""

    host: ClassVar[HciHost]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: Literal["active", "passive"],
        **_options_of_other_backends: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._is_active = scanning_mode == "active"

    async def start(self) -> None:
        """Listen from now on."""
        self.seen_devices = {}
        with _as_bleak_error("scanning"):
            await self.host.listen(self._seen, is_active=self._is_active)

    async def stop(self) -> None:
        """Listen no more."""
        with _as_bleak_error("ending the scan"):
            await self.host.listen_no_more(self._seen)

    def _seen(self, advertisement: Advertisement) -> None:
        address, data = advertisement.address.to_string(False), _advertised(advertisement)
        if not self.is_allowed_uuid(data.service_uuids):
            return
        known = self.seen_devices.get(address)
        name = data.local_name or (known[0].name if known else None)
        device = self.create_or_update_device(address, address, name, None, data)
        self.call_detection_callbacks(device, data)


class BumbleClient(BaseBleakClient):
    """One link of ``host``, which `open_backend` sets."""

    host: ClassVar[HciHost]

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_options_of_other_backends: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._name = (known.name if known else None) or "sensor"  # no address where a name is shown
        self._peer: Peer | None = None
        self._subscribers: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        """As advertised."""
        return self._name

    @property
    def mtu_size(self) -> int:
        """What was agreed upon; 23 while there is no link."""
        return att.ATT_DEFAULT_MTU if self._peer is None else self._peer.connection.att_mtu

    @property
    def is_connected(self) -> bool:
        """Whether the link stands."""
        return self._peer is not None

    async def connect(self, pair: bool, **_options_of_other_backends: Any) -> None:  # noqa: ARG002
        """Connect, agree upon the MTU, and discover the services; ``pair`` is left out: no sensor here needs it."""
        device, address = self.host.device, self.host.addresses.get(self.address)
        if address is None:
            raise BleakDeviceNotFoundError(self.address, "no scan of this host has seen it")
        async with self.host.connecting:
            stale = device.find_connection_by_bd_addr(address, PhysicalTransport.LE)
            with _as_bleak_error("connecting"):
                if stale is not None:
                    await whole(stale.disconnect())
                connecting = asyncio.ensure_future(device.connect_le(address, timeout=None))
                try:
                    connection = await asyncio.wait_for(asyncio.shield(connecting), self._timeout)
                except (TimeoutError, asyncio.CancelledError):
                    await whole(self._give_up(connecting))
                    raise
        self._peer = Peer(connection)
        connection.on(connection.EVENT_DISCONNECTION, self._disconnected)
        try:
            self.services = await self._discover(self._peer)
        except (BleakError, asyncio.CancelledError):
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """End the link, if it still stands."""
        if self._peer is not None:
            with _as_bleak_error("disconnecting"):
                await whole(self._peer.connection.disconnect())

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:
        """Raise `BleakError`: no sensor here needs it."""
        raise BleakError("the bumble backend does not pair")

    async def unpair(self) -> None:
        """Raise `BleakError`: nothing is ever paired."""
        raise BleakError("the bumble backend does not pair")

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_kwargs: Any
    ) -> bytearray:
        """Read a value; never from a cache, whatever ``use_cached`` says."""
        del use_cached
        peer = self._connected_peer()
        with _as_bleak_error("reading"):
            return bytearray(await peer.read_value(characteristic.obj))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_kwargs: Any
    ) -> bytearray:
        """Read a descriptor's value."""
        del use_cached
        peer = self._connected_peer()
        with _as_bleak_error("reading"):
            return bytearray(await peer.read_value(descriptor.obj))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        """Write a value, and wait for the response where one is wanted."""
        peer = self._connected_peer()
        with _as_bleak_error("writing"):
            await peer.write_value(characteristic.obj, bytes(data), with_response=response)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor's value."""
        peer = self._connected_peer()
        with _as_bleak_error("writing"):
            await peer.write_value(descriptor.obj, bytes(data), with_response=True)

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_kwargs: Any
    ) -> None:
        """Subscribe to notifications, or to indications where there are no others."""
        peer = self._connected_peer()

        def subscriber(value: bytes) -> None:
            callback(bytearray(value))

        self._subscribers[characteristic.handle] = subscriber
        with _as_bleak_error("subscribing"):
            await peer.subscribe(characteristic.obj, subscriber)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """End a subscription."""
        peer = self._connected_peer()
        subscriber = self._subscribers.pop(characteristic.handle, None)
        if subscriber is not None:
            with _as_bleak_error("unsubscribing"):
                await peer.unsubscribe(characteristic.obj, subscriber)

    async def _give_up(self, connecting: "asyncio.Future[Connection]") -> None:
        with contextlib.suppress(BaseBumbleError):  # where it has just succeeded there is nothing to cancel
            await self.host.device.host.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
        await asyncio.wait({connecting}, timeout=_GIVING_UP_S)
        if connecting.done() and not connecting.cancelled() and connecting.exception() is None:
            await connecting.result().disconnect()

    def _connected_peer(self) -> Peer:
        if self._peer is None:
            raise BleakError("Not connected")
        return self._peer

    def _disconnected(self, _reason: int) -> None:
        self._peer = None
        self._subscribers.clear()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        connection = peer.connection
        with _as_bleak_error("discovering its services"):
            try:
                await peer.request_mtu(_ATT_MTU)
            except att.ATT_Error as error:
                # Answering is optional: a sensor that knows only the smallest MTU keeps it.
                if error.error_code != att.ErrorCode.REQUEST_NOT_SUPPORTED:
                    raise
            for service in await peer.discover_services():
                for characteristic in await peer.discover_characteristics(service=service):
                    await peer.discover_descriptors(characteristic=characteristic)
        services = BleakGATTServiceCollection()
        for found in peer.services:
            listed = BleakGATTService(found, found.handle, _uuid(found.uuid))
            services.add_service(listed)
            for inner in found.characteristics:
                services.add_characteristic(_characteristic(inner, listed, connection))
                for descriptor in inner.descriptors:
                    services.add_descriptor(
                        BleakGATTDescriptor(
                            descriptor,
                            descriptor.handle,
                            _uuid(descriptor.type),
                            services.characteristics[inner.handle],
                        )
                    )
        return services


def _characteristic(
    found: CharacteristicProxy[bytes], service: BleakGATTService, connection: Connection
) -> BleakGATTCharacteristic:
    properties = [name for flag, name in _PROPERTIES if found.properties & flag]
    return BleakGATTCharacteristic(
        found, found.handle, _uuid(found.uuid), properties, lambda: connection.att_mtu - 3, service
    )


def _uuid(uuid: UUID) -> str:
    return normalize_uuid_str(uuid.to_hex_str("-"))


def _advertised(advertisement: Advertisement) -> AdvertisementData:
    name, uuids, manufacturers, service_data, tx_power = None, [], {}, {}, None
    kinds = AdvertisingData.Type
    for kind, data in advertisement.data.ad_structures:
        match kind:
            case kinds.COMPLETE_LOCAL_NAME | kinds.SHORTENED_LOCAL_NAME:
                name = data.decode(errors="replace")
            case (
                kinds.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS | kinds.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS
            ):
                uuids += [_uuid(UUID.from_bytes(data[at : at + 2])) for at in range(0, len(data) - 1, 2)]
            case (
                kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
                | kinds.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
            ):
                uuids += [_uuid(UUID.from_bytes(data[at : at + 16])) for at in range(0, len(data) - 15, 16)]
            case kinds.MANUFACTURER_SPECIFIC_DATA if len(data) >= 2:
                manufacturers[int.from_bytes(data[:2], "little")] = bytes(data[2:])
            case kinds.SERVICE_DATA_16_BIT_UUID if len(data) >= 2:
                service_data[_uuid(UUID.from_bytes(data[:2]))] = bytes(data[2:])
            case kinds.TX_POWER_LEVEL if len(data) == 1:
                tx_power = int.from_bytes(data, signed=True)
            case _:
                pass  # bleak has no place for it
    # Together with a scan response it may come twice.
    uuids = list(dict.fromkeys(uuids))
    return AdvertisementData(name, manufacturers, service_data, uuids, tx_power, advertisement.rssi, ())


@contextmanager
def _as_bleak_error(doing: str) -> Iterator[None]:
    """Raise bumble's exceptions as bleak's; the loss of the link too, at which bumble cancels what waits for it."""
    task = asyncio.current_task()
    try:
        yield
    except att.ATT_Error as error:
        raise BleakGATTProtocolError(error.error_code) from error
    except (BumbleTimeoutError, TimeoutError) as error:
        raise TimeoutError(f"no answer while {doing}") from error
    except BaseBumbleError as error:
        raise BleakError(f"failed while {doing}: {error}") from error
    except asyncio.CancelledError as error:
        if task is not None and not task.cancelling():
            raise BleakError(f"disconnected while {doing}") from error
        raise
