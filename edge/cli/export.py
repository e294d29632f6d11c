"""`frailedge export`: a recorded session for other programs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.export import export


def command(
    session: Annotated[
        Path, typer.Argument(help="A session's file, its folder, or DIR/NAME where a folder holds several.")
    ],
    to: Annotated[str, typer.Option("--to", help="csv, parquet or bids.", metavar="FORMAT")],
    out: Annotated[Path, typer.Option("--out", help="A folder that is new or empty.", metavar="DIR")],
) -> None:
    """Write the samples of a session as CSV (which `frailedge replay` reads), Parquet or BIDS-motion."""
    made = export(session, to, out)
    for loss in made.losses:
        print(f"frailedge: {loss}", file=sys.stderr)
    print("\n".join(map(str, made.files)))
