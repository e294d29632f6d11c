"""Standard output that says when it cannot be written: `OutputError`, whoever writes, in the place of an `OSError`.

An `OSError` would be taken for one of a command's own files, and typer and rich make status 1 of a closed pipe.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from edge.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CLOSED_PIPE_STATUS: Final = 141
"""What a shell reports of a filter that died of SIGPIPE."""


class _Checked(io.FileIO):
    """The bare file under standard output."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error) from error


def check_stdout() -> None:
    """Put a standard output that raises `OutputError` in the place of Python's own; buffered as that one is."""
    if sys.stdout is None:  # closed by whoever started the program: Python itself then prints to nowhere
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the program ends
        return
    own = cast(io.TextIOWrapper, sys.stdout)
    raw = _Checked(own.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if own.write_through else io.BufferedWriter(raw),
        encoding=own.encoding,
        errors=own.errors,
        line_buffering=own.line_buffering,
        write_through=own.write_through,
    )


def drop_stdout() -> None:
    """Write what is left, or forget it: nothing of it may come up again when Python ends."""
    try:
        sys.stdout.flush()
    except OutputError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
