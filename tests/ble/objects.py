"""A D-Bus service in a thread of its own: a tree of objects with properties, and calls handed on to who knows them.

Calls of any process enter, replies and signals leave. It knows the standard interfaces only, nothing of Bluetooth.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol, TypeVar

from dbus_fast import DBusError, ErrorType, Message, MessageType, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

Properties = dict[str, Variant]
Interfaces = dict[str, Properties]
_T = TypeVar("_T")

_OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_LEFT_TO_DBUS_FAST: Final = ("org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer")
_CALL_TIMEOUT_S: Final = 10.0


class Handler(Protocol):
    """Who knows what the objects mean; every method runs in the service's thread."""

    def answer(self, message: Message) -> Message | None:
        """A call of a method of an object that is there; `DBusError` is its error, None: it is answered later."""
        ...

    def client_left(self, unique_name: str) -> None:
        """A connection of the bus was closed."""
        ...

    def bus_left(self) -> None:
        """The service is off the bus, by its own will or not."""
        ...


class ObjectServer:
    """Objects under one well-known name; `call` is the only way in from another thread.

    ``objects`` is what GetManagedObjects gives. ``is_denying`` refuses every call, as the bus's policy does.
    """

    def __init__(self, address: str, name: str, handler: Handler) -> None:
        self.objects: dict[str, Interfaces] = {}
        self.is_denying = False
        self._address, self._name, self._handler = address, name, handler
        self._bus: MessageBus | None = None
        self._watch: asyncio.Task[None] | None = None
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], _T]) -> _T:
        """Run it in the service's thread, and give or raise what it gives or raises."""

        async def run() -> _T:
            return function()

        return self._wait_for(run())

    def join(self) -> None:
        """Get on the bus and take the name."""
        self._wait_for(self._join())

    def leave(self) -> None:
        """Get off the bus, as a service that was stopped."""
        self._wait_for(self._leave())

    def close(self) -> None:
        """Leave and end the thread."""
        self.leave()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self.loop.close()

    def add(self, path: str, interfaces: Interfaces) -> None:
        """A new object, told to all."""
        self.objects[path] = interfaces
        self._emit("/", _OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    def remove(self, path: str) -> None:
        """An object is gone, told to all."""
        interfaces = self.objects.pop(path)
        self._emit("/", _OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, list(interfaces)])

    def change(
        self, path: str, interface: str, changed: Mapping[str, Variant], invalidated: tuple[str, ...] = ()
    ) -> None:
        """Properties have new values, or none any more; told also where the values are the old ones."""
        properties = self.objects[path][interface]
        properties.update(changed)
        for name in invalidated:
            properties.pop(name, None)
        self._emit(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, dict(changed), list(invalidated)])

    def send(self, message: Message) -> None:
        """Also a late reply; nobody hears it while the service is off the bus."""
        if self._bus is not None and self._bus.connected:
            with contextlib.suppress(OSError):  # a killed daemon's socket is closed before `_watch_bus` hears of it
                self._bus.send(message)

    def _emit(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        self.send(Message.new_signal(path, interface, member, signature, body))

    def _wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_CALL_TIMEOUT_S)

    async def _join(self) -> None:
        bus = MessageBus(bus_address=self._address)
        await bus.connect()
        bus.add_message_handler(self._on_message)
        self._bus = bus
        self._watch = self.loop.create_task(self._watch_bus(bus))
        await bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
            )
        )
        if await bus.request_name(self._name) is not RequestNameReply.PRIMARY_OWNER:
            raise RuntimeError(f"somebody owns {self._name} on this bus")

    async def _leave(self) -> None:
        if self._bus is not None and self._watch is not None:
            self._bus.disconnect()
            await self._watch

    async def _watch_bus(self, bus: MessageBus) -> None:
        with contextlib.suppress(EOFError, OSError):  # a killed daemon is as good as a goodbye
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves out its annotation
        self._bus = None
        self._handler.bus_left()

    def _on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged" and message.body[0].startswith(":") and not message.body[2]:
                self._handler.client_left(message.body[0])
            return None
        if message.message_type is not MessageType.METHOD_CALL or message.interface in _LEFT_TO_DBUS_FAST:
            return None
        return self._answer(message) or True

    def _answer(self, message: Message) -> Message | None:
        if self.is_denying:
            raise DBusError(ErrorType.ACCESS_DENIED, f"Rejected send message to {self._name}")
        if message.interface == _OBJECT_MANAGER and message.member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self.objects])
        interfaces = self.objects.get(message.path or "")
        if interfaces is None:
            raise DBusError(ErrorType.UNKNOWN_OBJECT, f"no object {message.path}")
        if message.interface == _PROPERTIES and message.member in ("Get", "GetAll"):
            properties = interfaces.get(message.body[0], {})
            if message.member == "GetAll":
                return Message.new_method_return(message, "a{sv}", [properties])
            if message.body[1] not in properties:
                raise DBusError(ErrorType.UNKNOWN_PROPERTY, f"no property {message.body[1]}")
            return Message.new_method_return(message, "v", [properties[message.body[1]]])
        if message.interface not in interfaces:
            raise DBusError(ErrorType.UNKNOWN_METHOD, f"no method {message.interface}.{message.member}")
        return self._handler.answer(message)
