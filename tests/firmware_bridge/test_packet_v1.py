"""Packet v1 against bytes written out by hand from the layout table, and there and back for all values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from numpy.typing import NDArray

from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    SERVICE_UUID,
    Answer,
    Command,
    DataPacket,
    Frame,
    Info,
    Op,
    PacketError,
    Side,
    Status,
)

U8 = st.integers(0, 0xFF)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)
COUNTS = st.integers(1, 19).flatmap(lambda n_samples: st_np.arrays(np.int16, (n_samples, 6)))

DATA_BYTES = bytes.fromhex(
    "11 02 3412 efcdab89 15cd5b07"  # version 1 type 1, two samples, sequence, sample index, time
    "0100 ffff 0008 0080 ff7f a400"
    "0000 0100 0200 0300 0400 0500"
)
DATA = DataPacket(
    packet_seq=0x1234,
    first_sample_index=0x89ABCDEF,
    t_first_us=123_456_789,
    counts=np.array([[1, -1, 2048, -32768, 32767, 164], [0, 1, 2, 3, 4, 5]], np.int16),
)
INFO_BYTES = bytes.fromhex("01 04 1004 0008 a400 efbeadde 01 01 0000")
INFO = Info(
    boot_id=0xDEADBEEF,
    n_samples=4,
    rate_tenth_hz=1040,
    acc_lsb_per_g=2048,
    gyr_lsb_per_10_deg_s=164,
    side=Side.LEFT,
    frame=Frame.FOOT,
)


def test_a_data_packet_has_the_bytes_of_the_layout_table() -> None:
    assert bytes(DATA) == DATA_BYTES
    assert DataPacket.from_bytes(DATA_BYTES) == DATA
    assert hash(DataPacket.from_bytes(DATA_BYTES)) == hash(DATA)
    assert DataPacket(0x1235, DATA.first_sample_index, DATA.t_first_us, DATA.counts) != DATA
    assert DATA != DATA_BYTES


def test_an_info_has_the_bytes_of_the_layout_table() -> None:
    assert bytes(INFO) == INFO_BYTES
    assert Info.from_bytes(INFO_BYTES) == INFO


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (Command.start(), "01"),
        (Command.stop(), "02"),
        (Command.set_rate(1280), "03 0005"),
        (Command.set_ranges(16, 2000), "04 1000 d007"),
        (Command.time_echo(0xDEADBEEF), "05 efbeadde"),
    ],
)
def test_a_control_write_has_the_bytes_of_the_layout_table(command: Command, written: str) -> None:
    assert bytes(command) == bytes.fromhex(written)
    assert Command.from_bytes(bytes.fromhex(written)) == command


@pytest.mark.parametrize(
    ("answer", "indicated"),
    [
        (Answer(Op.START, Status.DONE), "01 00"),
        (Answer(9, Status.UNKNOWN), "09 01"),
        (Answer(Op.SET_RATE, Status.BAD_VALUE), "03 02"),
        (Answer(Op.TIME_ECHO, Status.BUSY), "05 03"),
        (Answer(Op.TIME_ECHO, Status.DONE, 0xDEADBEEF, 123_456_789), "05 00 efbeadde 15cd5b07"),
    ],
)
def test_an_indication_has_the_bytes_of_the_layout_table(answer: Answer, indicated: str) -> None:
    assert bytes(answer) == bytes.fromhex(indicated)
    assert Answer.from_bytes(bytes.fromhex(indicated)) == answer


def test_the_uuids_are_those_of_the_gatt_table() -> None:
    tail = "-8a3b-4c0e-9d57-2b6a1f3e7c90"
    assert [f"6f1d000{n}{tail}" for n in (1, 2, 3, 4)] == [SERVICE_UUID, DATA_UUID, CONTROL_UUID, INFO_UUID]


def test_default_scales_are_those_of_16_g_and_2000_deg_per_second() -> None:
    scale = Info(boot_id=0).si_per_count
    np.testing.assert_allclose(scale[:3] * 2048, 9.80665, rtol=1e-6)
    np.testing.assert_allclose(scale[3:] * 16.4, math.pi / 180, rtol=1e-6)
    assert scale.dtype == np.float32


def test_the_default_packet_has_60_bytes() -> None:
    assert len(bytes(DataPacket(0, 0, 0, np.zeros((Info(boot_id=0).n_samples, 6), np.int16)))) == 60


@given(packet_seq=U16, index=U32, t_us=U32, counts=COUNTS)
def test_any_data_packet_survives_the_way_there_and_back(
    packet_seq: int, index: int, t_us: int, counts: NDArray[np.int16]
) -> None:
    packet = DataPacket(packet_seq, index, t_us, counts)
    back = DataPacket.from_bytes(bytes(packet))
    assert (back.packet_seq, back.first_sample_index, back.t_first_us) == (packet_seq, index, t_us)
    np.testing.assert_array_equal(back.counts, counts)


@given(
    st.builds(
        Info,
        boot_id=U32,
        n_samples=st.integers(1, 19),
        rate_tenth_hz=st.integers(1, 0xFFFF),
        acc_lsb_per_g=st.integers(1, 0xFFFF),
        gyr_lsb_per_10_deg_s=st.integers(1, 0xFFFF),
        side=st.sampled_from(Side),
        frame=st.sampled_from(Frame),
    )
)
def test_any_info_survives_the_way_there_and_back(info: Info) -> None:
    assert Info.from_bytes(bytes(info)) == info


@given(
    st.one_of(
        st.builds(Command.set_rate, U16), st.builds(Command.set_ranges, U16, U16), st.builds(Command.time_echo, U32)
    )
)
def test_any_command_survives_the_way_there_and_back(command: Command) -> None:
    assert Command.from_bytes(bytes(command)) == command


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_come_back_as_they_were(data: bytes) -> None:
    for kind in (DataPacket, Info, Command, Answer):
        try:
            value = kind.from_bytes(data)
        except PacketError:
            continue
        assert bytes(value) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated: 0 bytes"),
        (DATA_BYTES[:11], "truncated: 11 bytes"),
        (DATA_BYTES[:-1], "truncated: 35 bytes, 2 samples need 36"),
        (DATA_BYTES + b"\0", "over-long: 37 bytes, 2 samples need 36"),
        (b"\x21" + DATA_BYTES[1:], "unknown version: first byte 0x21"),
        (b"\x12" + DATA_BYTES[1:], "unknown type: first byte 0x12"),
        (b"\x11\x00" + DATA_BYTES[2:12], "n_samples must be 1 to 19, got 0"),
        (b"\x11\x14" + DATA_BYTES[2:12] + bytes(20 * 12), "n_samples must be 1 to 19, got 20"),
    ],
)
def test_bytes_that_are_no_data_packet_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        DataPacket.from_bytes(data)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, 2, "unknown version: 2"),
        (1, 0, "n_samples must be 1 to 19, got 0"),
        (1, 20, "n_samples must be 1 to 19, got 20"),
        (12, 3, "side must be 0 to 2, got 3"),
        (13, 2, "frame must be 0 to 1, got 2"),
        (15, 1, "reserved must be 0 to 0, got 256"),
    ],
)
def test_an_info_with_a_wrong_byte_is_refused_with_the_reason(at: int, value: int, reason: str) -> None:
    data = bytearray(INFO_BYTES)
    data[at] = value
    with pytest.raises(PacketError, match=reason):
        Info.from_bytes(bytes(data))


@pytest.mark.parametrize(("at", "name"), [(2, "rate"), (4, "acc_lsb"), (6, "gyr_lsb")])
def test_an_info_without_rate_or_scale_is_refused(at: int, name: str) -> None:
    with pytest.raises(PacketError, match=f"{name}.* must be 1 to 65535, got 0"):
        Info.from_bytes(INFO_BYTES[:at] + b"\0\0" + INFO_BYTES[at + 2 :])


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_info_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PacketError, match=f"info has {length} bytes, not 16"):
        Info.from_bytes((INFO_BYTES + b"\0")[:length])


@pytest.mark.parametrize("written", ["", "00", "06", "0100", "03", "0300", "04100000", "05efbead", "05efbeadde00"])
def test_a_control_write_of_no_known_form_is_refused(written: str) -> None:
    with pytest.raises(PacketError):
        Command.from_bytes(bytes.fromhex(written))


@pytest.mark.parametrize(
    "indicated", ["", "01", "0104", "010000", "0100efbeadde15cd5b07", "0500", "0503efbeadde15cd5b07"]
)
def test_an_indication_of_no_known_form_is_refused(indicated: str) -> None:
    with pytest.raises(PacketError):
        Answer.from_bytes(bytes.fromhex(indicated))


@pytest.mark.parametrize(
    ("packet_seq", "index", "t_us", "counts"),
    [
        (-1, 0, 0, np.zeros((4, 6), np.int16)),
        (1 << 16, 0, 0, np.zeros((4, 6), np.int16)),
        (0, 1 << 32, 0, np.zeros((4, 6), np.int16)),
        (0, 0, 1 << 32, np.zeros((4, 6), np.int16)),
        (0, 0, 0, np.zeros((0, 6), np.int16)),
        (0, 0, 0, np.zeros((20, 6), np.int16)),
        (0, 0, 0, np.zeros((4, 3), np.int16)),
        (0, 0, 0, np.zeros((4, 6), np.int32)),
    ],
)
def test_a_data_packet_out_of_range_cannot_be_made(
    packet_seq: int, index: int, t_us: int, counts: NDArray[np.int16]
) -> None:
    with pytest.raises(PacketError):
        DataPacket(packet_seq, index, t_us, counts)


def test_a_command_out_of_range_cannot_be_made() -> None:
    with pytest.raises(PacketError, match="argument of SET_RATE must be 0 to 65535, got 65536"):
        Command.set_rate(65536)
    with pytest.raises(PacketError, match="START takes 0 arguments, got 1"):
        Command(Op.START, (1,))
