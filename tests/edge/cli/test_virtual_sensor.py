"""`frailedge virtual-sensor` as a process, met over TCP HCI by a central in this one."""

import asyncio
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ble.bumble_backend import open_backend
from edge.ble.sent import SentSamples, shortest
from edge.cli import virtual_sensor
from edge.errors import ConfigError
from edge.sources.files import read_recording
from firmware_bridge.channels import Samples
from firmware_bridge.device import DeviceKind
from firmware_bridge.devices import v1
from firmware_bridge.events import Block
from firmware_bridge.kinds import KINDS, PERIPHERALS
from firmware_bridge.peripheral import rehearse
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.virtual_sensor import Faults
from tests.ble.bumble_central import Central, find
from tests.ble.controllers import virtual_air
from tests.edge.cli.run import assert_refused, frailedge, start
from tests.full_disk import files_of_at_most

PATIENCE_S = 40.0


def noise(rate_hz: float) -> Iterator[Samples]:
    rng = np.random.default_rng(11)
    while True:
        yield rng.normal(0.0, 5.0, (round(rate_hz), 6)).astype(np.float32)


@asynccontextmanager
async def command(transport: str, *options: str | Path) -> AsyncIterator[subprocess.Popen[str]]:
    process = start(["virtual-sensor", "--transport", transport, *options])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


async def output(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it prints until it ends, while the air goes on."""
    return await asyncio.to_thread(process.communicate)


def test_a_real_process_is_found_streams_and_its_csv_replays_to_the_very_samples_received(tmp_path: Path) -> None:
    csv = tmp_path / "sent.csv"
    blocks: list[Block] = []

    async def scene() -> tuple[str, str]:
        async with asyncio.timeout(PATIENCE_S), virtual_air() as transport:
            options = ("--name", "FE-cli", "--speed", "10", "--drop-share", "0.05", "--csv", csv, "--battery", "9")
            async with command(transport, *options) as process, open_backend(transport) as backend:
                central = Central(backend, (await find(backend, "FE-cli"))[0])
                async with central.client as client:
                    device = v1.KIND.make()
                    await central.carry_out(device.start(0))
                    assert await client.read_gatt_char(v1.KIND.battery_uuid) == bytearray([9])
                    came = await central.take(100)
                    await central.carry_out(device.stop())
                    # The answer to stop comes after the last data.
                    await central.answers.get()
                    came += await central.take(central.came.qsize())
                blocks.extend(e for uuid, data in came for e in device.feed(uuid, data, 0) if isinstance(e, Block))
                process.send_signal(signal.SIGINT)
                out, err = await output(process)
                assert process.returncode == 0, err
                return out, err

    out, err = asyncio.run(scene())
    assert err == ""
    samples = np.concatenate([block.samples for block in blocks])
    time_ns = np.concatenate([block.device_time_ns for block in blocks])
    recording = read_recording(csv, sensor=str(csv.with_suffix(".toml")))
    assert recording.rate_hz == 104.0
    np.testing.assert_array_equal(recording.samples.view(np.uint32), samples.view(np.uint32))
    np.testing.assert_array_equal(recording.time_ns, time_ns - time_ns[0])
    assert "advertised as 'FE-cli' with 6f1d0001-8a3b-4c0e-9d57-2b6a1f3e7c90" in out
    taken, idle, sent, dropped, spoilt = map(
        int,
        re.search(r"taken (\d+), idle (\d+), sent (\d+), dropped (\d+), spoilt (\d+)", out).groups(),  # type: ignore[union-attr]
    )
    assert (taken, sent) == (idle + sent + dropped + spoilt, len(samples))
    assert dropped > 0
    assert f"written  {len(samples)} samples to {csv}" in out


def test_it_ends_by_itself_after_its_time_with_a_summary() -> None:
    async def scene() -> None:
        async with asyncio.timeout(PATIENCE_S), virtual_air() as transport:
            options = ("--kind", "thingy52", "--duration-s", "0.2", "--name", "A long name")
            async with command(transport, *options) as process:
                out, err = await output(process)
                assert (process.returncode, err) == (0, "")
                assert "the name 'A long name' has no room in an advertisement and was cut" in out
                assert "Summary: 0.2 s, 0 connections" in out

    asyncio.run(scene())


def test_a_controller_that_goes_away_ends_it_with_one_line_and_the_csv_is_whole(tmp_path: Path) -> None:
    csv = tmp_path / "sent.csv"

    async def scene() -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
            air = await stack.enter_async_context(AsyncExitStack())
            transport = await air.enter_async_context(virtual_air())
            process = await stack.enter_async_context(command(transport, "--name", "FE-gone", "--csv", csv))
            async with open_backend(transport) as backend:
                central = Central(backend, (await find(backend, "FE-gone"))[0])
                await central.client.connect()
                await central.carry_out(v1.KIND.make().start(0))
                await central.take(5)
                await air.aclose()
                _, err = await output(process)
            return process.returncode, err

    status, err = asyncio.run(scene())
    assert (status, err.count("\n")) == (2, 1)
    assert "the controller is gone" in err
    assert len(csv.read_text().splitlines()) >= 1 + 5 * 4


def test_without_a_transport_one_line_gives_examples() -> None:
    assert_refused(
        frailedge("virtual-sensor"), "--transport is missing", "usb:0 (a USB dongle", "tcp-client:127.0.0.1:6402"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transport": "bluetooth"}, "'bluetooth' is no HCI transport"),
        ({"kind": "shoe"}, "'shoe'.*known are frailedge-v1, movella-dot"),
        ({"rate_hz": 77.0}, "--rate-hz 77: .*26, 52, 104, 128, 208, 416 Hz"),
        ({"kind": "polar", "rate_hz": 104.0}, "--rate-hz 104: polar runs at the 52 Hz"),
        ({"battery": 101}, "--battery 101: must be 0 to 100"),
        ({"drop_share": 1.5}, "--drop-share 1.5: must be 0 to 1"),
        ({"speed": 0.0}, "--speed 0.0: must be above 0"),
        ({"silence_every_s": 5.0}, "how often and how long"),
        ({"name": "shoe"}, "FE-"),
        ({"walker": "nobody"}, "no such walker"),
        ({"csv": Path("/dev/null/sent.csv")}, r"/dev/null/sent\.toml: cannot be written"),
    ],
)
def test_what_a_user_gets_wrong_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        virtual_sensor.command(**{"transport": "tcp-client:127.0.0.1:1", **options})


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float32_gives_it_back_through_float64_too(value: float) -> None:
    exact = np.float32(value)
    assert np.float32(float(shortest(exact))).tobytes() == exact.tobytes()
    assert len(shortest(exact)) <= len(repr(float(exact)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_the_csv_of_every_kind_replays_to_what_its_decoder_gives(kind: DeviceKind, tmp_path: Path) -> None:
    faults = Faults(radio_drop=0.05, spoil=0.05)
    sensor, twin = (PERIPHERALS[kind.key](noise, faults=faults, seed=2) for _ in range(2))
    device = kind.make()
    expected: list[Block] = []
    with SentSamples(tmp_path / "sent.csv", kind, twin) as sent:
        for begin_us, end_us in ((1_000_000, 5_000_000), (9_000_000, 13_000_000)):
            list(sensor.notifications(begin_us))
            sent.linked(begin_us)
            rehearse(device.start(begin_us * 1000), sensor, begin_us)
            for ready_us, (uuid, data) in sensor.notifications(end_us):
                sent.take(ready_us, (uuid, data))
                expected += [e for e in device.feed(uuid, data, ready_us * 1000) if isinstance(e, Block)]
            sent.write_out()
            sensor.link_lost()
    recording = read_recording(tmp_path / "sent.csv", sensor=str(tmp_path / "sent.toml"))
    assert recording.rate_hz == device.stream.rate_hz
    samples = np.concatenate([block.samples for block in expected])
    assert len(samples) > 8 * kind.rate_hz * 0.6
    np.testing.assert_array_equal(recording.samples, samples)
    time_ns = np.concatenate([block.device_time_ns for block in expected])
    np.testing.assert_array_equal(recording.time_ns, time_ns - time_ns[0])


def test_a_disk_that_is_full_is_one_line(tmp_path: Path) -> None:
    sensor = PeripheralV1(noise)
    rehearse(v1.KIND.make().start(0), sensor)
    with SentSamples(tmp_path / "sent.csv", v1.KIND, PeripheralV1(noise)) as sent:
        for ready_us, notification in sensor.notifications(5_000_000):
            sent.take(ready_us, notification)
        with files_of_at_most(1000), pytest.raises(ConfigError, match=r"sent\.csv: cannot be written: File too large"):
            sent.write_out()
    assert "rate_hz = 104.0" in (tmp_path / "sent.toml").read_text()


def test_a_csv_that_its_description_would_overwrite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="take the same name"):
        SentSamples(tmp_path / "sent.toml", v1.KIND, PeripheralV1(noise))
