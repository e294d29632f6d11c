"""What a kind of sensor is to whoever drives a radio: how to know it, what to say to it, what its bytes mean.

Adverts, answers and notifications enter; steps to carry out and events leave. No I/O, no asyncio, no wall clock: a
`Talk` is a generator that yields one `Step` after the other and is sent the bytes each brought. Nothing here knows how
a step is carried out.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from firmware_bridge.events import Event

BATTERY_LEVEL_UUID: Final = "00002a19-0000-1000-8000-00805f9b34fb"
BATTERY_SERVICE_UUID: Final = "0000180f-0000-1000-8000-00805f9b34fb"


class DeviceError(ValueError):
    """A sensor that cannot be used, such as one without gyroscope; the text says what it is and what to do."""


class DeviceBusyError(DeviceError):
    """A sensor that cannot be used now, and may be in a moment: worth another try."""


@dataclass(frozen=True, slots=True)
class Advert:
    """What a sensor says of itself before anybody connects; UUIDs are whole (128 bit) and in lower case."""

    name: str = ""
    service_uuids: frozenset[str] = frozenset()
    manufacturer_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """Read a characteristic; sent back: its value, or ``b""`` where it is optional and not there."""

    uuid: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Write a characteristic; sent back: ``b""``."""

    uuid: str
    data: bytes
    with_response: bool = True


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Have a characteristic notify or indicate; not ``is_data``: it only answers `Ask`. Sent back: ``b""``."""

    uuid: str
    is_data: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """Write, then wait for the next notification of ``reply_uuid`` that holds ``mark``; sent back: its bytes.

    ``reply_uuid`` was subscribed before. A mark tells the answer of a sensor that streams over the same characteristic
    from its data, which stay data.
    """

    uuid: str
    data: bytes
    reply_uuid: str
    with_response: bool = True
    mark: bytes = b""

    def is_answered_by(self, uuid: str, data: bytes) -> bool:
        """Whether a notification is the answer."""
        return uuid == self.reply_uuid and self.mark in data


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave the sensor so much time; sent back: ``b""``."""

    duration_s: float


Step = Read | Write | Subscribe | Ask | Pause
Talk = Generator[Step, bytes, None]


class Losses(StrEnum):
    """How well lost samples can be counted: by the sensor's counter, by its clock, or only by rate and silence."""

    EXACT = "exact"
    CLOCK = "clock"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a started sensor delivers.

    ``rate_hz`` is nominal, ``samples_per_packet`` the usual number, ``max_samples_per_packet`` the greatest where they
    vary. ``n_streams`` is 2 where acceleration and angular rate come in notifications of their own, each with so many.
    ``is_foot_frame`` says whether the sensor has turned its axes to the foot's itself, ``boot_id`` what it counts its
    boots by, where it does. ``has_clock``: device times are the sensor's own, else they are sample numbers at the
    nominal rate.
    """

    rate_hz: float
    samples_per_packet: int
    acc_range_m_s2: float
    gyr_range_rad_s: float
    has_clock: bool
    is_foot_frame: bool = False
    boot_id: int = 0
    max_samples_per_packet: int = 0
    n_streams: int = 1

    @property
    def longest_packet_s(self) -> float:
        """How much signal one notification holds at most: so long a sensor that is well may say nothing."""
        return max(self.samples_per_packet, self.max_samples_per_packet) / self.rate_hz

    @property
    def packet_rate_hz(self) -> float:
        """Notifications a second, when all arrive and hold the usual number."""
        return self.n_streams * self.rate_hz / self.samples_per_packet


class Device(Protocol):
    """One sensor as its protocol sees it; made once, it outlives any number of connections.

    Samples in its blocks are SI in the sensor's own axes; saturated ones are marked.
    """

    @property
    def stream(self) -> StreamInfo:
        """Known once a `start` was carried out to its end."""
        ...

    def start(self, now_ns: int) -> Talk:
        """After each connection: everything from reading what it is to its first sample. May raise `DeviceError`.

        Every answer it needs it checks; whatever is not what its protocol says is a `DeviceError`.
        """
        ...

    def stop(self) -> Talk:
        """Before an orderly goodbye."""
        ...

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """A notification of a data characteristic; no bytes raise."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """One line in the table of sensors.

    ``rate_hz`` and the ranges are those that `start` sets; ``axes`` says in words how the sensor's axes lie.
    ``battery_uuid`` is read for a percentage, in its first byte, where it is there. Not ``is_verified``: no public
    source gives bytes to hold the decoder against.
    """

    key: str
    title: str
    source: str
    is_verified: bool
    rate_hz: float
    acc_range_g: float
    gyr_range_deg_s: float
    axes: str
    losses: Losses
    fits: Callable[[Advert], bool]
    make: Callable[[], Device]
    battery_uuid: str = BATTERY_LEVEL_UUID
