"""`frailedge doctor`: what a run needs, checked, a line each.

Exit status 0 where nothing failed, with warnings too; 1 where a check failed; 2, as everywhere, for a refused option.
"""

import sys
from typing import Annotated

import msgspec
import typer

from edge.cli import options as opt
from edge.doctor import examine
from edge.doctor.finding import Level
from edge.doctor.main_conf import fragment


def command(
    config: opt.ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    main_conf: Annotated[
        bool, typer.Option("--main-conf", help="Print the lines for /etc/bluetooth/main.conf and check nothing.")
    ] = False,
) -> None:
    """Check radio, model, configuration, clock, disk and ports; say what to do. Ends with 1 where a check failed."""
    if main_conf:
        sys.stdout.write(fragment())
        return
    findings = examine(config)
    n_failures = sum(found.level is Level.FAILURE for found in findings)
    n_warnings = sum(found.level is Level.WARNING for found in findings)
    if as_json:
        report = {"n_failures": n_failures, "n_warnings": n_warnings, "findings": findings}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    else:
        summary = f"{len(findings)} checks, {n_failures} failed, {n_warnings} with a warning"
        sys.stdout.write("\n".join([*(found.line for found in findings), summary]) + "\n")
    if n_failures:
        raise typer.Exit(1)
