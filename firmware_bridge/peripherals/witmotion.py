"""A WitMotion WT901BLE or BWT901BLE5 without hardware: it streams frames from the moment somebody subscribes.

Samples in SI units enter, notifications leave; commands change the rate once it is unlocked, registers can be read. It
never shares a line with the decoder: the formats are written down here a second time.
"""

import struct
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import Common, SampledPeripheral
from firmware_bridge.virtual_sensor import SampleSource

_UUID: Final = "0000{}-0000-1000-8000-00805f9a34fb"
_SERVICE, _NOTIFY, _WRITE = (_UUID.format(short) for short in ("ffe5", "ffe4", "ffe9"))
_HZ_BY_CODE: Final = {1: 0.1, 2: 0.5, 3: 1.0, 4: 2.0, 5: 5.0, 6: 10.0, 7: 20.0, 8: 50.0, 9: 100.0, 10: 200.0}
_RATE_REGISTER: Final = 0x03
_BATTERY_REGISTER: Final = 0x64
_UNLOCKED_US: Final = 10_000_000


class WitMotionPeripheral(SampledPeripheral):
    """One sensor as it leaves the factory: 10 Hz, without a battery service.

    ``frames_per_notification`` are sent at once; ``fastest_code`` is the highest return rate it accepts (8: 50 Hz).
    """

    default_name = "WT901BLE68"
    default_rate_hz = 10.0

    def __init__(
        self,
        source: SampleSource,
        *,
        frames_per_notification: int = 1,
        fastest_code: int = 10,
        **common: Unpack[Common],
    ) -> None:
        self._code = 6
        self._fastest_code = fastest_code
        self._unlocked_until_us = 0
        super().__init__(source, samples_per_packet=frames_per_notification, **common)

    @property
    def services(self) -> tuple[Service, ...]:
        """Its only one."""
        data, commands = Characteristic(_NOTIFY, ("notify",)), Characteristic(_WRITE, ("write-without-response",))
        return (Service(_SERVICE, (data, commands)),)

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """None with a name too long to leave room for one."""
        return (_SERVICE,) if len(self.name.encode()) <= 8 else ()

    @property
    def is_streaming(self) -> bool:
        """Subscribing is all it needs."""
        return _NOTIFY in self._subscribed

    def read(self, uuid: str, now_us: int) -> bytes:  # noqa: ARG002
        """Nothing can be read, the battery neither."""
        raise KeyError(uuid)

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """Obey a command of five bytes; an unknown one, or a setting while it is locked, changes nothing."""
        if uuid != _WRITE:
            raise KeyError(uuid)
        if len(data) != 5 or data[:2] != b"\xff\xaa":
            return []
        register, value = data[2], int.from_bytes(data[3:], "little")
        if register == 0x69 and value == 0xB588:
            self._unlocked_until_us = now_us + _UNLOCKED_US
        elif register == 0x27 and self.is_streaming:
            return [(_NOTIFY, self._registers(value))]
        elif register == _RATE_REGISTER and now_us < self._unlocked_until_us and 1 <= value <= self._fastest_code:
            self._code = value
            self.set_rate(_HZ_BY_CODE[value])
        return []

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """All frames in one notification; the angles are 0."""
        acc = samples[:, :3].astype(np.float64) / 9.80665 * (32768 / 16)
        gyr = np.degrees(samples[:, 3:].astype(np.float64)) * (32768 / 2000)
        counts = np.clip(np.rint(np.hstack((acc, gyr))), -32768, 32767).astype(int)
        return [(_NOTIFY, b"".join(struct.pack("<2B9h", 0x55, 0x61, *row, 0, 0, 0) for row in counts))]

    def _registers(self, first: int) -> bytes:
        """Eight registers from one on; unknown ones read 0. 3.5 V to 3.96 V stand for an empty to a full battery."""
        known = {_RATE_REGISTER: self._code, _BATTERY_REGISTER: 350 + round(0.46 * self.battery_percent)}
        return struct.pack(
            "<2B9H", 0x55, 0x71, first, *(known.get(register, 0) for register in range(first, first + 8))
        )


class Bwt901ble5Peripheral(WitMotionPeripheral):
    """The same under the other kind's name."""

    default_name = "BWT901BLE"
