"""Running real bleak in a test: within a time limit, and with its D-Bus connection closed at the end.

bleak keeps one connection for each event loop and closes it only when another loop comes; a test must not leave it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bleak.backends.bluezdbus import manager
from dbus_fast import Message

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


async def _close() -> None:
    known = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if known is not None and known._bus is not None:
        known._bus.disconnect()
        await known._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it out
