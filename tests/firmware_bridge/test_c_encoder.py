"""The C header for firmware holds, byte for byte, what the Python codec says: on random input, in one process."""

import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge import packet_v1
from firmware_bridge.packet_v1 import Answer, Command, DataPacket, Frame, Info, Op, PacketError, Side, Status

HEADER = Path(packet_v1.__file__).parent / "c" / "frailedge_v1.h"
N_CASES = 2000
COMPILER = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)

# Reads cases, each a byte for the kind and a byte for the length of its payload, and writes for each a byte for the
# length of what the header makes of it, and that.
DRIVER = r"""
#include <stdio.h>
#include <string.h>
#include "frailedge_v1.h"

static size_t run(int kind, const uint8_t *in, size_t n, uint8_t *out)
{
    int16_t counts[FE1_CHANNELS * 255];
    struct fe1_info info;
    struct fe1_command command;
    enum fe1_status status;
    size_t i;

    switch (kind) {
    case 'D': /* seq, index, time, n_samples, capacity, counts */
        for (i = 0; 12 + 2 * i < n; i++) {
            counts[i] = (int16_t)fe1_get16(in + 12 + 2 * i);
        }
        return fe1_data(out, in[11], fe1_get16(in), fe1_get32(in + 2), fe1_get32(in + 6), counts, in[10]);
    case 'I':
        info.n_samples = in[0];
        info.rate_tenth_hz = fe1_get16(in + 1);
        info.acc_lsb_per_g = fe1_get16(in + 3);
        info.gyr_lsb_per_10_deg_s = fe1_get16(in + 5);
        info.boot_id = fe1_get32(in + 7);
        info.side = in[11];
        info.frame = in[12];
        return fe1_info(out, &info);
    case 'C':
        status = fe1_command(&command, in, n);
        fe1_answer(out, command.op, status);
        fe1_put16(out + 2, command.rate_tenth_hz);
        fe1_put16(out + 4, command.acc_g);
        fe1_put16(out + 6, command.gyr_deg_s);
        fe1_put32(out + 8, command.token);
        return 12;
    default:
        return fe1_echo(out, fe1_get32(in), fe1_get32(in + 4));
    }
}

int main(void)
{
    uint8_t in[256], out[256];
    int kind, n;
    size_t n_out;

    while ((kind = getchar()) != EOF && (n = getchar()) != EOF && fread(in, 1, (size_t)n, stdin) == (size_t)n) {
        memset(out, 0xEE, sizeof out);
        n_out = run(kind, in, (size_t)n, out);
        putchar((int)n_out);
        fwrite(out, 1, n_out, stdout);
    }
    return 0;
}
"""

Run = Callable[[bytes, list[bytes]], list[bytes]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Many cases of one kind through the compiled header."""
    if COMPILER is None:
        pytest.skip("no C compiler: neither cc, gcc nor clang is installed")
    folder = tmp_path_factory.mktemp("c")
    (folder / "driver.c").write_text(DRIVER, encoding="utf-8")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{HEADER.parent}"]
    built = subprocess.run(
        [COMPILER, *flags, "-o", "driver", "driver.c"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr

    def cases(kind: bytes, payloads: list[bytes]) -> list[bytes]:
        given = b"".join(kind + bytes([len(payload)]) + payload for payload in payloads)
        done = subprocess.run([folder / "driver"], input=given, capture_output=True, check=True).stdout
        results = []
        while done:
            results.append(done[1 : 1 + done[0]])
            done = done[1 + done[0] :]
        assert len(results) == len(payloads)
        return results

    return cases


def test_data_packets_of_every_length_are_those_of_the_python_codec(run: Run) -> None:
    source = np.random.default_rng(1)
    payloads, expected = [], []
    for case in range(N_CASES):
        seq, index, t_us = (int(source.integers(0, high)) for high in (2**16, 2**32, 2**32))
        n_samples = 1 + case % 19
        counts = source.integers(-32768, 32768, (n_samples, 6)).astype("<i2")
        payloads.append(struct.pack("<HIIBB", seq, index, t_us, n_samples, 240) + counts.tobytes())
        expected.append(bytes(DataPacket(seq, index, t_us, counts)))
    assert run(b"D", payloads) == expected


@pytest.mark.parametrize(
    ("n_samples", "capacity"), [(0, 240), (20, 255), (255, 255), (4, 59), (19, 239), (1, 23), (1, 0)]
)
def test_data_that_does_not_fit_is_no_packet(run: Run, n_samples: int, capacity: int) -> None:
    assert run(b"D", [struct.pack("<HIIBB", 0, 0, 0, n_samples, capacity)]) == [b""]


def test_infos_are_those_of_the_python_codec_and_refused_where_it_refuses(run: Run) -> None:
    source = random.Random(2)
    payloads, expected = [], []
    for _ in range(N_CASES):
        n_samples, rate, acc, gyr = source.randrange(22), *(source.choice((0, 1, 65535, 1040)) for _ in range(3))
        boot_id, side, frame = source.getrandbits(32), source.randrange(4), source.randrange(3)
        payloads.append(struct.pack("<BHHHIBB", n_samples, rate, acc, gyr, boot_id, side, frame))
        try:
            expected.append(bytes(Info(boot_id, n_samples, rate, acc, gyr, Side(side), Frame(frame))))
        except ValueError:
            expected.append(b"")
    assert any(expected)
    assert not all(expected)
    assert run(b"I", payloads) == expected


def test_commands_are_read_and_refused_as_the_python_codec_does(run: Run) -> None:
    source = random.Random(3)
    payloads = [source.randbytes(source.randrange(8)) for _ in range(N_CASES)]
    payloads += [bytes([op]) + source.randbytes(n) for op in range(8) for n in range(7) for _ in range(10)]
    read = run(b"C", payloads)
    assert read == [_expected(payload) for payload in payloads]
    assert {answer[1] for answer in read} == {Status.DONE, Status.UNKNOWN, Status.BAD_VALUE}


def _expected(payload: bytes) -> bytes:
    op = payload[0] if payload else 0
    try:
        command = Command.from_bytes(payload)
    except PacketError:
        status = Status.BAD_VALUE if op in list(Op) else Status.UNKNOWN
        return bytes(Answer(op, status)) + bytes(10)
    values = {Op.SET_RATE: (0,), Op.SET_RANGES: (1, 2), Op.TIME_ECHO: (3,)}.get(command.op, ())
    members = [0, 0, 0, 0]
    for place, argument in zip(values, command.arguments, strict=True):
        members[place] = argument
    return bytes([op, Status.DONE]) + struct.pack("<HHHI", *members)


def test_time_echoes_are_those_of_the_python_codec(run: Run) -> None:
    source = random.Random(4)
    pairs = [(source.getrandbits(32), source.getrandbits(32)) for _ in range(N_CASES)]
    expected = [bytes(Answer(Op.TIME_ECHO, Status.DONE, token, t_us)) for token, t_us in pairs]
    assert run(b"E", [struct.pack("<II", *pair) for pair in pairs]) == expected


def test_the_header_names_the_uuids_of_the_python_codec() -> None:
    text = HEADER.read_text(encoding="utf-8")
    for name in ("SERVICE", "DATA", "CONTROL", "INFO"):
        assert f'#define FE1_{name}_UUID "{getattr(packet_v1, f"{name}_UUID")}"' in text
