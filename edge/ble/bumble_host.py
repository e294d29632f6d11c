"""A Bluetooth controller that this program drives itself: the name of an HCI transport enters, a bumble host leaves.

It is opened once and shared by whatever scans, connects or advertises in this process. What is wrong with the name or
with what answers there is one line. Only the three ``bumble_…`` files of this folder import bumble.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from edge.errors import ConfigError, RadioError

try:
    from bumble import hci
    from bumble.core import BaseBumbleError
    from bumble.device import Advertisement, Device
    from bumble.transport import open_transport
    from bumble.transport.common import Transport, TransportSpecError
    from usb1 import USBError  # type: ignore[import-untyped]  # bumble's own way to a dongle
except ImportError as missing:
    raise ConfigError("an HCI transport needs bumble: pip install 'frailedge[bumble]'") from missing

EXAMPLES: Final = "usb:0 (a USB dongle), serial:/dev/ttyACM0,1000000 or tcp-client:127.0.0.1:6402"
Listener = Callable[[Advertisement], None]

# A controller answers a reset within milliseconds, a dongle that has to be claimed first within a second.
_OPENING_S: Final = 10.0
_SETTLING_S: Final = 2.0
_WITHOUT_SPEC: Final = frozenset({"pty", "vhci", "hci-socket", "android-emulator", "android-netsim"})

T = TypeVar("T")


async def whole(commands: Coroutine[Any, Any, T]) -> T:
    """Carry out HCI commands to their end, also where who waits for them is cancelled meanwhile.

    Left alone, bumble would take the late answer to a cancelled command for the answer to the next one.
    """
    task = asyncio.ensure_future(commands)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_SETTLING_S)
        if task.done() and not task.cancelled():
            task.exception()  # nobody is there any more to be told
        raise


class HciHost:
    """A controller that is switched on; made by `open_host`.

    ``addresses`` are those of what was seen so far, by their text: whether one is random stands in the air only.
    ``lost`` is done once the transport is gone: a dongle pulled out, a connection closed. bumble ends every link then.
    """

    def __init__(self, transport: str, device: Device, lost: asyncio.Future[None]) -> None:
        self.transport = transport
        self.device = device
        self.lost = lost
        self.connecting = asyncio.Lock()
        self.addresses: dict[str, hci.Address] = {}
        self._listeners: list[Listener] = []
        device.on(device.EVENT_ADVERTISEMENT, self._seen)

    async def listen(self, listener: Listener, *, is_active: bool) -> None:
        """Tell ``listener`` what advertises from now on; ``is_active``: ask for scan responses too.

        Raises bumble's errors.
        """
        if not self._listeners:
            await whole(self.device.start_scanning(active=is_active))
        self._listeners.append(listener)

    async def listen_no_more(self, listener: Listener) -> None:
        """Tell it no more; the last one switches the receiver off."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners and not self.lost.done():
                await whole(self.device.stop_scanning())

    def _seen(self, advertisement: Advertisement) -> None:
        self.addresses[advertisement.address.to_string(False)] = advertisement.address
        for listener in tuple(self._listeners):
            listener(advertisement)


@asynccontextmanager
async def open_host(transport: str, *, name: str = "frailedge", address: str | None = None) -> AsyncIterator[HciHost]:
    """Open an HCI transport by bumble's name for it, and switch the controller on; closed at the end.

    ``address`` is the static random address to use, by default one made up anew. `ConfigError` where the name is
    none, `RadioError` where nothing answers there.
    """
    logging.getLogger("bumble").setLevel(logging.ERROR)  # below that it names addresses
    opened = await _open(transport)
    try:
        own = hci.Address.generate_static_address() if address is None else hci.Address(address)
        device = Device.with_hci(name, own, opened.source, opened.sink)
        try:
            async with asyncio.timeout(_OPENING_S):
                await device.power_on()
        except TimeoutError as error:
            raise RadioError(f"{transport}: no Bluetooth controller answers within {_OPENING_S:g} s") from error
        except BaseBumbleError as error:
            raise RadioError(f"{transport}: the Bluetooth controller cannot be started: {error}") from error
        yield HciHost(transport, device, opened.source.terminated)
        await device.power_off()
    finally:
        await opened.close()


async def _open(transport: str) -> Transport:
    scheme, _, spec = transport.partition(":")
    try:
        if not spec and scheme not in _WITHOUT_SPEC:
            raise TransportSpecError("it says not where")
        async with asyncio.timeout(_OPENING_S):
            return await open_transport(transport)
    except TimeoutError as error:
        raise RadioError(f"{transport}: cannot be opened within {_OPENING_S:g} s") from error
    except ValueError as error:  # bumble's own, and those of a port or an index that is no number
        raise ConfigError(f"{transport!r} is no HCI transport ({error}); name one such as {EXAMPLES}") from error
    except (OSError, BaseBumbleError, USBError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RadioError(
            f"{transport}: cannot be opened: {reason}; is it plugged in and yours to use, or up and listening?"
        ) from error
