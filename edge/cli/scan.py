"""`frailedge scan`: what is near, and which decoder fits it."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.cli import options as opt


def command(
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, max=600.0, help="How long to listen.")] = 6.0,
    battery: Annotated[
        bool, typer.Option("--battery/--no-battery", help="Connect to each known sensor and read its battery.")
    ] = True,
    every: Annotated[bool, typer.Option("--all", help="Also what no decoder fits.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a sensor.")] = False,
    backend: opt.BleBackend = None,
    adapter: opt.BleAdapter = None,
    config: opt.ConfigFile = None,
) -> None:
    """List the sensors that are near: name, id, signal, the decoder that fits, battery. The id tells no address."""
    # bleak takes its time to be imported: only where there is a radio to use.
    from edge.ble.nearby import scan  # noqa: PLC0415

    in_force = opt.configured(config, ble__backend=backend, ble__adapter=adapter)
    print(f"listening for {seconds:g} s ...", file=sys.stderr)
    found = scan(in_force.ble, seconds, with_battery=battery)
    shown = [one for one in found if every or one.kind]
    if as_json:
        for one in shown:
            print(one.as_json())
    elif shown:
        table = Table("name", "id", "signal", "decoder", "battery", box=None, pad_edge=False)
        for one in shown:
            battery_words = "unknown" if one.battery_percent is None else f"{one.battery_percent} %"
            table.add_row(one.name or "(none)", one.id, f"{one.rssi_dbm} dBm", one.kind or "none", battery_words)
        Console().print(table)
    if n_hidden := len(found) - len(shown):
        print(f"{n_hidden} more that no decoder fits: --all shows them", file=sys.stderr)
    if not found:
        print("nothing was heard: switch the sensor on, bring it near, or try `frailedge doctor`", file=sys.stderr)
