"""Boards of STMicroelectronics with the BlueST protocol: the characteristic of raw motion, by a `Description`.

A notification is u16 tick · acc xyz in mg · gyr xyz in 0.1 deg/s · mag xyz in mGauss, all i16, little-endian: one
sample (UM2496, and ``AccGyroMag_Update`` of ST's function packs FP-SNS-ALLMEMS1 and FP-SNS-MOTENV1). The tick is
``HAL_GetTick() >> 3``, so 8 ms; both come from the same crystal as the timer that sends, at 20 Hz as the packs are
built. A board whose firmware was built otherwise needs a description of its own, see ``docs/sensors.md``.

Not verified: ST's SDKs test the decoding of single vectors, but no whole notification was found.
"""

import math
from dataclasses import replace
from typing import Final

from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from firmware_bridge.device import Advert
from firmware_bridge.devices.described import described_kind
from firmware_bridge.devices.description import Channel, Clock, Description, Number

SERVICE_UUID: Final = "00000000-0001-11e1-9ab4-0002a5d5c51b"
MOTION_UUID: Final = "00e00000-0001-11e1-ac36-0002a5d5c51b"
_TICK_NS: Final = 8_000_000.0
_ST_COMPANY: Final = 0x0030
"""In an advertisement of version 2."""
_BOARDS: Final = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x80)
"""WESU1, SensorTile, BlueCoin, BlueNRG-2 board, BlueNRG-Tile, SensorTile.box, Nucleo (README of BlueSTSDK)."""
_MANUFACTURER_IDS: Final = frozenset({_ST_COMPANY, *(board << 8 | 0x01 for board in _BOARDS)})
"""In version 1 the version, 1, and the board stand where others have their company's number."""


def _vector(first_byte: int, si_per_count: float) -> tuple[Channel, ...]:
    return tuple(Channel(Number("i16", first_byte + 2 * axis), si_per_count) for axis in range(3))


DESCRIPTION: Final = Description(
    key="st-bluest",
    title="ST BlueST boards, raw motion",
    data_uuid=MOTION_UUID,
    rate_hz=20.0,
    acc_range_g=2.0,
    gyr_range_deg_s=2000.0,
    channels=_vector(2, STANDARD_GRAVITY_M_S2 / 1000) + _vector(8, math.radians(0.1)),
    packet_bytes=20,
    service_uuid=SERVICE_UUID,
    clock=Clock(Number("u16", 0), _TICK_NS),
    axes="the board's own, as printed on it",
    source="UM2496; BlueSTSDK_Python; FP-SNS-ALLMEMS1",
)


def _fits(advert: Advert) -> bool:
    return SERVICE_UUID in advert.service_uuids or not _MANUFACTURER_IDS.isdisjoint(advert.manufacturer_ids)


KIND: Final = replace(described_kind(DESCRIPTION), fits=_fits)
