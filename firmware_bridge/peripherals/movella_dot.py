"""A virtual Movella DOT: samples in SI units enter, its GATT table and its "Rate quantities" notifications leave.

It obeys the measurement control and the device control as table 7 and table 13 of the maker's specification XD0506P
say, and keeps no layout in common with the decoder. Like the real one it sends one sample a notification.
"""

from collections.abc import Mapping
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.peripheral import Characteristic, Notification, Service
from firmware_bridge.peripherals.sampled import Common, SampledPeripheral
from firmware_bridge.virtual_sensor import SampleSource

_TAIL: Final = "-4947-11e9-8646-d663bd873d93"
_SETTINGS: Final = "15171002" + _TAIL
_CONTROL: Final = "15172001" + _TAIL
_MEDIUM: Final = "15172003" + _TAIL
_BATTERY: Final = "15173001" + _TAIL
_SERVICES: Final = (
    Service("15171000" + _TAIL, (Characteristic(_SETTINGS, ("read", "write")),)),
    Service("15172000" + _TAIL, (Characteristic(_CONTROL, ("read", "write")), Characteristic(_MEDIUM, ("notify",)))),
    Service("15173000" + _TAIL, (Characteristic(_BATTERY, ("read", "notify")),)),
)
_RATES_HZ: Final = (1, 4, 10, 12, 15, 20, 30, 60, 120)
_MODE: Final = 21
_MAX_G: Final = 16.0
_MAX_DEG_S: Final = 2000.0


class MovellaDotPeripheral(SampledPeripheral):
    """See `firmware_bridge.peripheral.Peripheral`. It advertises its name and its maker, and no service.

    ``first_time_us`` is its clock when it is made; ``n_unused_bytes`` are the zeros after a sample, 0 or 12.
    A measurement survives the loss of the link.
    """

    default_name = "Movella DOT"

    def __init__(
        self,
        source: SampleSource,
        *,
        rate_hz: int = 60,
        first_time_us: int = 0,
        n_unused_bytes: int = 0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(source, rate_hz=rate_hz, **common)
        self._first_time_us = first_time_us
        self._unused = bytes(n_unused_bytes)
        self._is_measuring = False
        self._mode = _MODE

    @property
    def services(self) -> tuple[Service, ...]:
        """Those of the specification that a stream needs."""
        return _SERVICES

    @property
    def advertised_uuids(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def manufacturer_data(self) -> Mapping[int, bytes]:
        """Movella's company identifier."""
        return {0x0886: b""}

    @property
    def is_streaming(self) -> bool:
        """Whether it measures in the one mode that it can, for somebody who listens."""
        return self._is_measuring and self._mode == _MODE and _MEDIUM in self._subscribed

    def read(self, uuid: str, now_us: int) -> bytes:  # noqa: ARG002
        """Battery level and "not charging", the state of the measurement, or the 32 bytes of settings."""
        if uuid == _BATTERY:
            return bytes([self.battery_percent, 0])
        if uuid == _CONTROL:
            return bytes([1, self._is_measuring, self._mode])
        if uuid == _SETTINGS:
            head = bytes([0, 0, 0, 10, 0, 30, 0, 11])
            return head + b"Movella DOT".ljust(16, b"\0") + int(self.rate_hz).to_bytes(2, "little") + bytes(6)
        raise KeyError(uuid)

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:  # noqa: ARG002
        """Start, stop, or another rate; whatever is no such command is passed over."""
        if uuid == _SETTINGS:
            rate_hz = int.from_bytes(data[24:26], "little")
            if len(data) == 32 and data[0] & 0x10 and rate_hz in _RATES_HZ and not self._is_measuring:
                self.set_rate(rate_hz)
        elif uuid == _CONTROL:
            if len(data) == 3 and data[0] == 1 and data[1] in (0, 1):
                self._is_measuring = data[1] == 1
                self._mode = data[2] if self._is_measuring else self._mode
        else:
            raise KeyError(uuid)
        return []

    def pack(self, samples: Samples, first_index: int, time_us: NDArray[np.int64]) -> list[Notification]:  # noqa: ARG002
        """Microseconds as u32, then m/s² and deg/s as float32, no further than the sensor's range."""
        acc_limit_m_s2 = np.float32(_MAX_G * STANDARD_GRAVITY_M_S2)
        acc_m_s2 = np.clip(samples[0, ACC], -acc_limit_m_s2, acc_limit_m_s2)
        gyr_deg_s = np.clip(np.degrees(samples[0, GYR].astype(np.float64)), -_MAX_DEG_S, _MAX_DEG_S)
        stamp = (self._first_time_us + int(time_us[0])) % 2**32
        body = np.concatenate((acc_m_s2, gyr_deg_s)).astype("<f4").tobytes()
        return [(_MEDIUM, stamp.to_bytes(4, "little") + body + self._unused)]
