"""The virtual sensor of packet v1 as a peripheral: its GATT table, its values, and its notifications when they are due.

What a central does enters, with the device time; bytes leave. Counters, control commands and faults are
`VirtualSensorV1`'s; no byte layout is known here.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Final

from firmware_bridge.device import BATTERY_LEVEL_UUID
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    MAX_NAME_CHARACTERS,
    NAME_PREFIX,
    SERVICE_UUID,
    Answer,
    Frame,
    Info,
    Op,
    Status,
)
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE
from firmware_bridge.virtual_sensor import Faults, SampleSource, SensorCounts, VirtualSensorV1

_DEVICE_INFORMATION: Final = {
    "00002a29-0000-1000-8000-00805f9b34fb": b"frailedge",
    "00002a24-0000-1000-8000-00805f9b34fb": b"virtual foot",
    "00002a26-0000-1000-8000-00805f9b34fb": b"v1",
}
"""Manufacturer, model, firmware revision."""
_SERVICES: Final = (
    Service(
        SERVICE_UUID,
        (
            Characteristic(DATA_UUID, ("notify",)),
            Characteristic(CONTROL_UUID, ("write", "indicate")),
            Characteristic(INFO_UUID, ("read",)),
        ),
    ),
    BATTERY_SERVICE,
    Service(
        "0000180a-0000-1000-8000-00805f9b34fb", tuple(Characteristic(uuid, ("read",)) for uuid in _DEVICE_INFORMATION)
    ),
)


class PeripheralV1:
    """See `firmware_bridge.peripheral.Peripheral`. It answers busy to a start while nobody is subscribed to its data.

    ``info`` is by default that of the virtual foot: 104 Hz, in the foot's frame, with a boot number that ``seed``
    decides. ``rate_error`` and ``first_…`` are `VirtualSensorV1`'s. Raises ValueError for a name that is none.
    """

    def __init__(
        self,
        source: SampleSource,
        *,
        name: str = f"{NAME_PREFIX}foot",
        faults: Faults | None = None,
        seed: int = 0,
        battery_percent: int = 80,
        info: Info | None = None,
        rate_error: float = 0.0,
        first_packet_seq: int = 0,
        first_sample_index: int = 0,
        first_t_us: int = 0,
    ) -> None:
        if not name.startswith(NAME_PREFIX) or len(name.encode()) > MAX_NAME_CHARACTERS:
            raise ValueError(
                f"a name starts with {NAME_PREFIX} and has at most {MAX_NAME_CHARACTERS} bytes, got {name!r}"
            )
        self.name = name
        self.battery_percent = battery_percent
        self._sensor = VirtualSensorV1(
            source,
            info or Info(random.Random(seed).getrandbits(32), frame=Frame.FOOT),
            faults=faults,
            seed=seed,
            rate_error=rate_error,
            first_packet_seq=first_packet_seq,
            first_sample_index=first_sample_index,
            first_t_us=first_t_us,
        )
        self._subscribed: set[str] = set()

    @property
    def services(self) -> tuple[Service, ...]:
        """Data, control and info; battery; device information."""
        return _SERVICES

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """Our service."""
        return (SERVICE_UUID,)

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """None."""
        return {}

    @property
    def counts(self) -> SensorCounts:
        """A copy of the counts so far, over all boots."""
        return self._sensor.counts

    @property
    def info(self) -> Info:
        """What a read of the info gives now."""
        return self._sensor.info

    @property
    def is_streaming(self) -> bool:
        """Whether it was told to start."""
        return self._sensor.is_streaming

    def read(self, uuid: str, now_us: int) -> bytes:  # noqa: ARG002
        """Info, battery or device information; `KeyError` for anything else."""
        if uuid == INFO_UUID:
            return bytes(self._sensor.info)
        if uuid == BATTERY_LEVEL_UUID:
            return bytes([self.battery_percent])
        return _DEVICE_INFORMATION[uuid]

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """Obey a write to control; the indication goes to a central that subscribed to it."""
        if uuid != CONTROL_UUID:
            raise KeyError(uuid)
        if data[:1] == bytes([Op.START]) and DATA_UUID not in self._subscribed:
            answer = bytes(Answer(Op.START, Status.BUSY))
        else:
            answer = self._sensor.write_control(data, now_us)
        return [(CONTROL_UUID, answer)] if CONTROL_UUID in self._subscribed else []

    def subscribe(self, uuid: str, is_on: bool) -> None:
        """A central switched notifications on or off; without data it streams no more."""
        (self._subscribed.add if is_on else self._subscribed.discard)(uuid)
        if DATA_UUID not in self._subscribed:
            self._sensor.link_lost()

    def link_lost(self) -> None:
        """The central is gone: it streams no more until it is told to start again."""
        self._subscribed.clear()
        self._sensor.link_lost()

    def reboot(self, boot_id: int) -> None:
        """Start afresh, which ends the link too: all counters and the device clock from 0."""
        self._subscribed.clear()
        self._sensor.reboot(boot_id)

    def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:
        """Take all samples up to a device time; yields what is sent, with the time at which it is ready."""
        for ready_us, data in self._sensor.notifications(until_us):
            yield ready_us, (DATA_UUID, data)
