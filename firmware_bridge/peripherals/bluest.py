"""A virtual ST board with the BlueST protocol: one sample a notification, to whoever subscribed.

Samples in SI units enter, the 20 bytes of the raw motion characteristic leave: tick of 8 ms, mg, 0.1 deg/s, no
magnetic field. There is nothing to write. It shares no layout with the device.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE, SampledPeripheral

_MOTION_UUID = "00e00000-0001-11e1-ac36-0002a5d5c51b"
_FEATURES_UUID = "00000000-0001-11e1-9ab4-0002a5d5c51b"


class BlueStPeripheral(SampledPeripheral):
    """See `firmware_bridge.peripheral.Peripheral`. It says that it is a SensorTile.box with features 00E00000."""

    default_name = "ST-foot"
    default_rate_hz = 20.0

    @property
    def services(self) -> tuple[Service, ...]:
        """The features and the battery."""
        return (Service(_FEATURES_UUID, (Characteristic(_MOTION_UUID, ("notify",)),)), BATTERY_SERVICE)

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """None: the boards are known by their manufacturer data."""
        return ()

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """Version 1, board 6, and the features as a big-endian mask."""
        return {0x0601: b"\x00\xe0\x00\x00"}

    @property
    def is_streaming(self) -> bool:
        """Whether somebody subscribed."""
        return _MOTION_UUID in self._subscribed

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Nothing can be written."""
        raise KeyError(uuid)

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """A notification for each sample."""
        counts = samples.astype(np.float64)
        counts[:, ACC] *= 1000 / STANDARD_GRAVITY_M_S2
        counts[:, GYR] *= 10 * 180 / math.pi
        notifications = []
        for t_us, row in zip(time_us, np.clip(np.rint(counts), -32768, 32767).astype("<i2"), strict=True):
            tick = (int(t_us) // 1000 >> 3) & 0xFFFF
            notifications.append((_MOTION_UUID, tick.to_bytes(2, "little") + row.tobytes() + bytes(6)))
        return notifications
