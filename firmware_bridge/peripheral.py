"""What every virtual sensor looks like to whoever puts it on a radio: a GATT table, and bytes when they are due.

Reads, writes and subscriptions of a central enter, with the device time; values and notifications leave. No I/O and no
clock: whoever drives it asks for everything up to a device time, which is counted from its making.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.device import Ask, Pause, Read, Step, Subscribe, Talk, Write
from firmware_bridge.virtual_sensor import SensorCounts

Notification = tuple[str, bytes]
"""The characteristic's UUID and what it notifies."""


@dataclass(frozen=True, slots=True)
class Characteristic:
    """``properties`` by their BlueZ names: read, write, write-without-response, notify, indicate."""

    uuid: str
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A service and its characteristics; UUIDs are whole and in lower case."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


class Peripheral(Protocol):
    """A sensor without hardware. Names have at most 8 characters where a 128-bit UUID is advertised too."""

    @property
    def name(self) -> str:
        """As advertised."""
        ...

    @property
    def services(self) -> tuple[Service, ...]:
        """The GATT table."""
        ...

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """The service UUIDs in its advertisement."""
        ...

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """By company identifier, as advertised."""
        ...

    @property
    def counts(self) -> SensorCounts:
        """A copy of what it did so far."""
        ...

    def read(self, uuid: str, now_us: int) -> bytes:
        """The value of a readable characteristic; `KeyError` for one that it has not."""
        ...

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """Obey a write; gives what it notifies or indicates at once as its answer."""
        ...

    def subscribe(self, uuid: str, is_on: bool) -> None:
        """A central switched the notifications of a characteristic on or off."""
        ...

    def link_lost(self) -> None:
        """The central is gone: nothing is subscribed any more; samples are still taken and counted."""
        ...

    def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:
        """Take all samples up to a device time; yields each notification with the time at which it is ready."""
        ...


def rehearse(talk: Talk, peripheral: Peripheral, now_us: int = 0) -> list[Step]:
    """Carry out a talk against a virtual sensor, without any radio; gives the steps taken.

    Raises what the talk raises, and ValueError where it asks for an answer that does not come.
    """
    steps: list[Step] = []
    readable = {c.uuid for service in peripheral.services for c in service.characteristics if "read" in c.properties}
    answer: bytes | None = None
    while True:
        try:
            step = next(talk) if answer is None else talk.send(answer)
        except StopIteration:
            return steps
        steps.append(step)
        answer = b""
        match step:
            case Read():
                if step.uuid in readable or not step.is_optional:
                    answer = peripheral.read(step.uuid, now_us)
            case Write():
                peripheral.write(step.uuid, step.data, now_us)
            case Subscribe():
                peripheral.subscribe(step.uuid, True)
            case Ask():
                replies = [
                    data
                    for uuid, data in peripheral.write(step.uuid, step.data, now_us)
                    if step.is_answered_by(uuid, data)
                ]
                if not replies:
                    raise ValueError(f"no answer to {step.data.hex()} on {step.reply_uuid}")
                answer = replies[0]
            case Pause():
                pass
