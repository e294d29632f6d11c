"""What a description of a sensor may not say: refused with the field and the reason."""

from dataclasses import replace

import pytest

from firmware_bridge.devices.description import Channel, Clock, Counter, Number
from tests.firmware_bridge.devices.test_described import PLAIN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name_prefix": "", "service_uuid": ""}, "by which the sensor is known"),
        ({"rate_hz": 0.0}, "rate_hz = 0; it must be above 0"),
        ({"rate_hz": float("nan")}, "rate_hz = nan"),
        ({"gyr_range_deg_s": -1.0}, "gyr_range_deg_s = -1"),
        ({"packet_bytes": 53}, "gyr_z ends at byte 54, but a packet has packet_bytes = 53"),
        ({"packet_bytes": 0}, "packet_bytes = 0; a notification has 1 to 512"),
        ({"samples_per_packet": 0}, "samples_per_packet = 0"),
        ({"stride_bytes": 0}, "stride_bytes is missing"),
        ({"channels": PLAIN.channels[:5]}, "5 channels; acc_x"),
        ({"counter": Counter(Number("u32", 51))}, "counter ends at byte 55"),
        ({"clock": Clock(Number("f64", 48), 1.0)}, "clock ends at byte 56"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(PLAIN, **change)  # type: ignore[arg-type]


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="type 'u24' is none of i8, u8"):
        Number("u24", 0)
    with pytest.raises(ValueError, match="offset of -1"):
        Number("u8", -1)
    with pytest.raises(ValueError, match="no floating-point"):
        Counter(Number("f32", 0))
    with pytest.raises(ValueError, match="modulo of 257"):
        Counter(Number("u8", 0), modulo=257)
    with pytest.raises(ValueError, match="tick of 0 ns"):
        Clock(Number("u8", 0), 0)
    with pytest.raises(ValueError, match="scale of 0"):
        Channel(Number("u8", 0), 0)
    assert Counter(Number("u8", 0), modulo=256).wrap == Counter(Number("u8", 0)).wrap == 256
