"""`frailedge live`: a sensor classified while it is worn, in two processes, with the terminal view on top."""

import signal
import sys
import threading
import time
from typing import Annotated

import typer

from edge.bus import Publisher, Subscriber
from edge.cli import options as opt
from edge.config import Config
from edge.errors import ConfigError
from edge.opening import open_model
from edge.sources.virtual import VirtualFoot
from edge.supervisor import Supervisor
from edge.tally import Tally
from edge.view import show

# Both processes are up long before, on a Pi too: a run that published nothing by then has failed.
_STARTED_AFTER_S = 20.0


def command(
    virtual: Annotated[
        bool, typer.Option("--virtual", help="A virtual foot sensor in the place of Bluetooth LE.")
    ] = False,
    duration_s: Annotated[float | None, typer.Option("--duration-s", help="End after this time.")] = None,
    walker: Annotated[str | None, typer.Option("--walker", help="Who walks: a name or TOML file.")] = None,
    then: Annotated[str | None, typer.Option("--then", help="Who takes over later.")] = None,
    then_after_s: Annotated[float | None, typer.Option("--then-after-s", help="When that is.")] = None,
    rate_hz: Annotated[float | None, typer.Option("--rate-hz", help="Sampling rate of the virtual sensor.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the virtual walk.")] = None,
    drop_share: Annotated[
        float | None, typer.Option("--drop-share", help="Share of the virtual sensor's packets that get lost.")
    ] = None,
    sensor: Annotated[str | None, typer.Option("--sensor", help="Name of the sensor in the topics.")] = None,
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
    """Classify a walk live and publish the results; Ctrl-C ends it with a summary."""
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
        virtual__sensor=sensor,
        live__ring_slots=ring_slots,
        live__max_restarts=max_restarts,
        virtual__walker=walker,
        virtual__then=then,
        virtual__then_after_s=then_after_s,
        virtual__rate_hz=rate_hz,
        virtual__seed=seed,
        virtual__drop_share=drop_share,
    )
    if not virtual:
        raise ConfigError("no source of samples: this version has the virtual sensor only; start it with --virtual")
    _run(in_force, duration_s)


def _run(config: Config, duration_s: float | None) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    # What the user can have got wrong is found here, in one process, before two others are started.
    VirtualFoot(config.virtual)
    manifest = open_model(config.model)[0].manifest
    Publisher(config.publish.endpoint).close()
    tally = Tally(config.virtual)
    begin_s = time.monotonic()
    prefixes = [f"{topic}/{config.virtual.sensor}/" for topic in ("prediction", "decision", "signal", "health")]
    subscriber = Subscriber(config.publish.endpoint, prefixes)
    try:
        with Supervisor(config) as supervisor:

            def is_over() -> bool:
                supervisor.check()
                if stop.is_set() or (duration_s is not None and time.monotonic() - begin_s >= duration_s):
                    supervisor.end()
                return supervisor.has_ended

            show(subscriber, title=tally.title(), is_over=is_over, on_message=tally.take)
            n_restarts = supervisor.n_restarts
    finally:
        subscriber.close()
    took_s = time.monotonic() - begin_s
    sys.stdout.write("\n".join(tally.summary(manifest, took_s, n_restarts)) + "\n")
    if not tally.has_health and took_s > _STARTED_AFTER_S:
        raise typer.Exit(1)
