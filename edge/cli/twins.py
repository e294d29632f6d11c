"""`frailedge twins`: a thin shell around `trainer.twins`, which is imported when it runs."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge.errors import ConfigError
from edge.sources.register import Person, read_register

_SEPARATORS = {"space": " ", "tab": "\t", "comma": ",", "semicolon": ";"}
_DECIMALS = {"point": ".", "comma": ","}
_LAYOUTS: dict[str, dict[str, Any]] = {
    "calibrated": {"folder": "calibrated"},
    "raw": {"folder": "raw", "header": False, "acc_unit": "counts", "gyr_unit": "counts"},
    "v3": {"folder": "v3", "separator": ","},
}
_BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def _log() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def twins_command(
    out: Annotated[Path, typer.Argument(help="Folder to write; GSTRIDE_database is made in it.")],
    register: Annotated[
        Path | None, typer.Option("--register", help="Subject table: one synthetic twin a person of it.")
    ] = None,
    people: Annotated[
        int | None, typer.Option("--people", help="Without a register: so many people, drawn from the class figures.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="Of walking a person.")] = 4.0,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    workers: Annotated[int, typer.Option("--workers", help="Processes.")] = 1,
    layout: Annotated[str, typer.Option("--layout", help="calibrated, raw (v1) or v3.")] = "calibrated",
    separator: Annotated[str | None, typer.Option("--separator", help="space, tab, comma or semicolon.")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header")] = None,
    decimal: Annotated[str | None, typer.Option("--decimal", help="point or comma.")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time-column", help="none, index, s, ms or us, before the samples.")
    ] = None,
    acc_unit: Annotated[str | None, typer.Option("--acc-unit", help="m/s^2, g or counts.")] = None,
    gyr_unit: Annotated[str | None, typer.Option("--gyr-unit", help="rad/s, deg/s or counts.")] = None,
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", help="Default: 104 for a CSIC device, 128 for a Gaitup.")
    ] = None,
    axes: Annotated[str | None, typer.Option("--axes", help="How the sensor sits, like x,-z,y.")] = None,
    gyr_first: Annotated[bool, typer.Option("--gyr-first", help="Angular rate before acceleration.")] = False,
    trailing_columns: Annotated[int, typer.Option("--trailing-columns", help="Further columns at the end.")] = 0,
    leading_zero_rows: Annotated[int, typer.Option("--leading-zero-rows", help="Rows of zeros at the start.")] = 0,
) -> None:
    """Write a GSTRIDE-shaped folder of virtual walkers: synthetic data, and named so everywhere."""
    from trainer.class_figures import draw_people  # noqa: PLC0415 - the edge starts without the trainer
    from trainer.twins import Layout, make_twins, write_twins  # noqa: PLC0415

    if (register is None) == (people is None):
        raise ConfigError("say whose twins: --register FILE (one a person of it), or --people N (drawn)")
    if workers < 1:
        raise ConfigError(f"--workers {workers}: 1 or more")
    if layout not in _LAYOUTS:
        raise ConfigError(f"--layout {layout}: choose {', '.join(_LAYOUTS)}")
    options: dict[str, Any] = {
        "separator": separator and _SEPARATORS.get(separator, separator),
        "header": header,
        "decimal": decimal and _DECIMALS.get(decimal, decimal),
        "time_column": time_column,
        "acc_unit": acc_unit,
        "gyr_unit": gyr_unit,
        "rate_hz": rate_hz,
        "axes": axes,
        "gyr_first": gyr_first,
        "trailing_columns": trailing_columns,
        "leading_zero_rows": leading_zero_rows,
    }
    try:
        given = {name: value for name, value in options.items() if value is not None}
        chosen = msgspec.convert({**_LAYOUTS[layout], **given}, Layout)
    except msgspec.ValidationError as error:
        raise ConfigError(f"layout: {error}") from error
    everybody = read_register(register) if register is not None else draw_people(people or 0, seed)
    log = _log()
    with Progress(*_BAR, console=log, disable=not log.is_terminal) as bar:
        task = bar.add_task("walking", total=len(make_twins(everybody)[0]))

        def advance(_: Person) -> None:
            bar.advance(task)

        twins = write_twins(
            out, everybody, minutes=minutes, seed=seed, layout=chosen, workers=workers, progress=advance
        )
    for line in twins.skipped:
        log.print(f"no twin of {line}")
    log.print(f"{twins.folder}: {len(twins.people)} synthetic people, {minutes:g} minutes each; not valid for people")
