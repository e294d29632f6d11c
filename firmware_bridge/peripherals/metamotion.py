"""A MetaMotion board without hardware: two modules that are configured, switched on and streamed by command.

Samples in SI units enter; of each, one notification of acceleration and one of angular velocity leave. It never shares
a line with the decoder: the formats are written down here a second time.
"""

import struct
from dataclasses import dataclass
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE, Common, SampledPeripheral
from firmware_bridge.virtual_sensor import SampleSource

_UUID: Final = "326a{}-85cb-9195-d9dd-464cfbbae75a"
_SERVICE, _COMMAND, _NOTIFY = (_UUID.format(short) for short in ("9000", "9001", "9006"))
_ACC, _GYR = 0x03, 0x13
_G_BY_CODE: Final = ({0x3: 2, 0x5: 4, 0x8: 8, 0xC: 16}, {0x0: 2, 0x1: 4, 0x2: 8, 0x3: 16})
"""By code of the range, of a BMI160 and a BMI270; any other code is 2 g, as in the chip."""
_DEG_S_BY_CODE: Final = (2000, 1000, 500, 250, 125)


@dataclass(slots=True)
class _Module:
    """What a module says it is, and what it was told; the configuration is the two bytes of register 3."""

    answer: bytes
    data_register: int
    config: bytes
    is_on: bool = False
    is_sampling: bool = False
    is_streamed: bool = False

    def obey(self, register: int, value: bytes) -> None:
        if register == 0x01 and value:
            self.is_on = value[0] == 1
        elif register == 0x02 and len(value) == 2:
            self.is_sampling = value[0] == 1 or (self.is_sampling and value[1] == 0)
        elif register == 0x03 and len(value) == 2:
            self.config = value
        elif register == self.data_register and value:
            self.is_streamed = value[0] == 1

    @property
    def is_streaming(self) -> bool:
        return self.is_on and self.is_sampling and self.is_streamed

    @property
    def rate_hz(self) -> float:
        return 100.0 * 2.0 ** ((self.config[0] & 0xF) - 8)


class MetaMotionPeripheral(SampledPeripheral):
    """One board: a MetaMotion S with its BMI270 where ``is_bmi270``, else one with a BMI160."""

    default_name = "MetaWear"
    default_rate_hz = 100.0

    def __init__(
        self,
        source: SampleSource,
        *,
        is_bmi270: bool = False,
        has_gyroscope: bool = True,
        **common: Unpack[Common],
    ) -> None:
        self._is_bmi270 = is_bmi270
        self._has_gyroscope = has_gyroscope
        self._acc = _Module(
            bytes([_ACC, 0x80, *((4, 0) if is_bmi270 else (1, 1))]), 0x04, b"\xa8\x02" if is_bmi270 else b"\x28\x03"
        )
        self._gyr = _Module(
            bytes([_GYR, 0x80, *((1, 0) if is_bmi270 else (0, 1))]), 0x04 if is_bmi270 else 0x05, b"\x28\x00"
        )
        super().__init__(source, **common)

    @property
    def services(self) -> tuple[Service, ...]:
        """One characteristic for all commands, one for all answers and data; and the battery."""
        command = Characteristic(_COMMAND, ("write", "write-without-response"))
        return (Service(_SERVICE, (command, Characteristic(_NOTIFY, ("notify",)))), BATTERY_SERVICE)

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """Its service."""
        return (_SERVICE,)

    @property
    def is_streaming(self) -> bool:
        """Both modules were told everything, at the same rate."""
        modules_agree = self._acc.rate_hz == self._gyr.rate_hz
        return _NOTIFY in self._subscribed and self._acc.is_streaming and self._gyr.is_streaming and modules_agree

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Obey a command, or say what a module is; what it was told outlives a lost link."""
        if uuid != _COMMAND:
            raise KeyError(uuid)
        if len(data) < 2 or data[0] not in (_ACC, _GYR):
            return []
        is_gyr = data[0] == _GYR
        if data[1] == 0x80:
            answer = self._gyr.answer if is_gyr else self._acc.answer
            return [(_NOTIFY, answer[:2] if is_gyr and not self._has_gyroscope else answer)]
        (self._gyr if is_gyr else self._acc).obey(data[1], data[2:])
        if self._acc.rate_hz != self.rate_hz:
            self.set_rate(self._acc.rate_hz)
        return []

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """Two notifications a sample, in the ranges that were set."""
        full_g = _G_BY_CODE[self._is_bmi270].get(self._acc.config[1] & 0xF, 2)
        full_deg_s = _DEG_S_BY_CODE[min(self._gyr.config[1] & 0x7, 4)]
        acc = samples[:, :3].astype(np.float64) / 9.80665 * (32768 / full_g)
        gyr = np.degrees(samples[:, 3:].astype(np.float64)) * (16.4 * 2000 / full_deg_s)
        counts = np.clip(np.rint(np.hstack((acc, gyr))), -32768, 32767).astype(int)
        return [
            (_NOTIFY, struct.pack("<2B3h", module, register, *half))
            for row in counts
            for module, register, half in ((_ACC, 0x04, row[:3]), (_GYR, self._gyr.data_register, row[3:]))
        ]
