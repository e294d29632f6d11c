"""A virtual sensor made from a description: whatever a user's sensor sends, without the sensor.

Samples in SI units enter, notifications leave, packed number by number as the description says; it streams to whoever
subscribed and wrote what starts it, and it obeys what stops it. It shares no parsing with the device.
"""

import math
import struct
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import Samples
from firmware_bridge.device import Write
from firmware_bridge.devices.description import FORMATS, Clock, Counter, Counts, Description, Number
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE, Common, SampledPeripheral
from firmware_bridge.virtual_sensor import SampleSource

UNNAMED_SERVICE_UUID: Final = "0000fff0-0000-1000-8000-00805f9b34fb"
"""Where the characteristics stand when the description names no service."""
_MAX_NAME_CHARACTERS: Final = 8


class DescribedPeripheral(SampledPeripheral):
    """See `firmware_bridge.peripheral.Peripheral`; its counter and clock go on while nobody listens."""

    def __init__(self, source: SampleSource, description: Description, **common: Unpack[Common]) -> None:
        self.default_name = (description.name_prefix or description.key)[:_MAX_NAME_CHARACTERS]
        super().__init__(
            source, rate_hz=description.rate_hz, samples_per_packet=description.samples_per_packet, **common
        )
        self._description = description
        self._n_start_writes = 0

    @property
    def services(self) -> tuple[Service, ...]:
        """The data characteristic, those that are written, and the battery."""
        description = self._description
        properties: dict[str, tuple[str, ...]] = {description.data_uuid: ("notify",)}
        for step in (*description.start, *description.stop):
            if "write" not in properties.get(step.uuid, ()):
                properties[step.uuid] = (*properties.get(step.uuid, ()), "write", "write-without-response")
        service = Service(
            description.service_uuid or UNNAMED_SERVICE_UUID,
            tuple(Characteristic(uuid, names) for uuid, names in properties.items()),
        )
        return (service, BATTERY_SERVICE)

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """The service by which it is known, if it is."""
        return (self._description.service_uuid,) if self._description.service_uuid else ()

    @property
    def is_streaming(self) -> bool:
        """Whether data is subscribed and the start writes came, all and in their order."""
        is_started = self._n_start_writes == len(self._description.start)
        return is_started and self._description.data_uuid in self._subscribed

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Obey the writes of the description, ignore others; `KeyError` where nothing can be written."""
        description = self._description
        if uuid not in {step.uuid for step in (*description.start, *description.stop)}:
            raise KeyError(uuid)
        start = description.start
        if description.stop and _is(description.stop[-1], uuid, data):
            self._n_start_writes = 0
        elif self._n_start_writes < len(start) and _is(start[self._n_start_writes], uuid, data):
            self._n_start_writes += 1
        return []

    def link_lost(self) -> None:
        """It waits to be subscribed and started again."""
        super().link_lost()
        self._n_start_writes = 0

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:
        """One packet, none where the source ends before it is full; bytes that the description does not name are 0."""
        description = self._description
        if len(samples) < description.samples_per_packet:
            return []
        packet = bytearray(description.packet_bytes)
        for row, sample in enumerate(samples):
            for channel, value in zip(description.channels, sample, strict=True):
                _put(packet, channel.number, row * description.stride_bytes, float(value) / channel.si_per_count)
        if description.counter is not None:
            _put(packet, description.counter.number, 0, self._count(description.counter, first_index))
        if description.clock is not None:
            _put(packet, description.clock.number, 0, _ticks(description.clock, time_us))
        return [(description.data_uuid, bytes(packet))]

    def _count(self, counter: Counter, first_index: int) -> int:
        is_of_samples = counter.counts is Counts.SAMPLES
        count = first_index if is_of_samples else first_index // self._description.samples_per_packet
        return int(_wrapped(count, counter.number, counter.wrap))


def _is(step: Write, uuid: str, data: bytes) -> bool:
    return (step.uuid, step.data) == (uuid, data)


def _ticks(clock: Clock, time_us: NDArray[np.int64]) -> float:
    ticks = float(time_us[-1 if clock.is_of_last_sample else 0]) * 1000 / clock.tick_ns
    if not clock.number.is_float:
        ticks = math.floor(ticks)
    return _wrapped(ticks, clock.number, clock.wrap) if clock.wrap else ticks


def _wrapped(value: float, number: Number, wrap: int) -> float:
    """Gone round, to below 0 where the type has a sign."""
    rest = value % wrap
    return rest if rest <= number.high else rest - wrap


def _put(packet: bytearray, number: Number, shift: int, value: float) -> None:
    """The nearest count, saturating."""
    if not number.is_float:
        value = int(min(max(round(value), number.low), number.high))
    struct.pack_into(FORMATS[number.type], packet, number.offset + shift, value)
