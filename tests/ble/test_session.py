"""One sensor's session over bleak's own BlueZ backend: what ends a link, and what does not."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge.ble import ingest as ingest_module
from edge.ble import radio as radio_module
from edge.ble import session as session_module
from edge.ble.ingest import open_radio
from edge.ble.radio import LinkError, Radio
from edge.config import Config
from edge.errors import RadioError
from edge.records import LinkState, LinkStatus
from edge.run_settings import RunSensor, RunSettings, Stop
from firmware_bridge.device import BATTERY_LEVEL_UUID, DeviceError
from firmware_bridge.devices.v1 import DeviceV1
from firmware_bridge.events import Event
from firmware_bridge.packet_v1 import CONTROL_UUID, Answer, Op, Status
from firmware_bridge.peripheral import Notification, Service
from firmware_bridge.peripherals.sampled import BATTERY_SERVICE
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bus import NEEDS_DBUS
from tests.ble.central import LEFT, RIGHT, foot, on_bleak, ramp
from tests.ble.fake_bluez import FakeBluez
from tests.ble.fake_device import FakeDevice
from tests.ble.heard import CONFIG, HeardRing, running

pytestmark = NEEDS_DBUS

UP = [LinkState.CONNECTING, LinkState.SUBSCRIBING, LinkState.STREAMING]


class Refusing(PeripheralV1):
    """Answers its first starts with a status."""

    def __init__(self, n_refused: int, status: Status) -> None:
        super().__init__(ramp, name="FE-foot")
        self._n_refused = n_refused
        self._status = status

    def write(self, uuid: str, data: bytes, now_us: int) -> list[Notification]:
        """As its parent, or the refusal."""
        if data[:1] == bytes([Op.START]) and self._n_refused > 0:
            self._n_refused -= 1
            return [(CONTROL_UUID, bytes(Answer(Op.START, self._status)))]
        return super().write(uuid, data, now_us)


class TwoBatteries(PeripheralV1):
    """One in the sensor and one in its case, as bleak cannot tell them apart by UUID."""

    @property
    def services(self) -> tuple[Service, ...]:
        """One more."""
        return (*super().services, BATTERY_SERVICE)


class Buggy(DeviceV1):
    """A decoder with an error in it."""

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """Divides by zero."""
        return [*super().feed(uuid, data, received_ns)] * (1 // 0)


@pytest.mark.parametrize("is_answered", [True, False], ids=["refused", "without answer"])
def test_a_battery_that_cannot_be_read_is_unknown_not_asked_again_and_costs_nothing(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    monkeypatch.setattr(session_module, "BATTERY_WITHIN_S", 0.2)
    monkeypatch.setattr(session_module, "BATTERY_EVERY_S", 0.0)
    peripheral = foot()
    device = bluez.add(peripheral, address=LEFT)
    device.obstruct(BATTERY_LEVEL_UUID, is_answered=is_answered)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio) as run:
            await run.ring.state(LinkState.STREAMING)
            await run.ring.blocks(20)
            assert device.counts.obstructed == 1
            device.silence(True)
            silent = await run.ring.state(LinkState.SILENT)
            assert silent.battery_percent is None
            device.silence(False)
            await run.ring.state(LinkState.STREAMING)
            await run.end()
            assert run.ring.states == [*UP, LinkState.SILENT, LinkState.STREAMING, LinkState.ENDED]
        assert not device.is_connected

    on_bleak(work)
    assert device.counts.connects == 1
    assert not peripheral.is_streaming


def test_a_battery_level_without_answer_does_not_keep_the_sensor_from_being_stopped(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "BATTERY_WITHIN_S", 60.0)
    peripheral = foot()
    device = bluez.add(peripheral, address=LEFT)
    device.obstruct(BATTERY_LEVEL_UUID, is_answered=False)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio) as run:
            await run.ring.state(LinkState.STREAMING)
            await run.ring.blocks(5)
            assert device.counts.obstructed == 1
            await run.end()
            assert run.ring.states[-1] is LinkState.ENDED

    on_bleak(work)
    assert (device.is_connected, peripheral.is_streaming) == (False, False)


def test_two_batteries_are_none_rather_than_the_end_of_ingestion(bluez: FakeBluez, tmp_path: Path) -> None:
    bluez.add(TwoBatteries(ramp, name="FE-foot"), address=LEFT)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio) as run:
            await run.ring.state(LinkState.STREAMING)
            await run.ring.blocks(10)
            await run.end()
            assert run.ring.states == [*UP, LinkState.ENDED]

    on_bleak(work)


def nothing(_: FakeDevice) -> None: ...


@pytest.mark.parametrize(
    ("state", "harm", "then"),
    [
        (LinkState.CONNECTING, lambda device: device.hold_connects(True), nothing),
        (LinkState.SUBSCRIBING, lambda device: device.obstruct(CONTROL_UUID, is_answered=False), nothing),
        (LinkState.STREAMING, nothing, nothing),
        (LinkState.SILENT, nothing, lambda device: device.silence(True)),
        (LinkState.BACKING_OFF, lambda device: device.fail_connects(9, message="no"), nothing),
        (LinkState.SEARCHING, nothing, lambda device: device.set_on_air(False)),
    ],
)
def test_a_stop_is_obeyed_in_every_state_and_leaves_the_sensor_at_rest(
    bluez: FakeBluez,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: LinkState,
    harm: Callable[[FakeDevice], object],
    then: Callable[[FakeDevice], object],
) -> None:
    for name in ("ANSWER_WITHIN_S", "START_WITHIN_S"):  # whoever waits for them is too late
        monkeypatch.setattr(session_module, name, 60.0)
    monkeypatch.setattr(radio_module, "CONNECT_WITHIN_S", 60.0)
    peripheral = foot()
    device = bluez.add(peripheral, address=LEFT)
    harm(device)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio) as run:
            if then is not nothing:
                await run.ring.state(LinkState.STREAMING)
                then(device)
            await run.ring.state(state)
            await run.end()
            assert run.ring.states[-2:] == [state, LinkState.ENDED]

    on_bleak(work)
    assert (device.is_connected, peripheral.is_streaming) == (False, False)


def test_an_error_in_a_decoder_ends_the_session_with_it(bluez: FakeBluez, tmp_path: Path) -> None:
    device = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio, device=Buggy()) as run:
            with pytest.raises(ZeroDivisionError):
                await run.ended
            assert LinkState.ENDED not in run.ring.states, "it will be started again"

    on_bleak(work)
    assert not device.is_connected


def test_a_busy_sensor_is_asked_again(bluez: FakeBluez, tmp_path: Path) -> None:
    bluez.add(Refusing(2, Status.BUSY), address=LEFT)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio) as run:
            await run.ring.state(LinkState.STREAMING)
            assert run.ring.states.count(LinkState.BACKING_OFF) == 2

    on_bleak(work)


@pytest.mark.parametrize("has_worked", [True, False])
def test_a_refused_start_ends_the_run_unless_the_sensor_was_streamed_from_before(
    bluez: FakeBluez, tmp_path: Path, has_worked: bool
) -> None:
    bluez.add(Refusing(1, Status.BAD_VALUE), address=LEFT)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio, has_worked=has_worked) as run:
            if has_worked:
                await run.ring.state(LinkState.STREAMING)
                assert LinkState.BACKING_OFF in run.ring.states
            else:
                with pytest.raises(DeviceError, match="value is bad"):
                    await run.ended
                assert LinkState.ENDED not in run.ring.states

    on_bleak(work)


def test_a_sensor_that_does_not_answer_keeps_the_air_from_another_for_a_moment_only(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio_module, "CONNECT_WITHIN_S", 0.5)
    left = bluez.add(foot("FE-left"), address=LEFT)
    bluez.add(foot("FE-right"), address=RIGHT)
    left.hold_connects(True)

    async def work() -> None:
        async with Radio(CONFIG) as radio:
            seen_left = await radio.find(lambda one: one.address == LEFT)
            seen_right = await radio.find(lambda one: one.address == RIGHT)
            of_left, of_right = await asyncio.gather(
                radio.connect(seen_left, lambda: None),
                radio.connect(seen_right, lambda: None),
                return_exceptions=True,
            )
            assert isinstance(of_left, LinkError)
            assert "no connection within 0.5 s" in str(of_left)
            assert not isinstance(of_right, BaseException)
            await of_right.close()

    on_bleak(work)


@pytest.mark.parametrize("waits", [True, False], ids=["restarted", "first"])
def test_only_an_ingestion_that_had_a_radio_before_waits_for_one(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    monkeypatch.setattr(ingest_module, "RADIO_AGAIN_AFTER_S", 0.1)
    bluez.add(foot(), address=LEFT)
    bluez.power(False)
    looks = []

    def is_over() -> bool:
        looks.append(len(caplog.records))
        if caplog.records:
            bluez.power(True)
        return False

    async def work() -> None:
        async with AsyncExitStack() as stack:
            opening = open_radio(CONFIG, stack, is_over, waits=waits)
            if not waits:
                with pytest.raises(RadioError, match="switched off"):
                    await opening
                return
            radio = await opening
            assert radio is not None
            assert (await radio.find(lambda _: True)).address == LEFT
        assert "switched off" in caplog.text

    on_bleak(work)


class OnceWarned(Stop):
    """A run that ends when it has said what it waits for."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def is_set(self) -> bool:
        """Whether it has."""
        return bool(self._caplog.records)


def test_waiting_for_a_radio_ends_in_order_with_the_run(
    bluez: FakeBluez, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bluez.power(False)
    sensors = tuple(RunSensor(stream_id=at, name=name) for at, name in enumerate(("left", "right")))
    settings = RunSettings(
        config=Config(), sensors=sensors, is_virtual=False, ring="", doorbell=0, supervisor_pid=0, n_restarts=1
    )

    async def work() -> None:
        with HeardRing(tmp_path / "ring") as ring:
            await ingest_module._ingest(settings, ring, OnceWarned(caplog))
            told = [(item.sensor, item.state) for item in ring.items if isinstance(item, LinkStatus)]
            assert told == [("left", LinkState.ENDED), ("right", LinkState.ENDED)]

    on_bleak(work)
