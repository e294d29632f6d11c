"""Polar's frames, byte for byte as in the unit tests of Polar's SDK (polarofficial/polar-ble-sdk).

The bytes and what they mean are those of ``AccDataTest.kt`` and ``GyrDataTest.kt``, under
``sources/Android/android-communications/library/src/test/…/pmd/model/``. Only the stamp of the first gyroscope
frame is that of the second: its own, 2⁶³ - 1, is later than this decoder believes.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.polar_frames import FrameError, Scale, parse_frame
from firmware_bridge.peripherals.polar import PolarPeripheral

SDK_FACTOR = 2.44e-4
SCALES = {2: Scale(SDK_FACTOR, 8), 5: Scale(1.0, 2000)}

ACC_COMPRESSED_0 = bytes.fromhex(
    "02 0094357700000000 80"
    "7107F06A9E8D 0A38"
    "BE5CBEBA2F96B3EE4BE5ADFB42B9EBBE4CFEBA2F92BFEE4BE4B1FB12B9ECBD3C3EBB2F8FD3DE4BE3B5F7D2B8EDBD307E7B2F8BE3CE8BE2BAF7"
    "A2B8EEBC20BE7B2F88F3CECBE1BDEF52F8EFBC18FE3B2F8403BFCBE0C2EF32B8F0BB044EBC2E8113AF0BE0C6EFF2F7F1B9FC7DBC2E7D279F4BDF"
    "CAEBC2F7F2B8ECCD7C2E7B378F4BDECEE392F7F3B8E00DFD2D774B7FCBDDD2DF6237F5B7D44DBD2D745B6FCBDCD7D73237F6B5C88D7D2D716B4F"
    "4BDCDCD3F236F7B4BCDDFD2C6F7B3F4BDBE0CFD236F8B2B02DBE2C6C8F1FCBDAE3C7A276F9"
)
"""A first sample and 56 deltas of 10 bits."""
ACC_COMPRESSED_1 = bytes.fromhex("02 6500000000000000 81 F1FF1400F003 0601 7B0F08")
ACC_RAW_1 = bytes.fromhex("02 0094357700000000 01 F7FFFFFFE703 F8FFFEFFE503 F9FFFFFFE503")
"""The first three samples of the SDK's 37."""
ACC_NARROW = bytes.fromhex(
    "02 0094357700000000 80 5DFF9800FD0F 062A"
    "F2B013ECA11B3EC3D0407FCD4071D8F34D00463F087B9FD73AAF3852A613ED3E130991DCFAEEEF3E5410E28F7785EEF24C7E04879CFCD22F10FD"
    "4FEFFE21FFC28104035F1345D1084ADFBFB551447B50F739A1102E6F18F79F1C364D1B0D03"
)
"""The first sample and the first block, 42 deltas of 6 bits, of ``measurementFrameAccType0Short``: the SDK's ends
within its second block."""
GYR_COMPRESSED_0 = bytes.fromhex("05 0094357700000000 80 EAFF08000D00 0301 DF00")
GYR_COMPRESSED_1 = bytes.fromhex(
    "05 0094357700000000 81 0000803F000020410000A041 1C01 0000A00100000 8CDCCEC0D".replace(" ", "")
)


def test_deltas_of_ten_bits_are_decoded_as_the_sdk_does() -> None:
    frame = parse_frame(ACC_COMPRESSED_0, SCALES)
    assert (frame.kind, frame.stamp_ns, frame.values.shape) == (2, 2_000_000_000, (57, 3))
    first = [1905, 27376, -29282]
    np.testing.assert_allclose(frame.values[0] / SDK_FACTOR, first)
    np.testing.assert_allclose(frame.values[1] / SDK_FACTOR, [1905 + 190, 27376 - 105, -29282 - 85])
    assert np.abs(frame.values).max() <= 8


def test_compressed_milligravities_are_decoded_as_the_sdk_does() -> None:
    frame = parse_frame(ACC_COMPRESSED_1, {2: Scale(1.0, 8)})
    np.testing.assert_allclose(frame.values * 1000, [[-15, 20, 1008], [-20, 17, 1008]])
    assert frame.stamp_ns == 101


def test_raw_milligravities_are_decoded_as_the_sdk_does() -> None:
    frame = parse_frame(ACC_RAW_1, SCALES)
    np.testing.assert_allclose(frame.values * 1000, [[-9, -1, 999], [-8, -2, 997], [-7, -1, 997]])


def test_deltas_of_six_bits_are_decoded_too() -> None:
    frame = parse_frame(ACC_NARROW, SCALES)
    assert frame.values.shape == (1 + 42, 3)
    np.testing.assert_allclose(frame.values[0] / SDK_FACTOR, [-163, 152, 4093])
    # 0xF2, 0xB0, 0x13, lowest bits first, in sixes: 110010 = -14, 000011 = 3, 111011 = -5.
    np.testing.assert_allclose(frame.values[1] / SDK_FACTOR, [-163 - 14, 152 + 3, 4093 - 5])


def test_blocks_of_several_widths_follow_one_another() -> None:
    """Blocks of the SDK's vectors in a row: deltas -1, 3, 3 of 3 bits, then -5, -3, 0 of 6 bits, then again."""
    frame = parse_frame(GYR_COMPRESSED_0 + bytes.fromhex("0601 7B0F08 0000 0301 DF00"), SCALES)
    expected = [[-22, 8, 13], [-23, 11, 16], [-28, 8, 16], [-29, 11, 19]]
    np.testing.assert_array_equal(frame.values, expected)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_rotation_is_decoded_as_the_sdk_does(factor: float) -> None:
    scales = {5: Scale(factor, 2000)}
    counts = np.array([[-22, 8, 13], [-23, 11, 16]])
    np.testing.assert_array_equal(parse_frame(GYR_COMPRESSED_0, scales).values, counts * factor)
    floats = np.array(
        [[0x3F800000, 0x41200000, 0x41A00000], [0x3F800000 + 0x1A00000, 0x41200000 + 0x800000, 0x3F8CCCCD]], np.uint32
    ).view(np.float32)
    np.testing.assert_array_equal(parse_frame(GYR_COMPRESSED_1, scales).values, floats * factor)


@pytest.mark.parametrize(
    ("frame_type", "data", "expected_mg"),
    [(0, "81 00 7f", [-127, 0, 127]), (1, "0180 0000 ff7f", [-32767, 0, 32767]), (2, "ffffff 000100 0100ff", None)],
)
def test_raw_samples_have_one_two_or_three_bytes(frame_type: int, data: str, expected_mg: list[int] | None) -> None:
    values = parse_frame(b"\x02" + bytes(8) + bytes([frame_type]) + bytes.fromhex(data), {2: Scale(1.0, 40)}).values
    np.testing.assert_allclose(values[0] * 1000, expected_mg or [-1, 256, -65535])


def test_the_ends_of_the_counts_and_of_the_range_are_marked() -> None:
    counts = np.array([[32767, 0, 0], [0, -32768, 0], [0, 0, 32766]], "<i2")
    saturated = parse_frame(b"\x05" + bytes(9) + counts.tobytes(), {5: Scale(0.061, 2000)}).saturated
    assert saturated.tolist() == [True, True, False]
    milli = np.array([[8000, 0, 0], [0, -8000, 0], [7999, 0, 0]], "<i2")
    assert parse_frame(b"\x02" + bytes(8) + b"\x01" + milli.tobytes(), SCALES).saturated.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ACC_RAW_1[:9], "truncated: 9 bytes, the header alone has 10"),
        (ACC_RAW_1[:10], "0 bytes of samples"),
        (ACC_RAW_1[:-1], "17 bytes of samples, not a multiple of 6"),
        (GYR_COMPRESSED_0[:15], "the first sample alone has 6"),
        (GYR_COMPRESSED_0[:17], "half the head"),
        (GYR_COMPRESSED_0[:19], "ends 1 bytes further"),
        (GYR_COMPRESSED_0 + b"\0", "half the head"),
        (GYR_COMPRESSED_0[:16] + b"\x00\x05", "deltas of 0 bits"),
        (GYR_COMPRESSED_0[:16] + b"\x21\x01" + bytes(13), "deltas of 33 bits"),
        (b"\x05" + bytes(8) + b"\x80" + b"\xff\x7f" * 3 + b"\x02\x01\x15", "out of 16 bits"),
        (b"\x01" + ACC_RAW_1[1:], "measurement type 1 was not started"),
        (b"\x02" + bytes(8) + b"\x03" + bytes(6), "unknown frame type 0x03"),
        (b"\x05" + bytes(8) + b"\x81" + b"\0\0\xc0\x7f" * 3, "not finite"),
        (b"\x05" + bytes(8) + b"\x81" + b"\1\0\x80\xff" * 3, "not finite"),
        (b"\x05" + bytes(8) + b"\x81" + b"\0\0\x80\x45" * 3, "far beyond the sensor's range"),
        (b"\x02" + b"\xff" * 8 + b"\x01" + bytes(6), "beyond any clock"),
    ],
)
def test_what_is_no_frame_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        parse_frame(data, SCALES)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.01, 1, 30, 1000]), is_compressed=st.booleans())
def test_what_the_virtual_sensor_packs_is_what_is_decoded(seed: int, scale: float, is_compressed: bool) -> None:
    samples = (np.random.default_rng(seed).normal(0, scale, (34, 6))).astype(np.float32)
    peripheral = PolarPeripheral(lambda _rate_hz: iter(()), is_compressed=is_compressed)
    time_us = np.arange(34, dtype=np.int64) * 19231
    scales = {2: Scale(8 / 32768, 8), 5: Scale(2000 / 32768, 2000)}
    for (_, data), columns, unit in zip(
        peripheral.pack(samples, 0, time_us), (slice(0, 3), slice(3, 6)), (9.80665, np.pi / 180), strict=True
    ):
        assert len(data) <= 244
        frame = parse_frame(data, scales)
        full = scales[frame.kind].full
        # Polar's raw acceleration is in whole mg.
        step = 1e-3 if frame.kind == 2 and not is_compressed else scales[frame.kind].factor
        expected = np.clip(samples[:, columns].astype(np.float64) / unit, -full, full)
        assert np.abs(frame.values - expected).max() <= step * 1.001
        is_inside = (np.abs(expected) < full - 2 * step).all(axis=1)
        assert (frame.saturated == ~is_inside)[is_inside | (np.abs(expected) == full).any(axis=1)].all()


def test_a_chopped_compressed_frame_is_corrupt_but_where_a_block_ends() -> None:
    samples = np.random.default_rng(0).normal(0, 5, (34, 6)).astype(np.float32)
    peripheral = PolarPeripheral(lambda _rate_hz: iter(()))
    (_, data), _ = peripheral.pack(samples, 0, np.arange(34, dtype=np.int64))
    whole = parse_frame(data, SCALES).values
    read = []
    for n_bytes in range(len(data)):
        try:
            read.append(parse_frame(data[:n_bytes], SCALES).values)
        except FrameError:
            continue
    assert [len(values) for values in read] == [1, 12, 23]
    for values in read:
        np.testing.assert_array_equal(values, whole[: len(values)])
