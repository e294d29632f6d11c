"""`frailedge recover`: a sound copy of what can be read of a damaged session file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.recording.recover import recover, recovered_path


def command(
    file: Annotated[Path, typer.Argument(help="A session file (.mcap) that is damaged or was never finished.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The copy; by default FILE with -recovered in its name.", metavar="FILE"),
    ] = None,
) -> None:
    """Write a sound copy of all that is whole in a session file, and say what was lost; FILE stays as it is."""
    done = recover(file, out or recovered_path(file))
    print(done.summary(file))
    for loss in done.losses:
        print(f"  lost: {loss}", file=sys.stderr)
