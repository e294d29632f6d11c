"""Every kind of sensor through `frailedge live`, over a real GATT server: it decides as its samples do replayed."""

import asyncio
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge.config import ModelConfig, ScreenConfig, VirtualConfig
from edge.messages import Decision, Health, Message, Prediction
from edge.opening import open_model
from edge.replay import replay
from edge.sources.files import read_recording
from edge.sources.virtual import walk_source
from firmware_bridge.kinds import KINDS, PERIPHERALS
from tests.ble.controllers import virtual_air
from tests.ble.live_run import LiveRun
from tests.edge.cli.run import start

PAIRS = [
    ("frailedge-v1", "movella-dot"),
    ("polar", "thingy52"),
    ("wt901ble", "metamotion"),
    ("bwt901ble5", "st-bluest"),
]
N_WINDOWS = 5
# This is about the way from the sensor to the network: two of them measure ±2 g only, and a foot's strikes clip them.
EVERYTHING = ScreenConfig(gate=False, mounting="trust", refused_flags=())
BATTERY_PERCENT = 57


def test_the_pairs_are_all_kinds() -> None:
    assert sorted(key for pair in PAIRS for key in pair) == sorted(kind.key for kind in KINDS)


@contextmanager
def air() -> Iterator[str]:
    """Virtual controllers, in a thread of their own; gives the transport that processes connect to."""
    loop = asyncio.new_event_loop()
    ready: list[str] = []
    is_ready, is_over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with virtual_air() as transport:
            ready.append(transport)
            is_ready.set()
            await is_over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()  # joined below: nothing of it outlives the test
    try:
        assert is_ready.wait(20)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(20)
        loop.close()


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_two_sensors_are_found_started_read_and_stopped_and_decide_as_their_samples_replayed(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "frailedge.toml"
    with air() as transport, ExitStack() as stack:
        sensors = {key: virtual_sensor(stack, transport, key, tmp_path / f"{key}.csv") for key in pair}
        lines = [
            "[screen]",
            "gate = false",
            'mounting = "trust"',
            "refused_flags = []",
            "[ble]",
            f'backend = "{transport}"',
            "low_rate = true",
        ]  # ST's stock firmware sends 20 a second
        for key in pair:
            lines += ["[[ble.sensors]]", f'name = "{key}"', f'kind = "{key}"']
        config.write_text("\n".join(lines), encoding="utf-8")
        with LiveRun("--config", config) as run:
            while min(len(run.predictions(key)) for key in pair) < N_WINDOWS:
                run.until(lambda message: isinstance(message, Prediction), "prediction")
            run.end()
            assert run.process.returncode == 0, run.err
            for key, sensor in sensors.items():
                sensor.send_signal(signal.SIGINT)
                out, err = sensor.communicate(timeout=20)
                assert (sensor.returncode, err) == (0, ""), err
                health = run.last_health(key)
                assert_is_as_replayed(run, key, tmp_path / f"{key}.csv", health)
                assert "connections" in out
    assert "No medical device" in run.out


def virtual_sensor(stack: ExitStack, transport: str, key: str, csv: Path) -> subprocess.Popen[str]:
    """`frailedge virtual-sensor` of a kind, on the air."""
    options: tuple[str | Path, ...] = ("--kind", key, "--csv", csv, "--battery", str(BATTERY_PERCENT))
    process = start(["virtual-sensor", "--transport", transport, *options])
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def assert_is_as_replayed(run: LiveRun, key: str, csv: Path, health: Health) -> None:
    """What the sensor wrote down as sent gives, replayed, the windows, predictions and decisions of the live run."""
    assert health.link == "ended"
    assert (health.n_lost_samples, health.ring_lost, health.n_corrupt, health.n_reconnects) == (0, 0, 0, 0)
    has_battery = any(
        characteristic.uuid == kind.battery_uuid
        for kind in KINDS
        if kind.key == key
        for service in PERIPHERALS[key](walk_source(VirtualConfig())).services
        for characteristic in service.characteristics
    )
    assert health.battery_percent == (BATTERY_PERCENT if has_battery else None)
    recording = read_recording(csv, sensor=str(csv.with_suffix(".toml")))
    assert 0 <= len(recording.samples) - health.n_samples <= 80  # what was on the way when the link was closed
    bundle, classifier = open_model(ModelConfig())
    replayed: list[Message] = []
    replay(
        recording,
        bundle,
        classifier,
        sensor=key,
        speed=None,
        screen=EVERYTHING.spec("included"),
        sink=replayed.append,
        wait=lambda _: None,
        low_rate=True,
    )
    for kind in (Prediction, Decision):
        live = [determined_by_samples(m) for m in run.messages if isinstance(m, kind) and m.sensor == key]
        again = [determined_by_samples(m) for m in replayed if isinstance(m, kind)]
        # The last window may end where the live stream was cut off.
        assert len(live) >= N_WINDOWS
        assert live[:-1] == again[: len(live) - 1]


def determined_by_samples(message: Prediction | Decision) -> tuple[object, ...]:
    """Range, probabilities to the bit, class and reason."""
    reason = message.reason if isinstance(message, Decision) else None
    return (
        message.stretch,
        message.sample_start,
        message.sample_stop,
        message.probabilities,
        message.label,
        message.class_index,
        reason,
    )
