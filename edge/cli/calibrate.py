"""`frailedge calibrate`: a person is walked through finding how the sensor sits, and gets the lines to configure it."""

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edge.calibrate import SensorCalibration, calibrate, calibrate_recordings
from edge.calibration_words import PLAIN_AXES, calibration_words, needs_other_axes, toml_lines
from edge.cli import options as opt
from edge.config import Config, SensorConfig
from edge.errors import ConfigError
from edge.recording.files import is_session
from edge.replay import check_rate
from edge.run_settings import RunSensor
from edge.sources.files import read_recording
from edge.sources.session import read_session
from edge.sources.virtual import virtual_foot
from edge.stream.mounting import MountingResult

_WITHIN_S = 120.0
_RADIO, _VIRTUAL, _RECORDING = "a Bluetooth LE sensor", "the virtual sensor", "a recording"


def command(
    file: Annotated[
        Path | None,
        typer.Argument(help="A recording, as `frailedge replay` takes it, in the place of a sensor.", metavar="FILE"),
    ] = None,
    virtual: opt.Virtual = False,
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            "--sensor",
            help="Which sensor: its advertised name, its id in `frailedge scan`, or its name in the configuration. "
            "Twice for two feet. With FILE: the description of its sensor.",
            metavar="NAME|ID",
        ),
    ] = None,
    within_s: Annotated[
        float | None, typer.Option("--within-s", help="Give up after this time; by default 120.")
    ] = None,
    backend: opt.BleBackend = None,
    adapter: opt.BleAdapter = None,
    search_s: opt.SearchS = None,
    low_rate: opt.LowRate = None,
    walker: opt.Walker = None,
    seed: opt.Seed = None,
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", help="Sampling rate: of the virtual sensor, or of FILE.")
    ] = None,
    side: Annotated[str | None, typer.Option("--side", help="left or right, where FILE holds both feet.")] = None,
    units: Annotated[str | None, typer.Option("--units", help="Units of FILE, like g,deg/s or m/s^2,rad/s.")] = None,
    axes: Annotated[
        str | None, typer.Option("--axes", help="Sensor axes of FILE that count as toe, left and up, like x,-z,y.")
    ] = None,
    config: opt.ConfigFile = None,
) -> None:
    """Find how a worn sensor sits: stand still, walk ten strides, and get the lines to configure it."""
    if file is not None and virtual:
        raise ConfigError(f"--virtual with {file}: calibrate the one or the other")
    mode = _RECORDING if file is not None else _VIRTUAL if virtual else _RADIO
    fitting: dict[str, tuple[object, tuple[str, ...]]] = {
        "--sensor": (sensor or None, (_RADIO, _RECORDING)),
        "--within-s": (within_s, (_RADIO, _VIRTUAL)),
        "--backend": (backend, (_RADIO,)),
        "--adapter": (adapter, (_RADIO,)),
        "--search-s": (search_s, (_RADIO,)),
        "--low-rate": (low_rate, (_RADIO, _RECORDING)),
        "--walker": (walker, (_VIRTUAL,)),
        "--seed": (seed, (_VIRTUAL,)),
        "--rate-hz": (rate_hz, (_VIRTUAL, _RECORDING)),
        "--side": (side, (_RECORDING,)),
        "--units": (units, (_RECORDING,)),
        "--axes": (axes, (_RECORDING,)),
    }
    useless = [option for option, (value, modes) in fitting.items() if value is not None and mode not in modes]
    if useless:
        raise ConfigError(f"{', '.join(useless)}: not for {mode}; leave that out")
    if within_s is not None and not within_s > 0:
        raise ConfigError(f"--within-s {within_s:g}: must be above 0")
    in_force = opt.configured(
        config,
        ble__backend=backend,
        ble__adapter=adapter,
        ble__search_s=search_s,
        ble__low_rate=low_rate,
        virtual__walker=walker,
        virtual__seed=seed,
        virtual__rate_hz=rate_hz if virtual else None,
    )
    if file is not None and is_session(file):
        given = {"--sensor": sensor or None, "--side": side, "--rate-hz": rate_hz, "--units": units, "--axes": axes}
        if stray := [option for option, value in given.items() if value is not None]:
            raise ConfigError(f"{', '.join(stray)} with {file}: a recorded session says that; leave it out")
        results = _of_session(file, low_rate=bool(low_rate))
    elif file is not None:
        results = _of_file(file, sensor or [], side, rate_hz, units, axes, low_rate=bool(low_rate))
    elif virtual:
        virtual_foot(in_force.virtual)
        name = in_force.virtual.sensor
        runs = _live(in_force, (RunSensor(stream_id=0, name=name),), within_s, is_virtual=True)
        results = [_tell(run, PLAIN_AXES) for run in runs]
    else:
        results = _of_radio(in_force, sensor or [], within_s)
    if any(result.state == "cannot tell" for result in results):
        raise typer.Exit(1)


def _live(
    config: Config, sensors: tuple[RunSensor, ...], within_s: float | None, *, is_virtual: bool
) -> list[SensorCalibration]:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return calibrate(config, sensors, is_virtual=is_virtual, within_s=within_s or _WITHIN_S, is_over=stop.is_set)


def _tell(run: SensorCalibration, axes: str) -> MountingResult:
    _print(run.name, calibration_words(run.result, axes, turns_itself=run.turns_itself))
    return run.result


def _of_radio(config: Config, asked: list[str], within_s: float | None) -> list[MountingResult]:
    # bleak takes its time to be imported: only where there is a radio to use.
    from edge.ble.nearby import look_for_sensors  # noqa: PLC0415
    from edge.ble.selection import wanted_sensors  # noqa: PLC0415

    sensors = look_for_sensors(config.ble, asked)
    configured = {sensor.name: sensor for sensor in config.ble.sensors}
    asked_for = wanted_sensors(config.ble, asked) or (SensorConfig(name=""),)
    wanted = [configured.get(sensor.name, bare) for sensor, bare in zip(sensors, asked_for, strict=True)]
    runs = _live(config, sensors, within_s, is_virtual=False)
    names = _names([run.result for run in runs], wanted, sensors)
    for run, known, sensor, name in zip(runs, wanted, sensors, names, strict=True):
        axes = sensor.axes or PLAIN_AXES
        _tell(run, axes)
        if run.result.state == "cannot tell" or run.turns_itself:
            continue
        other = needs_other_axes(run.result, axes)
        if known.name and not other:
            continue
        place = ", over what is there for it" if known.name else ""
        print(f"{run.name}: to paste into the --config file{place}:\n")
        described = SensorConfig(name=name, match=known.match or sensor.advertised or sensor.name, kind=known.kind)
        print("\n".join(toml_lines(described, other or axes)), end="\n\n")
    return [run.result for run in runs]


def _names(
    results: Sequence[MountingResult], wanted: Sequence[SensorConfig], sensors: Sequence[RunSensor]
) -> list[str]:
    """What to call each sensor in a configuration: as it is called there, or by its foot, or else by its id."""
    sides = [result.side for result in results]
    taken = {known.name for known in wanted}
    return [
        known.name or (side if side != "unknown" and sides.count(side) == 1 and side not in taken else sensor.name)
        for known, side, sensor in zip(wanted, sides, sensors, strict=True)
    ]


def _of_file(
    file: Path,
    sensor: list[str],
    side: str | None,
    rate_hz: float | None,
    units: str | None,
    axes: str | None,
    *,
    low_rate: bool,
) -> list[MountingResult]:
    if len(sensor) > 1:
        raise ConfigError(f"--sensor was given {len(sensor)} times: {file} has one description")
    described = sensor[0] if sensor else None
    # Which axes are the foot's is what is asked: a GSTRIDE file must not be refused for them.
    given_axes = axes or (PLAIN_AXES if described is None else None)
    recording = read_recording(file, sensor=described, side=side, rate_hz=rate_hz, units=units, axes=given_axes)
    check_rate(recording, low_rate=low_rate)
    for statement in recording.statements:
        print(f"{file.name}: {statement}", file=sys.stderr)
    result = calibrate_recordings([recording])
    _print(file.name, calibration_words(result, recording.axes))
    if other := needs_other_axes(result, recording.axes):
        toml = ", ".join(f'"{axis}"' for axis in other.split(","))
        how = f'replay it with --axes "{other}"' if described is None else f"in its description ({described}):"
        print(f"{file.name}: {how}" + ("" if described is None else f"\n\naxes = [{toml}]\n"))
    return [result]


def _of_session(path: Path, *, low_rate: bool) -> list[MountingResult]:
    session = read_session(path)
    for loss in session.losses:
        print(f"{path.name}: {loss}", file=sys.stderr)
    configured = {sensor.name: sensor.axes for sensor in session.info.sensors}
    results = []
    for track in session.tracks:
        recordings = session.recordings(track)
        for recording in recordings[:1]:
            check_rate(recording, low_rate=low_rate)
        axes = configured.get(track.sensor) or PLAIN_AXES
        turns_itself = any(status.is_foot_frame for status in track.statuses)
        result = calibrate_recordings(recordings)
        _print(track.sensor, calibration_words(result, axes, turns_itself=turns_itself))
        if other := needs_other_axes(result, axes, turns_itself=turns_itself):
            print(f'{track.sensor}: in its [[ble.sensors]] of the configuration:\n\naxes = "{other}"\n')
        results.append(result)
    return results


def _print(name: str, lines: list[str]) -> None:
    print("\n".join(f"{name}: {line}" for line in lines))
