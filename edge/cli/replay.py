"""`frailedge replay`: recorded files as simulated streams."""

import itertools
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge.bundle import Bundle
from edge.bus import Publisher
from edge.cli import options as opt
from edge.config import Config, check_sensor_name
from edge.errors import ConfigError
from edge.messages import Decision, Message
from edge.model import Classifier
from edge.opening import open_model
from edge.recording.files import is_session
from edge.recording.settings import session_configuration
from edge.replay import decision_line, replay
from edge.replay_session import begun_anew_s, replay_session
from edge.sources.files import read_recording
from edge.sources.session import read_session


def command(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings: GSTRIDE text or CSV, what --sensor describes, sessions.")
    ],
    sensor: Annotated[
        str | None, typer.Option("--sensor", help="Name of a file in configs/sensors, or the path of such a file.")
    ] = None,
    side: Annotated[str | None, typer.Option("--side", help="left or right, where a file holds both feet.")] = None,
    rate_hz: Annotated[float | None, typer.Option("--rate-hz", help="Sampling rate, where it cannot be found.")] = None,
    units: Annotated[
        str | None, typer.Option("--units", help="Units of acceleration and rate, like g,deg/s or m/s^2,rad/s.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option("--axes", help="Sensor axes that point to toe, left and up, like x,-z,y.")
    ] = None,
    speed: Annotated[str, typer.Option("--speed", help="1 (real time), any factor, or max.")] = "1",
    low_rate: Annotated[
        bool, typer.Option("--low-rate", help="Insist on a recording below 50 Hz, where foot strikes are lost.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON a decision on standard output.")] = False,
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Publish over ZeroMQ.")] = True,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the sensor in the topics; by default the file's.")
    ] = None,
    config: opt.ConfigFile = None,
    bundle: opt.BundleDir = None,
    variant: opt.Variant = None,
    runtime: opt.Runtime = None,
    endpoint: opt.Endpoint = None,
    encoding: opt.Encoding = None,
    coefficients: opt.Coefficients = None,
    signal_decimation: opt.SignalDecimation = None,
    queue_messages: opt.QueueMessages = None,
) -> None:
    """Replay recorded walks through the signal path and the model, and publish the results."""
    factor = _factor(speed)
    if name is not None:
        check_sensor_name("--name", name)
    names = _topic_names(files, side, name)
    in_force = opt.configured(
        config,
        model__bundle=bundle,
        model__variant=variant,
        model__runtime=runtime,
        publish__endpoint=endpoint,
        publish__encoding=encoding,
        publish__coefficients=coefficients,
        publish__signal_decimation=signal_decimation,
        publish__queue_messages=queue_messages,
    )
    checked, classifier = open_model(in_force.model)
    log = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    log.print(
        f"model {checked.manifest.name} ({checked.variant_name}), trained on {checked.manifest.training.trained_on}"
    )
    log.print(f"intended use: {checked.manifest.intended_use}")
    publisher = None
    if publish:
        publisher = Publisher(
            in_force.publish.endpoint,
            encoding=in_force.publish.encoding,
            queue_messages=in_force.publish.queue_messages,
        )
    make_sink = partial(_sink, publisher, json)
    try:
        for path, topic_name in zip(files, names, strict=True):
            if is_session(path):
                stray = {"--sensor": sensor, "--side": side, "--rate-hz": rate_hz, "--units": units, "--axes": axes}
                _replay_session(
                    path,
                    checked,
                    classifier,
                    in_force,
                    factor,
                    log=log,
                    refused={**stray, "--name": name},
                    low_rate=low_rate,
                    make_sink=make_sink,
                    wait=publisher.serve if publisher else time.sleep,
                )
                continue
            recording = read_recording(path, sensor=sensor, side=side, rate_hz=rate_hz, units=units, axes=axes)
            for statement in recording.statements:
                log.print(f"{path.name}: {statement}")
            signal_s = (int(recording.time_ns[-1]) - int(recording.time_ns[0])) / 1e9
            with _progress(log, recording.path.name, signal_s) as on_progress:
                result = replay(
                    recording,
                    checked,
                    classifier,
                    sensor=topic_name,
                    speed=factor,
                    low_rate=low_rate,
                    screen=in_force.screen.spec_for(checked.manifest),
                    sink=make_sink(len(files) > 1),
                    wait=publisher.serve if publisher else time.sleep,
                    on_progress=on_progress,
                    coefficients=in_force.publish.coefficients,
                    signal_decimation=in_force.publish.signal_decimation,
                )
            for line in result.summary(str(recording.path), recording.rate_hz, recording.n_duplicates):
                log.print(line)
    finally:
        if publisher is not None:
            publisher.close()


def _replay_session(
    path: Path,
    bundle: Bundle,
    classifier: Classifier,
    config: Config,
    speed: float | None,
    *,
    log: Console,
    refused: dict[str, object],
    low_rate: bool,
    make_sink: Callable[[bool], Callable[[Message], None]],
    wait: Callable[[float], object],
) -> None:
    """A session says itself what its sensors are, and is judged as it was live."""
    given = [option for option, value in refused.items() if value is not None]
    if given:
        raise ConfigError(f"{' and '.join(given)} with {path}: a recorded session says that; leave it out")
    session = read_session(path)
    for loss in session.losses:
        log.print(f"{path.name}: {loss}")
    if session.info.bundle_sha256 != bundle.variant.sha256:
        log.print(f"{path.name}: recorded with another model ({session.info.bundle}): its decisions were others")
    for at_s in begun_anew_s(session):
        log.print(f"{path.name}: inference began anew at {at_s:.0f} s: live's decisions from there on were others")
    recorded = session_configuration(session.info)
    with _progress(log, path.name, session.duration_s) as on_progress:
        results = replay_session(
            session,
            bundle,
            classifier,
            speed=speed,
            screen=recorded.screen,
            sink=make_sink(len(session.tracks) > 1),
            wait=wait,
            on_progress=on_progress,
            coefficients=config.publish.coefficients,
            signal_decimation=config.publish.signal_decimation,
            low_rate=low_rate or recorded.low_rate,
        )
    for sensor, result in results.items():
        for line in result.summary(f"{path}, sensor {sensor}", result.health.rate_hz):
            log.print(line)


def _factor(speed: str) -> float | None:
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e6:
        raise ConfigError(f"--speed {speed}: give max, or a factor above 0 such as 1 or 10")
    return factor


def _topic_names(files: list[Path], side: str | None, name: str | None) -> list[str]:
    """A name for each file, no two alike: numbered where files or ``--name`` would make them so."""
    names: list[str] = []
    for path in files:
        base = name or re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem).lstrip("_.-")[:56] or "recording"
        base = base if side is None or name else f"{base}-{side}"
        numbered = (f"{base}.{number}" for number in itertools.count(2))
        names.append(next(other for other in itertools.chain([base], numbered) if other not in names))
    return names


def _sink(publisher: Publisher | None, json: bool, with_names: bool) -> Callable[[Message], None]:
    """Publishes each message, and prints each decision, or without ``json`` each sensor's where it becomes another."""
    labels: dict[str, str | None] = {}

    def sink(message: Message) -> None:
        if publisher is not None:
            publisher.send(message)
        if not isinstance(message, Decision):
            return
        if json:
            sys.stdout.write(decision_line(message) + "\n")
        elif message.label != labels.get(message.sensor):
            labels[message.sensor] = message.label
            who = f"{message.sensor}  " if with_names else ""
            shares = ", ".join(f"{name} {share:.2f}" for name, share in message.probabilities.items())
            sys.stdout.write(
                f"{message.window_stop_s:8.1f} s  {who}decision {message.label or f'none ({message.reason})'}"
                f"  ({shares})\n"
            )

    return sink


class _progress:  # noqa: N801 - used like a function: `with _progress(...)`
    """A bar on standard error where that is a terminal, and nothing where it is a file."""

    def __init__(self, log: Console, name: str, total_s: float) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=log, transient=True, disable=not log.is_terminal)
        self._total_s = total_s
        self._task = self._progress.add_task(name, total=total_s, done="")

    def __enter__(self) -> Callable[[float], None]:
        self._progress.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _update(self, done_s: float) -> None:
        self._progress.update(self._task, completed=done_s, done=f"{done_s:.0f} of {self._total_s:.0f} s")
