"""A Nordic Thingy:52 without hardware: its motion service, its configuration, its clipping.

Samples in SI units enter, notifications of the raw data characteristic leave while somebody is subscribed. It never
shares a line with the decoder: the formats are written down here a second time.
"""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE, SampledPeripheral

_BASE: Final = "ef68{:04x}-9b35-4933-9b10-52ffa9740042"
_TCS, _NAME, _TMS, _CONFIG, _RAW = (_BASE.format(short) for short in (0x0100, 0x0101, 0x0400, 0x0401, 0x0406))
_DEFAULT: Final = struct.pack("<4HB", 1000, 500, 500, 10, 1)
"""What it leaves the factory with (``m_motion.h``): 10 Hz."""
_LIMITS: Final = ((100, 5000), (100, 5000), (100, 5000), (5, 200), (0, 1))


class Thingy52Peripheral(SampledPeripheral):
    """One Thingy:52; its rate is what was last written to its configuration."""

    default_name = "Thingy"
    default_rate_hz = 10.0
    _config = _DEFAULT

    @property
    def services(self) -> tuple[Service, ...]:
        """Configuration and motion, without what nobody here uses, and the battery."""
        return (
            Service(_TCS, (Characteristic(_NAME, ("read",)),)),
            Service(_TMS, (Characteristic(_CONFIG, ("read", "write")), Characteristic(_RAW, ("notify",)))),
            BATTERY_SERVICE,
        )

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """The configuration service."""
        return (_TCS,)

    @property
    def is_streaming(self) -> bool:
        """Subscribing is all it needs."""
        return _RAW in self._subscribed

    def read(self, uuid: str, now_us: int) -> bytes:
        """The motion configuration, the name or the battery."""
        if uuid == _CONFIG:
            return self._config
        return self.name.encode() if uuid == _NAME else super().read(uuid, now_us)

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Take a motion configuration; one that is out of its limits changes nothing."""
        if uuid != _CONFIG:
            raise KeyError(uuid)
        if len(data) == len(_DEFAULT):
            values = struct.unpack("<4HB", data)
            if all(low <= value <= high for value, (low, high) in zip(values, _LIMITS, strict=True)):
                self._config = data
                self.set_rate(float(values[3]))
        return []

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """One notification a sample, clipped as the chip (±2 g) and the firmware (1023 deg/s) do."""
        acc_g = -samples[:, :3].astype(np.float64) / 9.80665
        acc = np.clip(np.rint(acc_g * 1024), -2048, 2047).astype(int)
        gyr = np.rint(np.degrees(samples[:, 3:].astype(np.float64)) * 32)
        gyr = np.where(gyr >= 1023 * 32, 1023 * 32, np.maximum(gyr, -1024 * 32)).astype(int)
        return [(_RAW, struct.pack("<9h", *a, *g, 0, 0, 0)) for a, g in zip(acc, gyr, strict=True)]
