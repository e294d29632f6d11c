"""What the virtual sensors of all makers share: taking samples in time, sending them or not, and counting each.

Samples in SI units enter, notifications leave; a subclass says how its maker packs them, what its GATT table is and how
it obeys. It never sleeps: whoever drives it asks for everything up to a device time.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples
from firmware_bridge.device import BATTERY_LEVEL_UUID, BATTERY_SERVICE_UUID
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.virtual_sensor import Faults, SampleSource, SensorCounts

BATTERY_SERVICE = Service(BATTERY_SERVICE_UUID, (Characteristic(BATTERY_LEVEL_UUID, ("read", "notify")),))


class Common(TypedDict, total=False):
    """What every virtual sensor can be given; see `SampledPeripheral`."""

    name: str
    faults: Faults | None
    seed: int
    battery_percent: int


class SampledPeripheral(ABC):
    """One sensor from its start on; ``seed`` decides the faults, ``battery_percent`` is what it says of its battery.

    A packet is what `pack` makes of ``samples_per_packet`` samples, one notification or more: faults befall it whole.
    Raises ValueError for `Faults.reorder`: a link layer keeps the order, and only v1's sensor can pretend otherwise.
    """

    default_name: str
    """Advertised where no name is given."""
    default_rate_hz: float
    """What it samples at as it leaves the factory; a subclass that always says its rate has none."""

    def __init__(
        self,
        source: SampleSource,
        *,
        name: str = "",
        rate_hz: float | None = None,
        samples_per_packet: int = 1,
        faults: Faults | None = None,
        seed: int = 0,
        battery_percent: int = 80,
    ) -> None:
        self.name = name or self.default_name
        self.battery_percent = battery_percent
        self._source = source
        self._faults = faults or Faults()
        if self._faults.reorder:
            raise ValueError("reorder is a fault of the v1 sensor only")
        self._random = random.Random(seed)
        self._counts = SensorCounts()
        self._samples_per_packet = samples_per_packet
        self._subscribed: set[str] = set()
        self._burst_left = 0
        self._index = self._base_index = 0
        self._base_us = 0.0
        self._open(self.default_rate_hz if rate_hz is None else rate_hz)

    @property
    @abstractmethod
    def services(self) -> tuple[Service, ...]:
        """The GATT table."""

    @property
    @abstractmethod
    def advertised_uuids(self) -> tuple[str, ...]:
        """The service UUIDs in its advertisement."""

    @property
    @abstractmethod
    def is_streaming(self) -> bool:
        """Whether it was told everything it needs to send samples now."""

    @abstractmethod
    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:
        """The notifications that carry ``(n, 6)`` SI samples taken at device times ``(n,)``."""

    @abstractmethod
    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """Obey a write; gives what it answers at once. `KeyError` for a characteristic that cannot be written."""

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """Nothing, with most makers."""
        return {}

    @property
    def counts(self) -> SensorCounts:
        """A copy of the counts so far."""
        return replace(self._counts)

    def read(self, uuid: str, now_us: int) -> bytes:  # noqa: ARG002
        """The battery's percentage; more in a subclass."""
        if uuid != BATTERY_LEVEL_UUID:
            raise KeyError(uuid)
        return bytes([self.battery_percent])

    def subscribe(self, uuid: str, is_on: bool) -> None:
        """A central switched the notifications of a characteristic on or off."""
        (self._subscribed.add if is_on else self._subscribed.discard)(uuid)

    def link_lost(self) -> None:
        """Nothing is subscribed any more; whether it streams again by itself is the maker's way."""
        self._subscribed.clear()

    def notifications(self, until_us: int) -> Iterator[tuple[int, Notification]]:
        """Take all samples up to a device time; what is not drawn from the iterator is not taken."""
        while not self._is_exhausted and self._time_us(self._index + self._samples_per_packet - 1) <= until_us:
            samples = self._take()
            if len(samples) == 0:
                return
            first = self._index
            self._index += len(samples)
            time_us = np.array([self._time_us(index) for index in range(first, self._index)], np.int64)
            for notification in self._send(samples, first, time_us):
                yield int(time_us[-1]), notification

    def set_rate(self, rate_hz: float) -> None:
        """Sample at another rate from now on; the source begins anew."""
        self._base_us, self._base_index = float(self._time_us(self._index)), self._index
        self._open(rate_hz)

    def _open(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._chunks = iter(self._source(rate_hz))
        self._chunk: Samples = np.empty((0, N_CHANNELS), np.float32)
        self._is_exhausted = False

    def _time_us(self, index: int) -> int:
        return round(self._base_us + (index - self._base_index) * 1e6 / self.rate_hz)

    def _take(self) -> Samples:
        while len(self._chunk) < self._samples_per_packet and not self._is_exhausted:
            more = next(self._chunks, None)
            if more is None:
                self._is_exhausted = True
            else:
                self._chunk = np.concatenate((self._chunk, more))
        taken, self._chunk = self._chunk[: self._samples_per_packet], self._chunk[self._samples_per_packet :]
        return taken

    def _send(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> Iterator[Notification]:
        counts, faults, chance = self._counts, self._faults, self._random.random
        n_samples = len(samples)
        counts.samples_taken += n_samples
        if not self.is_streaming:
            counts.samples_idle += n_samples
            return
        packet = self.pack(samples, first_index, time_us)
        if self._burst_left == 0 and chance() < max(faults.queue_drop, faults.radio_drop):
            self._burst_left = faults.burst_packets
        if self._burst_left > 0:
            self._burst_left -= 1
            counts.samples_dropped += n_samples
            counts.packets_dropped += 1
            return
        if chance() < faults.spoil:
            counts.samples_spoilt += n_samples
            counts.packets_spoilt += 1
            yield from ((uuid, data[: self._random.randrange(len(data))]) for uuid, data in packet)
            return
        counts.samples_sent += n_samples
        counts.packets_sent += 1
        yield from packet
        if chance() < faults.repeat:
            counts.packets_repeated += 1
            yield from packet
