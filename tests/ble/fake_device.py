"""One virtual sensor as bluetoothd shows it: its device object, its GATT objects, its link, and what can befall them.

A `Peripheral` and the calls of clients enter; replies, notifications and counts leave. The peripheral's clock goes on
whether or not anybody is connected. Packets that a sensor itself loses are the peripheral's own `Faults`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from dbus_fast import DBusError, Message, Variant

from firmware_bridge.peripheral import Peripheral
from firmware_bridge.virtual_sensor import SensorCounts
from tests.ble.layout import CHARACTERISTIC, DEVICE, can_notify, device_path, device_properties, gatt_objects
from tests.ble.objects import ObjectServer

ABORTED: Final = "le-connection-abort-by-local"

_DISCOVERY_OF_SERVICES_S: Final = 0.02


def bluez_error(name: str, text: str) -> DBusError:
    return DBusError(f"org.bluez.Error.{name}", text)


@dataclass(slots=True)
class Host:
    """What holds for all devices of an adapter.

    ``multiplies``: a subscription outlives an unasked-for loss of the link until its client leaves the bus (bleak issue
    2002). ``keeps_services``: the GATT objects stay while not connected.
    """

    is_powered: bool = True
    multiplies: bool = False
    keeps_services: bool = True


@dataclass(slots=True)
class DeviceCounts:
    """``notifications`` counts each once, ``copies`` what `Host.multiplies` added, ``obstructed`` by `obstruct`."""

    connects: int = 0
    disconnects: int = 0
    notify_starts: int = 0
    notifications: int = 0
    copies: int = 0
    obstructed: int = 0


@dataclass(slots=True)
class _Planned:
    """Faults to come."""

    connects: list[DBusError] = field(default_factory=list)
    in_progress: int = 0
    obstructed: dict[str, bool] = field(default_factory=dict)
    holds_connects: bool = False


class FakeDevice:
    """Made by `FakeBluez.add`. Its public methods and properties are for any thread, `on_…` for the server's."""

    def __init__(
        self,
        server: ObjectServer,
        host: Host,
        peripheral: Peripheral,
        address: str,
        address_type: str,
        speed: float,
        rssi: int,
    ) -> None:
        self.peripheral = peripheral
        self.address = address
        self.path = device_path(address)
        self._properties = device_properties(peripheral, address, address_type)
        self._server, self._host, self._speed, self._rssi = server, host, speed, rssi
        self._counts = DeviceCounts()
        self._planned = _Planned()
        self._is_on_air = True
        self._is_silent = False
        self._is_connected = False
        self._waiting: Message | None = None
        self._subscribers: dict[str, list[str]] = {}
        self._n_adverts = 0
        self._gatt = gatt_objects(self.path, peripheral.services)
        self._uuids: dict[str, str] = {
            path: interfaces[CHARACTERISTIC]["UUID"].value
            for path, interfaces in self._gatt.items()
            if CHARACTERISTIC in interfaces
        }
        self._paths = {uuid: path for path, uuid in self._uuids.items()}
        self._answers: dict[str, Callable[[Message], Message | None]] = {
            "Connect": self._connect,
            "Disconnect": self._disconnect,
            "ReadValue": self._read,
            "WriteValue": self._write,
            "StartNotify": self._start_notify,
            "StopNotify": self._stop_notify,
        }
        self._start_ns = time.monotonic_ns()

    @property
    def now_us(self) -> int:
        """The sensor's time: real time since `FakeBluez.add`, times the speed."""
        return round((time.monotonic_ns() - self._start_ns) * self._speed / 1000)

    @property
    def counts(self) -> DeviceCounts:
        """A copy of the counts so far."""
        return self._server.call(lambda: replace(self._counts))

    @property
    def sensor_counts(self) -> SensorCounts:
        """What the sensor itself counted up to now."""

        def count() -> SensorCounts:
            self.on_time()
            return self.peripheral.counts

        return self._server.call(count)

    @property
    def is_connected(self) -> bool:
        """Whether somebody is connected."""
        return self._is_connected

    def run(self, change: Callable[[], object]) -> None:
        """Do something to the peripheral where nothing else happens to it meanwhile."""
        self._server.call(change)

    def fail_connects(self, n: int, error: str = "org.bluez.Error.Failed", message: str = ABORTED) -> None:
        """Answer the next ``n`` Connects with an error; with this message the link comes up and breaks, as in BlueZ."""
        self._server.call(lambda: self._planned.connects.extend([DBusError(error, message)] * n))

    def in_progress(self, n: int) -> None:
        """Answer the next ``n`` of Connect, StartNotify and WriteValue with InProgress."""

        def plan() -> None:
            self._planned.in_progress = n

        self._server.call(plan)

    def obstruct(self, uuid: str, *, is_answered: bool) -> None:
        """Keep reads and writes of a characteristic from the sensor: answered with NotPermitted, or never."""
        self._server.call(lambda: self._planned.obstructed.update({uuid: is_answered}))

    def hold_connects(self, is_on: bool) -> None:
        """Let Connects wait though it advertises, as for a sensor at the edge of reach."""

        def hold() -> None:
            self._planned.holds_connects = is_on
            if not is_on:
                self._go_on()

        self._server.call(hold)

    def drop_link(self) -> None:
        """Lose the connection, unasked."""
        self._server.call(lambda: self.on_link_lost(is_asked_for=False))

    def silence(self, is_on: bool) -> None:
        """Stay connected and notify nothing; samples are taken and lost."""

        def set_silent() -> None:
            self.on_time()
            self._is_silent = is_on

        self._server.call(set_silent)

    def set_on_air(self, is_on: bool) -> None:
        """Off the air it loses its link, does not advertise, and a Connect waits until it is back."""

        def set_air() -> None:
            self._is_on_air = is_on
            if not is_on:
                self.on_link_lost(is_asked_for=False)
            else:
                self._go_on()

        self._server.call(set_air)

    def forget(self) -> None:
        """Have bluetoothd forget it, as some 30 s after it was last seen."""
        self._server.call(self.on_forgotten)

    def on_time(self) -> None:
        """Take the samples that are due and notify what of them is wanted."""
        for _, (uuid, data) in self.peripheral.notifications(self.now_us):
            self._notify(uuid, data)

    def on_discovery(self) -> None:
        """It is heard: it advertises unless somebody is connected."""
        if self._is_connected or not self._is_on_air:
            return
        self._n_adverts += 1
        rssi = Variant("n", self._rssi + self._n_adverts % 2)
        if self.path in self._server.objects:
            self._server.change(self.path, DEVICE, {"RSSI": rssi})
        else:
            self._server.add(self.path, {DEVICE: {**self._properties, "RSSI": rssi}})

    def on_discovery_end(self) -> None:
        """Nobody listens any more: how well it is heard is not known."""
        if "RSSI" in self._server.objects.get(self.path, {}).get(DEVICE, {}):
            self._server.change(self.path, DEVICE, {}, ("RSSI",))

    def on_link_lost(self, *, is_asked_for: bool) -> None:
        """The link is gone, if there was one, and with it whoever waits for one."""
        if self._waiting is not None:
            self._server.send(Message.new_error(self._waiting, "org.bluez.Error.Failed", ABORTED))
            self._waiting = None
        if not self._is_connected:
            return
        self.on_time()
        self._counts.disconnects += 1
        self._is_connected = False
        if is_asked_for or not self._host.multiplies:
            self._subscribers.clear()
        self.peripheral.link_lost()
        self._server.change(self.path, DEVICE, {"ServicesResolved": Variant("b", False)})
        if self._host.keeps_services:
            self._reset_notifying()
        else:
            self._remove_gatt()
        self._server.change(self.path, DEVICE, {"Connected": Variant("b", False)})

    def on_forgotten(self) -> None:
        """Its objects go."""
        self.on_link_lost(is_asked_for=False)
        self._remove_gatt()
        if self.path in self._server.objects:
            self._server.remove(self.path)

    def on_client_left(self, unique_name: str) -> None:
        """A client's subscriptions end with its connection to the bus."""
        for path, names in list(self._subscribers.items()):
            if unique_name in names:
                self._unsubscribe(path, unique_name)

    def on_call(self, message: Message) -> Message | None:
        """A method of this device's objects."""
        answer = self._answers.get(message.member or "")
        if answer is None:
            raise bluez_error("NotSupported", "Operation is not supported")
        if self._planned.in_progress and message.member in ("Connect", "StartNotify", "WriteValue"):
            self._planned.in_progress -= 1
            raise bluez_error("InProgress", "In Progress")
        if message.member in ("ReadValue", "WriteValue"):
            is_answered = self._planned.obstructed.get(self._uuids[message.path or ""])
            self._counts.obstructed += is_answered is not None
            if is_answered:
                raise bluez_error("NotPermitted", "Not permitted")
            if is_answered is False:
                return None
        return answer(message)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._link_up(waiting)

    def _remove_gatt(self) -> None:
        for path in reversed(self._gatt):
            if path in self._server.objects:
                self._server.remove(path)

    def _reset_notifying(self) -> None:
        for path in self._gatt:
            notifying = self._server.objects.get(path, {}).get(CHARACTERISTIC, {}).get("Notifying")
            if notifying is not None and notifying.value:
                self._server.change(path, CHARACTERISTIC, {"Notifying": Variant("b", False)})

    def _connect(self, message: Message) -> Message | None:
        if not self._host.is_powered:
            raise bluez_error("NotReady", "Resource Not Ready")
        if self._is_connected:
            raise bluez_error("AlreadyConnected", "Already Connected")
        if self._waiting is not None:
            raise bluez_error("InProgress", "Operation already in progress")
        if self._planned.connects:
            error = self._planned.connects.pop(0)
            if error.text != ABORTED:
                raise error
            self._server.change(self.path, DEVICE, {"Connected": Variant("b", True)})
            self._server.send(Message.new_error(message, error.type, error.text))
            self._server.change(self.path, DEVICE, {"Connected": Variant("b", False)})
        elif self._is_on_air and not self._planned.holds_connects:
            self._link_up(message)
        else:
            self._waiting = message
        return None

    def _link_up(self, message: Message) -> None:
        self._counts.connects += 1
        n_connects = self._counts.connects
        self._is_connected = True
        self._server.change(self.path, DEVICE, {"Connected": Variant("b", True)})
        self._server.send(Message.new_method_return(message))
        self._switch_held_on()
        self._server.loop.call_later(_DISCOVERY_OF_SERVICES_S, lambda: self._resolve(n_connects))

    def _resolve(self, n_connects: int) -> None:
        if not self._is_connected or n_connects != self._counts.connects:
            return
        for path, interfaces in self._gatt.items():
            if path not in self._server.objects:
                self._server.add(path, {name: dict(properties) for name, properties in interfaces.items()})
        self._switch_held_on()
        self._server.change(self.path, DEVICE, {"ServicesResolved": Variant("b", True)})

    def _disconnect(self, message: Message) -> Message:
        if not self._is_connected and self._waiting is None:
            raise bluez_error("NotConnected", "Not Connected")
        self.on_link_lost(is_asked_for=True)
        return Message.new_method_return(message)

    def _flags(self, message: Message) -> tuple[str, list[str]]:
        path = message.path or ""
        if not self._is_connected:
            raise bluez_error("Failed", "Not connected")
        flags: list[str] = self._gatt[path][CHARACTERISTIC]["Flags"].value
        return path, flags

    def _read(self, message: Message) -> Message:
        path, flags = self._flags(message)
        if "read" not in flags:
            raise bluez_error("NotPermitted", "Read not permitted")
        self.on_time()
        value = self.peripheral.read(self._uuids[path], self.now_us)
        # bluetoothd tells a value read as it tells one notified
        self._server.change(path, CHARACTERISTIC, {"Value": Variant("ay", value)})
        return Message.new_method_return(message, "ay", [value])

    def _write(self, message: Message) -> None:
        path, flags = self._flags(message)
        data, options = message.body
        is_command = "type" in options and options["type"].value == "command"
        is_permitted = ("write-without-response" if is_command else "write") in flags
        if not is_permitted and not is_command:
            raise bluez_error("NotPermitted", "Write not permitted")
        self.on_time()
        answers = self.peripheral.write(self._uuids[path], bytes(data), self.now_us) if is_permitted else []
        self._server.send(Message.new_method_return(message))
        for uuid, answer in answers:
            self._notify(uuid, answer)

    def _start_notify(self, message: Message) -> Message:
        path = message.path or ""
        if not can_notify(self._gatt[path][CHARACTERISTIC]["Flags"].value):
            raise bluez_error("NotSupported", "Operation is not supported")
        names = self._subscribers.setdefault(path, [])
        if message.sender in names:
            raise bluez_error("Failed", "Already notifying")
        self.on_time()
        self._counts.notify_starts += 1
        names.append(message.sender or "")
        if self._is_connected:  # else once it is
            self._switch_on(path)
        return Message.new_method_return(message)

    def _switch_held_on(self) -> None:
        for path in self._subscribers:
            if path in self._server.objects:
                self._switch_on(path)

    def _switch_on(self, path: str) -> None:
        self.peripheral.subscribe(self._uuids[path], True)
        self._server.change(path, CHARACTERISTIC, {"Notifying": Variant("b", True)})

    def _stop_notify(self, message: Message) -> Message:
        path, _ = self._flags(message)
        if (message.sender or "") not in self._subscribers.get(path, []):
            raise bluez_error("Failed", "No notify session started")
        self._unsubscribe(path, message.sender or "")
        return Message.new_method_return(message)

    def _unsubscribe(self, path: str, unique_name: str) -> None:
        names = self._subscribers[path]
        names.remove(unique_name)
        if names:
            return
        del self._subscribers[path]
        if self._is_connected and path in self._server.objects:
            self.on_time()
            self.peripheral.subscribe(self._uuids[path], False)
            self._server.change(path, CHARACTERISTIC, {"Notifying": Variant("b", False)})

    def _notify(self, uuid: str, data: bytes) -> None:
        path = self._paths[uuid]
        n_copies = len(self._subscribers.get(path, ())) - 1
        if not self._is_connected or path not in self._server.objects or self._is_silent or n_copies < 0:
            return
        self._counts.notifications += 1
        self._counts.copies += n_copies
        for _ in range(1 + n_copies):
            self._server.change(path, CHARACTERISTIC, {"Value": Variant("ay", data)})
