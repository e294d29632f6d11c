"""Ingestion by radio: the run's sensors, each with its link, in one event loop that does nothing else."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from edge.ble.link import Link
from edge.ble.radio import Radio, Seen
from edge.ble.selection import find_kind
from edge.ble.session import Session
from edge.config import BleConfig
from edge.errors import RadioError, SensorError
from edge.intake import Intake
from edge.records import LinkState
from edge.ring import RingWriter
from edge.run_settings import RunSensor, RunSettings, Stop
from edge.sources.conventions import parse_axes
from edge.stream.resample import MAX_RATE_HZ, RELIABLE_RATE_HZ
from firmware_bridge.device import Device, DeviceError

_LOG: Final = logging.getLogger(__name__)

_STATUS_EVERY_S: Final = 1.0
_STOP_LOOKED_AT_EVERY_S: Final = 0.05
RADIO_AGAIN_AFTER_S: Final = 1.0


def ingest_ble(settings: RunSettings, writer: RingWriter, stop: Stop) -> None:
    """Bring what the sensors send into the ring until ``stop``; `SensorError` for one that cannot be used."""
    logging.basicConfig(format="frailedge: %(message)s", level=logging.ERROR)
    logging.getLogger("edge").setLevel(logging.WARNING)
    asyncio.run(_ingest(settings, writer, stop))


async def _ingest(settings: RunSettings, writer: RingWriter, stop: Stop) -> None:
    config = settings.config.ble
    stopping = asyncio.Event()
    is_restarted = settings.n_restarts > 0
    async with AsyncExitStack() as stack:
        radio = await open_radio(config, stack, stop.is_set, waits=is_restarted)
        if radio is None:
            for sensor in settings.sensors:
                Intake(writer, sensor.stream_id, sensor.name).status(LinkState.ENDED, time.monotonic_ns())
            return
        sessions = [make_session(radio, config, sensor, writer, has_worked=is_restarted) for sensor in settings.sensors]
        runs = [
            asyncio.create_task(_run(session, sensor, stopping))
            for session, sensor in zip(sessions, settings.sensors, strict=True)
        ]
        try:
            next_status_s = 0.0
            while not stop.is_set() and not any(run.done() for run in runs):
                if time.monotonic() >= next_status_s:
                    next_status_s = time.monotonic() + _STATUS_EVERY_S
                    for session in sessions:
                        session.tick()
                await asyncio.sleep(_STOP_LOOKED_AT_EVERY_S)
        finally:
            stopping.set()
            ended = await asyncio.gather(*runs, return_exceptions=True)  # the other one says goodbye first
        for error in ended:
            if error is not None:
                raise error


async def open_radio(
    config: BleConfig, stack: AsyncExitStack, is_over: Callable[[], bool], *, waits: bool
) -> Radio | None:
    """A radio that ``stack`` closes, None once it ``is_over``; if it ``waits``, one that is away may come back.

    Inference, which hears nothing meanwhile, says so in ``health/``.
    """
    is_told = False
    while not is_over():
        try:
            return await stack.enter_async_context(Radio(config))
        except RadioError as error:
            if not waits:
                raise
            if not is_told:
                _LOG.warning("%s; waiting for it", error)
            is_told = True
        again_s = time.monotonic() + RADIO_AGAIN_AFTER_S
        while not is_over() and time.monotonic() < again_s:
            await asyncio.sleep(_STOP_LOOKED_AT_EVERY_S)
    return None


async def _run(session: Session, sensor: RunSensor, stopping: asyncio.Event) -> None:
    try:
        await session.run(stopping)
    except DeviceError as error:
        raise SensorError(f"sensor {sensor.name}: {error}") from error


def make_session(
    radio: Radio, config: BleConfig, sensor: RunSensor, writer: RingWriter, *, has_worked: bool = False
) -> Session:
    """The way of one sensor into the ring; ``has_worked`` as for `Session`."""
    kind = find_kind(sensor.kind)
    intake = Intake(writer, sensor.stream_id, sensor.name, rotation=parse_axes(sensor.axes or "x,y,z"))
    link = Link(sensor.name, time.monotonic_ns(), config.silent_after_s)
    return Session(
        radio,
        kind,
        kind.make(),
        intake,
        link,
        address=sensor.address,
        is_it=partial(_is_it, sensor),
        on_started=RateCheck(sensor.name, low_rate=config.low_rate),
        has_worked=has_worked,
    )


def _is_it(sensor: RunSensor, seen: Seen) -> bool:
    """By its address; by its name only where both addresses are of those that change, and the name was its alone."""
    return seen.address == sensor.address or (
        bool(sensor.advertised) and seen.changes_address and seen.advert.name == sensor.advertised
    )


class RateCheck:
    """Called with a started sensor: `SensorError` for one too slow for foot strikes, unless the user insists.

    Likewise for one too fast to resample, or with another rate than in its first connection.
    """

    def __init__(self, name: str, *, low_rate: bool) -> None:
        self._name = name
        self._low_rate = low_rate
        self._rate_hz: float | None = None

    def __call__(self, device: Device) -> None:
        """Check what a sensor says it sends."""
        rate_hz = device.stream.rate_hz
        if rate_hz > MAX_RATE_HZ:
            raise SensorError(f"sensor {self._name}: {rate_hz:g} Hz cannot be resampled: set {MAX_RATE_HZ:g} or less")
        if rate_hz < RELIABLE_RATE_HZ and not self._low_rate:
            raise SensorError(
                f"sensor {self._name}: at {rate_hz:g} Hz, below {RELIABLE_RATE_HZ:g}, foot strikes are lost: set it "
                "faster, or insist with --low-rate"
            )
        if self._rate_hz not in (None, rate_hz):
            raise SensorError(
                f"sensor {self._name}: its rate changed from {self._rate_hz:g} to {rate_hz:g} Hz while it was away: "
                "start again"
            )
        self._rate_hz = rate_hz
