"""`frailedge live`: a sensor classified while it is worn, in processes of its own, with the terminal view on top."""

import signal
import sys
import threading
import time
from typing import Annotated

import typer

from edge.ble.selection import known_kinds
from edge.bus import Publisher, Subscriber
from edge.cli import options as opt
from edge.config import Config
from edge.errors import ConfigError
from edge.manifest import Manifest
from edge.opening import check_fits_live, open_model
from edge.recording.status import recorded_words, recording_words
from edge.run_settings import RunSensor
from edge.sources.virtual import virtual_foot
from edge.supervisor import ProcessFailedError, Supervisor
from edge.tally import Tally
from edge.view import show
from firmware_bridge.device import DeviceKind

# All processes are up long before, on a Pi too: a run that published nothing by then has failed.
_STARTED_AFTER_S = 20.0


def command(
    virtual: opt.Virtual = False,
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            "--sensor",
            help="Which sensor: its advertised name, its id in `frailedge scan`, or its name in the configuration. "
            "Twice for two feet.",
            metavar="NAME|ID",
        ),
    ] = None,
    list_sensors: Annotated[
        bool,
        typer.Option(
            "--list-sensors", help="Print the kinds of sensors that are understood, those of --config too, and end."
        ),
    ] = False,
    backend: opt.BleBackend = None,
    adapter: opt.BleAdapter = None,
    search_s: opt.SearchS = None,
    low_rate: opt.LowRate = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Record the session in this folder.", metavar="DIR")
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Pseudonym of who walks, for the recording: never a name.")
    ] = None,
    duration_s: Annotated[float | None, typer.Option("--duration-s", help="End after this time.")] = None,
    walker: opt.Walker = None,
    then: Annotated[str | None, typer.Option("--then", help="Who takes over later.")] = None,
    then_after_s: Annotated[float | None, typer.Option("--then-after-s", help="When that is.")] = None,
    rate_hz: Annotated[float | None, typer.Option("--rate-hz", help="Sampling rate of the virtual sensor.")] = None,
    seed: opt.Seed = None,
    drop_share: Annotated[
        float | None, typer.Option("--drop-share", help="Share of the virtual sensor's packets that get lost.")
    ] = None,
    ring_slots: Annotated[int | None, typer.Option("--ring-slots", help="Packets held between the processes.")] = None,
    max_restarts: Annotated[
        int | None, typer.Option("--max-restarts", help="Of a process that died, before giving up.")
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
    """Classify a walk live and publish the results; Ctrl-C ends it with a summary.

    Exit status 1 where nothing came of it: processes died before the first window, or never got going.
    """
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
        live__ring_slots=ring_slots,
        live__max_restarts=max_restarts,
        ble__backend=backend,
        ble__adapter=adapter,
        ble__search_s=search_s,
        ble__low_rate=low_rate,
        record__on=None if record is None else True,
        record__directory=record,
        record__person=person,
        virtual__walker=walker,
        virtual__then=then,
        virtual__then_after_s=then_after_s,
        virtual__rate_hz=rate_hz,
        virtual__seed=seed,
        virtual__drop_share=drop_share,
    )
    if list_sensors:
        print("\n".join(map(_kind_line, known_kinds(in_force.ble).values())))
        return
    # What the user can have got wrong is found here, in one process, before two others are started.
    if duration_s is not None and not duration_s > 0:
        raise ConfigError(f"--duration-s {duration_s:g}: must be above 0")
    of_radio = {
        "--sensor": sensor or None,
        "--backend": backend,
        "--adapter": adapter,
        "--search-s": search_s,
        "--low-rate": low_rate,
    }
    of_virtual = {
        "--walker": walker,
        "--then": then,
        "--then-after-s": then_after_s,
        "--rate-hz": rate_hz,
        "--seed": seed,
        "--drop-share": drop_share,
    }
    useless = [option for option, value in (of_radio if virtual else of_virtual).items() if value is not None]
    if useless and virtual:
        raise ConfigError(f"{', '.join(useless)}: for Bluetooth LE sensors only; leave that out with --virtual")
    if useless:
        raise ConfigError(f"{', '.join(useless)}: for the virtual sensor only; add --virtual, or leave that out")
    if person is not None and not in_force.record.on:
        raise ConfigError("--person: is written into a recording only; add --record DIR, or leave that out")
    if virtual:
        virtual_foot(in_force.virtual)
    manifest = open_model(in_force.model)[0].manifest
    check_fits_live(manifest, in_force.screen.spec_for(manifest))
    Publisher(in_force.publish.endpoint).close()
    if virtual:
        sensors: tuple[RunSensor, ...] = (RunSensor(stream_id=0, name=in_force.virtual.sensor),)
        tally = Tally.of_virtual(in_force.virtual)
    else:
        # bleak takes its time to be imported: only where there is a radio to use.
        from edge.ble.nearby import look_for_sensors  # noqa: PLC0415

        sensors = look_for_sensors(in_force.ble, sensor or [])
        tally = Tally([one.name for one in sensors])
    _run(in_force, sensors, tally, manifest, duration_s, is_virtual=virtual)


def _run(
    config: Config,
    sensors: tuple[RunSensor, ...],
    tally: Tally,
    manifest: Manifest,
    duration_s: float | None,
    *,
    is_virtual: bool,
) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    begin_s = time.monotonic()
    failure: ProcessFailedError | None = None
    topics = ("prediction", "decision", "signal", "gait", "gap", "health")
    subscriber = Subscriber(
        config.publish.endpoint, [f"{topic}/{sensor.name}/" for topic in topics for sensor in sensors]
    )
    try:
        with Supervisor(config, sensors, is_virtual=is_virtual) as supervisor:

            def is_over() -> bool:
                nonlocal failure
                try:
                    supervisor.check()
                except ProcessFailedError as error:
                    failure = error  # what the others did until then is summed up all the same
                    supervisor.end()
                if stop.is_set() or (duration_s is not None and time.monotonic() - begin_s >= duration_s):
                    supervisor.end()
                return supervisor.has_ended

            folder = config.record.directory
            show(
                subscriber,
                title=tally.title,
                is_over=is_over,
                on_message=tally.take,
                footer=lambda: recording_words(supervisor.recording, folder),
            )
            n_restarts, recorded = supervisor.n_restarts, supervisor.recording
    finally:
        subscriber.close()
    took_s = time.monotonic() - begin_s
    lines = tally.summary(manifest, took_s, n_restarts)
    if recorded is not None:
        lines.insert(-1, f"  {recorded_words(recorded, folder)}")
    sys.stdout.write("\n".join(lines) + "\n")
    if failure is not None:
        raise failure
    only_died = n_restarts > 0 and not tally.has_windows
    if only_died or (not tally.has_health and took_s > _STARTED_AFTER_S):
        raise typer.Exit(1)


def _kind_line(kind: DeviceKind) -> str:
    return (
        f"{kind.key:16} {kind.title}: {kind.rate_hz:g} Hz, ±{kind.acc_range_g:g} g, ±{kind.gyr_range_deg_s:g} deg/s; "
        f"losses {kind.losses}; axes {kind.axes}; {'' if kind.is_verified else 'UNVERIFIED: '}{kind.source}"
    )
