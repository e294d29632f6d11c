"""The one file that imports bleak: finding sensors, connecting to them, and talking over a connection.

Wishes enter, bytes leave. What the radio or the other side can cause is a `LinkError`; that there is no usable radio at
all is a `RadioError`, found by `Radio.check` before anything else.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZClientArgs, BlueZScannerArgs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector import close_stale_connections_by_address, establish_connection

from edge.ble.bluez import DBUS_ERRORS, check_bluez
from edge.config import BleConfig
from firmware_bridge.device import Advert

CONNECT_WITHIN_S: Final = 8.0
"""The air is one sensor's meanwhile, and no other is found: what takes longer is tried again after the link's backoff.

One that was just heard answers within some of its advertisements; reading what it has takes seconds at the most.
"""
SCAN_SLICE_S: Final = 4.0
"""A search gives way so often, for another sensor to connect: never scan and connect at once (bleak issue 1626)."""
HEARD_WITHIN_S: Final = 6.0
"""An advertisement this old still says where a sensor is: found by the search for another one."""
_GOODBYE_S: Final = 1.0

# What bleak, its connector and the D-Bus library below them raise for a link that does not work. The last three are
# bleak's own, where a device, its services or the bus go while it looks at them.
_LINK_ERRORS: Final = (BleakError, TimeoutError, *DBUS_ERRORS, AssertionError, AttributeError, KeyError)
# As it is written, and as BlueZ has it in the paths of its objects; texts of the connector and of BlueZ hold them.
_ADDRESS: Final = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[:_-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f])")
_RESOLVABLE: Final = 0b01


class LinkError(Exception):
    """A link that could not be made or does not stand any more; the text is the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A sensor on the air: how it was heard last."""

    address: str
    advert: Advert
    rssi_dbm: int
    heard_s: float
    device: BLEDevice

    @property
    def changes_address(self) -> bool:
        """Whether it is known to advertise from a resolvable private address: random, its top two bits 01.

        Public and static random addresses stay as they are.
        """
        details = self.device.details
        properties = details.get("props", {}) if isinstance(details, dict) else {}
        return properties.get("AddressType") == "random" and int(self.address[:2], 16) >> 6 == _RESOLVABLE


class Connection:
    """A connection that stands, until it does not."""

    def __init__(self, client: BleakClient) -> None:
        self._client = client

    def has(self, uuid: str) -> bool:
        """Whether the other side has this characteristic."""
        with _as_link_error(f"looking for {uuid}"):
            return self._client.services.get_characteristic(uuid) is not None

    async def read(self, uuid: str) -> bytes:
        """The value of a characteristic."""
        with _as_link_error(f"reading {uuid}"):
            return bytes(await self._client.read_gatt_char(uuid))

    async def write(self, uuid: str, data: bytes, *, with_response: bool) -> None:
        """Write a characteristic."""
        with _as_link_error(f"writing {uuid}"):
            await self._client.write_gatt_char(uuid, data, response=with_response)

    async def subscribe(self, uuid: str, on_data: Callable[[bytes], object]) -> None:
        """Have ``on_data`` called with each notification, in the event loop."""

        def received(_: BleakGATTCharacteristic, data: bytearray) -> None:
            on_data(bytes(data))

        with _as_link_error(f"subscribing to {uuid}"):
            await self._client.start_notify(uuid, received)

    async def close(self) -> None:
        """Say goodbye; after a loss too, or BlueZ keeps the old subscriptions and notifies twice (bleak issue 2002)."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._client.disconnect()
        except _LINK_ERRORS:
            pass  # it is gone already, which is what was wanted


class Radio:
    """One adapter, for any number of sensors; an asynchronous context manager."""

    def __init__(self, config: BleConfig) -> None:
        self._config = config
        self._seen: dict[str, Seen] = {}
        self._air = asyncio.Lock()
        self._scanner_options: dict[str, Any] = {}
        self._client_options: dict[str, Any] = {}
        self._exit = AsyncExitStack()
        self._is_bluez = config.backend == "bluez"
        if self._is_bluez and config.adapter:
            self._scanner_options["bluez"] = BlueZScannerArgs(adapter=config.adapter)
            self._client_options["bluez"] = BlueZClientArgs(adapter=config.adapter)

    async def __aenter__(self) -> Self:
        if self._is_bluez:
            await check_bluez(self._config.adapter)
        else:
            from edge.ble.bumble_backend import open_backend  # noqa: PLC0415  (bumble is an extra)

            backend = await self._exit.enter_async_context(open_backend(self._config.backend))
            self._scanner_options["backend"] = backend.scanner
            self._client_options["backend"] = backend.client
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    @asynccontextmanager
    async def listening(self, on_seen: Callable[[Seen], object] = lambda _: None) -> AsyncIterator[dict[str, Seen]]:
        """Scan as long as the context lasts; gives what was seen, by address, and goes on filling it."""

        def detected(device: BLEDevice, data: AdvertisementData) -> None:
            advert = Advert(
                data.local_name or device.name or "",
                frozenset(uuid.lower() for uuid in data.service_uuids),
                frozenset(data.manufacturer_data),
            )
            seen = Seen(device.address, advert, data.rssi, time.monotonic(), device)
            self._seen[device.address] = seen
            on_seen(seen)

        async with self._air:
            with _as_link_error("searching"):
                scanner = BleakScanner(detected, **self._scanner_options)
                await scanner.start()
            try:
                yield self._seen
            finally:
                with _as_link_error("searching"):
                    await scanner.stop()

    async def find(self, is_wanted: Callable[[Seen], bool]) -> Seen:
        """The first sensor that is wanted, however long it takes."""
        while True:
            now_s = time.monotonic()
            # The rest is forgotten: a search may last for days, and phones that pass by change their addresses.
            self._seen = {key: seen for key, seen in self._seen.items() if now_s - seen.heard_s < HEARD_WITHIN_S}
            for seen in self._seen.values():
                if is_wanted(seen):
                    return seen
            found: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()

            def look(seen: Seen, found: asyncio.Future[Seen] = found) -> None:
                if not found.done() and is_wanted(seen):
                    found.set_result(seen)

            async with self.listening(look):
                await asyncio.wait((found,), timeout=SCAN_SLICE_S)
            if found.done():
                return found.result()

    async def release(self, address: str) -> None:
        """End a connection that a process of ours left behind when it was killed: its sensor does not advertise."""
        if self._is_bluez:
            with _as_link_error("ending an old connection"):
                await close_stale_connections_by_address(address)

    async def connect(self, seen: Seen, on_lost: Callable[[], object]) -> Connection:
        """Connect; ``on_lost`` is called in the event loop when the link is gone."""
        self._seen.pop(seen.address, None)  # the next search shall hear it anew

        def lost(_: BleakClient) -> None:
            on_lost()

        async with self._air:
            with _as_link_error("connecting"):
                try:
                    async with asyncio.timeout(CONNECT_WITHIN_S):
                        client = await establish_connection(
                            BleakClient,
                            seen.device,
                            "sensor",  # for log lines: neither address nor name
                            disconnected_callback=lost,
                            max_attempts=1,
                            use_services_cache=False,
                            **self._client_options,
                        )
                except TimeoutError as error:
                    raise TimeoutError(f"no connection within {CONNECT_WITHIN_S:g} s") from error
        return Connection(client)


class _as_link_error:  # noqa: N801  (reads as a statement where it is used)
    """Whatever the radio raises inside is a `LinkError` that says what was being done."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, _LINK_ERRORS):
            raise LinkError(f"{self._doing} failed: {_words(error)}") from error


def _words(error: BaseException) -> str:
    """What it says, less what the connector puts before it, and no address: it ends up in logs."""
    words = str(error).split(": ", 1)[-1] if "attempt" in str(error) else str(error) or type(error).__name__
    return _ADDRESS.sub("(address)", words)
