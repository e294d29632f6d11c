"""`frailedge evaluate`: a confusion matrix that somebody published, as the figures that this program quotes."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    counts: Annotated[Path, typer.Argument(help="CSV: a line of classes, then for each true class its counts.")],
) -> None:
    """Print precision, recall and F1 of each class, accuracy and balanced accuracy of a confusion matrix."""
    from trainer.class_report import class_table, read_counts  # noqa: PLC0415 - the edge starts without the trainer

    typer.echo(class_table(*read_counts(counts)))
