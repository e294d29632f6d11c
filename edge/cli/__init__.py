"""The command line: one file a command, each a thin shell around the module that does the work."""

import sys

import typer

from edge import __version__
from edge.cli import (
    calibrate,
    dataset,
    doctor,
    evaluate,
    export,
    info,
    live,
    recover,
    replay,
    report,
    scan,
    search,
    train,
    twins,
    virtual_sensor,
    watch,
)
from edge.cli.output import CLOSED_PIPE_STATUS, check_stdout, drop_stdout
from edge.errors import FrailedgeError, OutputError

app = typer.Typer(
    name="frailedge",
    help="Frailty from gait, live: a foot-worn IMU in, rolling robust / pre-frail / frail classifications out over "
    "ZeroMQ. Research use only; no medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"frailedge {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Frailty from gait, live."""
    del version


app.command("live")(live.command)
app.command("replay")(replay.command)
app.command("watch")(watch.command)
app.command("scan")(scan.command)
app.command("calibrate")(calibrate.command)
app.command("doctor")(doctor.command)
app.command("virtual-sensor")(virtual_sensor.command)
app.command("recover")(recover.command)
app.command("report")(report.command)
app.command("export")(export.command)
app.command("config")(info.config_command)
app.command("schema")(info.schema_command)
app.command("twins")(twins.twins_command)
app.add_typer(dataset.app, name="dataset")
app.command("train")(train.train_command)
app.command("search")(search.command)
app.command("baselines")(train.baselines_command)
app.command("evaluate")(evaluate.command)


def main() -> None:
    """Run a command; what a user can cause is one line on standard error and exit status 2, never a traceback.

    A closed pipe, as behind ``| head``, ends it without a line and with `CLOSED_PIPE_STATUS`.
    """
    check_stdout()
    try:
        try:
            app()
        except SystemExit:
            sys.stdout.flush()
            raise
    except FrailedgeError as error:
        is_silent = isinstance(error, OutputError) and error.is_closed_pipe
        if not is_silent:
            print(f"frailedge: {error}", file=sys.stderr)
        drop_stdout()
        sys.exit(CLOSED_PIPE_STATUS if is_silent else 2)
