"""Nordic Thingy:52: the talk that makes it stream raw motion data, and what those bytes mean.

Notifications of its raw data characteristic enter, events leave. The sensor says neither time nor number, so samples
are numbered by `firmware_bridge.devices.counting`; a notification of the wrong length is one lost sample.

::

    config (read, write)  u16 step counter, u16 temperature, u16 magnetometer (ms) · u16 rate (Hz) · u8 wake on motion
    raw (notify)          3 × i16 acc (1/1024 g) · 3 × i16 gyr (1/32 deg/s) · 3 × i16 magnetic field

Two things the table does not say, both in the firmware's ``drv_motion.c`` and ``m_motion.c``: the accelerometer is
turned upside down against the gyroscope (it shows the pull of gravity, not the push of the table), which is undone
here; and it measures ±2 g, so the strikes of a walking foot saturate.
"""

import math
import struct
from typing import Final

import numpy as np

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2
from firmware_bridge.device import Advert, DeviceError, DeviceKind, Losses, Read, StreamInfo, Subscribe, Talk, Write
from firmware_bridge.devices.counting import SampleCounter
from firmware_bridge.events import CorruptPacket, Event

ADVERTISED_UUID: Final = "ef680100-9b35-4933-9b10-52ffa9740042"
CONFIG_UUID: Final = "ef680401-9b35-4933-9b10-52ffa9740042"
RAW_UUID: Final = "ef680406-9b35-4933-9b10-52ffa9740042"

RATE_HZ: Final = 100
ACC_RANGE_G: Final = 2.0
GYR_RANGE_DEG_S: Final = 1023.0
"""The chip's range is 2000 deg/s; the firmware clips to 1023 (upwards) and 1024 (downwards) to fit the format."""

_CONFIG: Final = struct.Struct("<HHHHB")
_RAW_DTYPE: Final = np.dtype("<i2")
_RAW_BYTES: Final = 18
_ACC_SATURATED_COUNTS: Final = 2048 - 83
"""The firmware takes an estimated bias off after the chip clipped; the chip's may be 80 mg (MPU-9250 data sheet)."""
_GYR_LOW: Final = -32768
_GYR_HIGH: Final = 1023 * 32
_SCALE: Final = np.empty(N_CHANNELS, np.float32)
_SCALE[ACC] = -STANDARD_GRAVITY_M_S2 / 1024
_SCALE[GYR] = math.radians(1 / 32)
_SCALE.setflags(write=False)


class Thingy52:
    """One Thingy:52 over any number of connections."""

    def __init__(self) -> None:
        self._counter = SampleCounter(RATE_HZ)

    @property
    def stream(self) -> StreamInfo:
        """The same for each one."""
        return StreamInfo(
            rate_hz=RATE_HZ,
            samples_per_packet=1,
            acc_range_m_s2=ACC_RANGE_G * STANDARD_GRAVITY_M_S2,
            gyr_range_rad_s=math.radians(GYR_RANGE_DEG_S),
            has_clock=False,
        )

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Set the rate, leave the rest of the configuration, subscribe."""
        config = yield Read(CONFIG_UUID)
        if len(config) != _CONFIG.size:
            raise DeviceError(
                f"the Thingy's motion configuration has {len(config)} bytes, not {_CONFIG.size}: update its firmware"
            )
        step_ms, temperature_ms, magnetometer_ms, rate_hz, wakes = _CONFIG.unpack(config)
        if rate_hz != RATE_HZ:
            # Each write goes to its flash, so only where it changes something.
            yield Write(CONFIG_UUID, _CONFIG.pack(step_ms, temperature_ms, magnetometer_ms, RATE_HZ, wakes))
        self._counter.interrupted()
        yield Subscribe(RAW_UUID)

    def stop(self) -> Talk:
        """Nothing: it measures only while somebody is subscribed."""
        yield from ()

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """A notification of the raw data characteristic."""
        if uuid != RAW_UUID:
            return []
        if len(data) != _RAW_BYTES:
            self._counter.missed(1)
            return [CorruptPacket(f"raw motion data of {len(data)} bytes, not {_RAW_BYTES}", received_ns)]
        counts = np.frombuffer(data, _RAW_DTYPE, N_CHANNELS).reshape(1, N_CHANNELS)
        acc, gyr = counts[:, ACC].astype(np.int32), counts[:, GYR]
        saturated = (np.abs(acc) >= _ACC_SATURATED_COUNTS).any(axis=1)
        saturated |= ((gyr == _GYR_LOW) | (gyr >= _GYR_HIGH)).any(axis=1)
        return self._counter.deliver(counts * _SCALE, saturated, received_ns)


def fits(advert: Advert) -> bool:
    """By the configuration service, which it advertises; the name is its owner's to change."""
    return ADVERTISED_UUID in advert.service_uuids


KIND: Final = DeviceKind(
    key="thingy52",
    title="Nordic Thingy:52",
    source="NordicSemiconductor/Nordic-Thingy52-FW: documentation/firmware_architecture.html, "
    "m_motion.c, drv_motion.c; bytes of a Thingy on a table: Nordic DevZone 47415",
    is_verified=True,
    rate_hz=RATE_HZ,
    acc_range_g=ACC_RANGE_G,
    gyr_range_deg_s=GYR_RANGE_DEG_S,
    axes="those of its gyroscope chip (MPU-9250), in the acceleration too; "
    "z points into the table when it lies with the logo up",
    losses=Losses.ESTIMATED,
    fits=fits,
    make=Thingy52,
)
