"""A calibration: the ring's records or recordings enter, what a wearer has to do next is shown, results leave.

Ingestion runs as it does for `frailedge live`; there is no model, nothing is published and nothing is recorded. How a
sensor sits is not decided here: that is `edge.stream.calibration`.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.calibration_words import ASKED_STRIDES, NO_SIGNAL
from edge.config import Config
from edge.records import LinkState, LinkStatus, decode_record
from edge.ring import RingReader
from edge.run_settings import RunSensor
from edge.sources.recording import Recording
from edge.stream.calibration import Calibration, Step
from edge.stream.mounting import MIN_STRIDES, NO_GRAVITY, TOO_FEW_STRIDES, MountingResult
from edge.supervisor import Supervisor
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from firmware_bridge.events import Block, Event, Restart

_WAIT_S: Final = 0.1
_DRAW_EVERY_S: Final = 0.2
_PIECE_S: Final = 10.0
_STEPS: Final = (Step.SIGNAL, Step.STAND, Step.WALK, Step.DONE)
_MARKS: Final = {"done": ("✓", "green"), "now": ("›", "bold"), "later": ("·", "dim")}


class SensorCalibration:
    """One sensor's records on their way into a `Calibration`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turns_itself = False
        """Whether the sensor turns its axes to the foot's and heeds none that are configured."""
        self._link: LinkState | None = None
        self._calibration: Calibration | None = None
        self._newest_device_ns: int | None = None

    def take(self, item: Event | LinkStatus) -> None:
        """A record; samples from before the sensor's rate is known, a second at most, count for nothing."""
        if isinstance(item, LinkStatus):
            self._link = item.state
            if item.rate_hz > 0:
                self.turns_itself = item.is_foot_frame
                self._calibration = self._calibration or Calibration(item.rate_hz)
        elif self._calibration is None:
            return
        elif isinstance(item, Block):
            if self._newest_device_ns is not None and int(item.device_time_ns[0]) <= self._newest_device_ns:
                self._calibration.restart()  # the record that said so was overwritten before it was read
            self._newest_device_ns = int(item.device_time_ns[-1])
            self._calibration.push(item.device_time_ns, item.samples)
        elif isinstance(item, Restart):
            self._calibration.restart()
            self._newest_device_ns = None

    @property
    def step(self) -> Step:
        """What comes next."""
        return Step.SIGNAL if self._calibration is None else self._calibration.step

    @property
    def result(self) -> MountingResult:
        """How the sensor sits, as far as is known."""
        if self._calibration is None or self.step is Step.SIGNAL:
            return _cannot_tell(NO_SIGNAL)
        return self._calibration.result

    def words(self) -> tuple[str, str, str]:
        """The steps before `Step.DONE`, each with how far it is."""
        calibration, result = self._calibration, self.result
        link = f" ({self._link.value})" if self._link not in (None, LinkState.STREAMING) else ""
        stand = "stand still for a moment"
        walk = f"walk straight ahead at your usual pace, {ASKED_STRIDES} strides or more"
        if calibration is None or calibration.step is Step.SIGNAL:
            return f"waiting for its signal{link}", stand, walk
        if calibration.gravity_m_s2 is not None:
            size = np.linalg.norm(calibration.gravity_m_s2) / STANDARD_GRAVITY_M_S2
            stand = f"stood still: the sensor feels {size:.2f} g"
        elif calibration.step is not Step.STAND:
            stand = "did not stand still: the strides tell it too"
        if result.n_strides:
            walk = f"walk on: {result.n_strides} of {MIN_STRIDES} strides"
        if calibration.step is Step.WALK and result.reason != TOO_FEW_STRIDES:
            walk += f"; not told yet: {result.reason}"
        signal = f"signal at {calibration.rate_in_hz:g} Hz{link}"
        return signal, stand, walk


def calibrate_recordings(recordings: Sequence[Recording]) -> MountingResult:
    """The mounting of one sensor whose recordings follow each other; none of them is looked at beyond what tells."""
    if not recordings:
        return _cannot_tell(NO_SIGNAL)
    if recordings[0].gravity == "removed":
        return _cannot_tell(NO_GRAVITY)
    calibration = Calibration(recordings[0].rate_hz)
    for recording in recordings:
        n_piece = round(_PIECE_S * recording.rate_hz)
        for first in range(0, len(recording.samples), n_piece):
            piece = slice(first, first + n_piece)
            calibration.push(recording.time_ns[piece], recording.samples[piece])
            if calibration.step is Step.DONE:
                return calibration.result
        calibration.restart()
    return calibration.result


def calibrate(
    config: Config,
    sensors: tuple[RunSensor, ...],
    *,
    is_virtual: bool,
    within_s: float,
    is_over: Callable[[], bool],
) -> list[SensorCalibration]:
    """Until every sensor is told, ``is_over``, or ``within_s`` have passed; the sensors in their order.

    `ProcessFailedError` where ingestion cannot go on.
    """
    streams = {sensor.stream_id: SensorCalibration(sensor.name) for sensor in sensors}
    end_s = time.monotonic() + within_s

    def is_time_up() -> bool:
        return is_over() or time.monotonic() >= end_s

    with (
        Supervisor(config, sensors, is_virtual=is_virtual, ingests_only=True) as supervisor,
        supervisor.reader() as reader,
        _View(streams.values(), end_s) as view,
    ):
        while not is_time_up():
            supervisor.check()
            if reader.wait(_WAIT_S):
                take_waiting(reader, streams, is_time_up)
            view.show()
            if all(stream.step is Step.DONE for stream in streams.values()):
                break
        supervisor.end()
    return list(streams.values())


def take_waiting(reader: RingReader, streams: Mapping[int, SensorCalibration], is_over: Callable[[], bool]) -> None:
    """What waits in the ring, by ``stream_id`` to where it belongs; no more of it once it ``is_over``."""
    while not is_over() and (read := reader.read()) is not None:
        record = decode_record(read[1])
        streams[record.stream_id].take(record.item)
        reader.commit()


def _cannot_tell(reason: str) -> MountingResult:
    return MountingResult("cannot tell", reason, np.eye(3), 0, 0.0, "unknown")


class _View:
    """The steps on a terminal; elsewhere a line for each thing that is new."""

    def __init__(self, streams: Iterable[SensorCalibration], end_s: float) -> None:
        self._streams = list(streams)
        self._end_s = end_s
        self._begin_s = self._drawn_s = time.monotonic()
        self._said: dict[tuple[str, int], str] = {}
        console = Console()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
            self._draw(self._live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._draw(self._live, is_last=True)
            self._live.stop()

    def show(self) -> None:
        """Draw or say where every sensor stands; to be called often."""
        now_s = time.monotonic()
        if self._live is None:
            self._say(now_s - self._begin_s)
        elif now_s - self._drawn_s >= _DRAW_EVERY_S:
            self._drawn_s = now_s
            self._draw(self._live)

    def _say(self, since_s: float) -> None:
        for stream in self._streams:
            n_begun = _STEPS.index(stream.step) + 1
            for number, words in enumerate(stream.words()[:n_begun]):
                if self._said.get((stream.name, number)) != words:
                    self._said[stream.name, number] = words
                    print(f"{since_s:6.1f} s | {stream.name} | {words}", flush=True)

    def _draw(self, live: Live, *, is_last: bool = False) -> None:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(no_wrap=True)
        rows.add_column()
        for stream in self._streams:
            now = _STEPS.index(stream.step)
            for number, words in enumerate(stream.words()):
                mark, style = _MARKS["done" if number < now else "now" if number == now else "later"]
                rows.add_row(
                    "" if number else stream.name, Text(mark, style), Text(words, style if number > now else "")
                )
        left_s = max(0.0, self._end_s - time.monotonic())
        title = "frailedge calibrate" if is_last else f"frailedge calibrate · {left_s:.0f} s left · Ctrl-C ends it"
        live.update(Panel(rows, title=title), refresh=True)
