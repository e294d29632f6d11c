"""The command line as a user has it: a process of its own, its output and its exit status."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def frailedge(
    *arguments: str | Path, timeout_s: float = 120.0, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=False,
        env=_environment(),
    )


def start(arguments: Sequence[str | Path]) -> subprocess.Popen[str]:
    """Start a command and leave it running."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(), start_new_session=True
    )


def free_endpoint() -> str:
    """A loopback address that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, no traceback, and a last line of standard error that says what is wrong."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("frailedge: ")
    for word in words:
        assert word in last


def _environment() -> dict[str, str]:
    # As wide as a file is: rich must not fold lines at 80 columns of a terminal that is not there.
    return {**os.environ, "PYTHONWARNINGS": "default", "COLUMNS": "200"}
