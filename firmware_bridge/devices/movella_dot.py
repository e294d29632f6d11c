"""Movella DOT (once Xsens DOT): its measurement service in mode 21, "Rate quantities", and the samples it notifies.

Values read and notifications enter, steps and events leave. A sample comes in each notification, in SI but for the
angular rate, after the sensor's own calibration; there is no counter, so its microsecond clock counts what is lost.
Facts: "Movella DOT BLE Services Specifications", XD0506P, revision C, whose tables are named below.
"""

import struct
from typing import Final

import numpy as np

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2
from firmware_bridge.device import (
    Advert,
    DeviceError,
    DeviceKind,
    Losses,
    Read,
    StreamInfo,
    Subscribe,
    Talk,
    Write,
)
from firmware_bridge.devices.clocked import ClockedCounter
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event


def _uuid(short: int) -> str:
    return f"1517{short:04x}-4947-11e9-8646-d663bd873d93"


SERVICE_UUID: Final = _uuid(0x2000)
SETTINGS_UUID: Final = _uuid(0x1002)
"""Called "device control": output rate and more (table 7)."""
CONTROL_UUID: Final = _uuid(0x2001)
DATA_UUID: Final = _uuid(0x2003)
"""The "medium payload", for 21 to 40 bytes (table 12)."""
BATTERY_UUID: Final = _uuid(0x3001)
COMPANY_ID: Final = 0x0886
NAMES: Final = ("movella dot", "xsens dot")
"""Since firmware 3, and before (table 4)."""

RATE_HZ: Final = 60
"""The highest rate for streaming; 120 Hz is for recording on the sensor."""
ACC_RANGE_G: Final = 16.0
GYR_RANGE_DEG_S: Final = 2000.0
LIMIT_SHARE: Final = 0.99
"""Calibration moves the limits a little: from here on a sample counts as saturated."""
PLAUSIBLE_SHARE: Final = 1.25
"""Beyond so much of the range no sample can be."""

_START: Final = bytes.fromhex("01 01 15")
_STOP: Final = bytes.fromhex("01 00 15")
_SETTINGS_SIZE: Final = 32
_RATE_OFFSET: Final = 24
_VISIT_RATE: Final = 0x10
_U16: Final = struct.Struct("<H")
_PACKET: Final = struct.Struct("<I6f")
_FULL_SIZE: Final = 40
"""Of the characteristic (table 12): unused bytes at the end are zero (section 3.3), where they are sent at all."""
_WRAP_NS: Final = 1000 << 32
_SI: Final = np.array([1.0] * 3 + [np.pi / 180] * 3)
_RANGES: Final = np.array([ACC_RANGE_G * STANDARD_GRAVITY_M_S2] * 3 + [np.radians(GYR_RANGE_DEG_S)] * 3)


class MovellaDot:
    """One DOT; see `firmware_bridge.device.Device`."""

    def __init__(self) -> None:
        self._clock = ClockedCounter(RATE_HZ, _WRAP_NS)

    @property
    def stream(self) -> StreamInfo:
        """The same of every DOT."""
        return StreamInfo(
            rate_hz=RATE_HZ,
            samples_per_packet=1,
            acc_range_m_s2=float(_RANGES[ACC][0]),
            gyr_range_rad_s=float(_RANGES[GYR][0]),
            has_clock=True,
        )

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Stop what still runs, see to 60 Hz, subscribe, start.

        The rate is kept over a reboot and cannot be changed during a measurement.
        """
        self._clock.interrupted()
        control = yield Read(CONTROL_UUID)
        if _action(control) != 0:
            yield Write(CONTROL_UUID, _STOP)
        settings = yield Read(SETTINGS_UUID)
        if _rate_hz(settings) != RATE_HZ:
            yield Write(SETTINGS_UUID, _with_rate(settings))
            settings = yield Read(SETTINGS_UUID)
            rate_hz = _rate_hz(settings)
            if rate_hz != RATE_HZ:
                raise DeviceError(f"it stays at {rate_hz} Hz instead of {RATE_HZ} Hz; set the output rate in its app")
        yield Subscribe(DATA_UUID)
        yield Write(CONTROL_UUID, _START)
        state = yield Read(CONTROL_UUID)
        if state != _START:
            raise DeviceError(f"it does not start (its control says {state.hex(' ')}); switch it off and on")

    def stop(self) -> Talk:
        """Measure no more."""
        yield Write(CONTROL_UUID, _STOP)

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """The sample in a notification, and what was lost before it."""
        if uuid != DATA_UUID:
            return [CorruptPacket(f"no data characteristic: {uuid}", received_ns)]
        if len(data) not in (_PACKET.size, _FULL_SIZE):
            what = "truncated" if len(data) < _PACKET.size else "over-long"
            return [CorruptPacket(f"{what}: {len(data)} bytes, a sample has {_PACKET.size}", received_ns)]
        if any(data[_PACKET.size :]):
            return [CorruptPacket("over-long: what follows the sample is not zero", received_ns)]
        stamp_us, *values = _PACKET.unpack_from(data)
        sample = np.array([values]) * _SI
        magnitude = np.abs(sample) / _RANGES
        if not (magnitude <= PLAUSIBLE_SHARE).all():  # so that NaN fails too
            return [CorruptPacket("a value is beyond the sensor's range", received_ns)]
        placed = self._clock.place(1, stamp_us * 1000, received_ns)
        if isinstance(placed, CorruptPacket | DuplicatePacket):
            return [placed]
        block = Block(
            first_sample_index=placed.first_sample_index,
            device_time_ns=placed.device_time_ns,
            samples=sample.astype(np.float32).reshape(1, N_CHANNELS),
            saturated=np.any(magnitude >= LIMIT_SHARE, axis=1),
            received_ns=received_ns,
        )
        return [*placed.preceding(received_ns), block]


def _action(control: bytes) -> int:
    if len(control) != len(_START):
        raise DeviceError(f"its control has {len(control)} bytes, not {len(_START)}; update the sensor's firmware")
    return control[1]


def _rate_hz(settings: bytes) -> int:
    if len(settings) != _SETTINGS_SIZE:
        raise DeviceError(
            f"its settings have {len(settings)} bytes instead of {_SETTINGS_SIZE}; update the sensor's firmware"
        )
    rate_hz: int = _U16.unpack_from(settings, _RATE_OFFSET)[0]
    return rate_hz


def _with_rate(settings: bytes) -> bytes:
    """The same settings, of which only the rate is to be taken over (table 7, "visit index")."""
    return bytes([_VISIT_RATE]) + settings[1:_RATE_OFFSET] + _U16.pack(RATE_HZ) + settings[_RATE_OFFSET + 2 :]


def _fits(advert: Advert) -> bool:
    return advert.name.casefold().startswith(NAMES) or COMPANY_ID in advert.manufacturer_ids


KIND: Final = DeviceKind(
    key="movella-dot",
    title="Movella DOT (Xsens DOT), rate quantities",
    source="Movella DOT BLE Services Specifications, XD0506P, revision C (2023)",
    is_verified=False,
    rate_hz=RATE_HZ,
    acc_range_g=ACC_RANGE_G,
    gyr_range_deg_s=GYR_RANGE_DEG_S,
    axes="right-handed, as drawn in the Movella DOT user manual XD0502P",
    losses=Losses.CLOCK,
    fits=_fits,
    make=MovellaDot,
    battery_uuid=BATTERY_UUID,
)
