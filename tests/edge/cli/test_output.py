"""A standard output that cannot be written: one line and status 2; one that nobody reads: silence, as of any filter."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.output import CLOSED_PIPE_STATUS
from tests.edge.cli.run import assert_refused, frailedge
from tests.edge.cli.test_calibrate import described, write_worn

WORN = "x,y,z"
COMMANDS = ["config", "calibrate", "replay"]


def command(name: str, folder: Path) -> list[str | Path]:
    if name == "config":
        return ["config"]
    recording: list[str | Path] = [write_worn(folder, WORN), "--sensor", described(folder, WORN)]
    return [name, *recording] if name == "calibrate" else [name, *recording, "--speed", "max", "--no-publish", "--json"]


@pytest.fixture
def full() -> Iterator[int]:
    there = os.open("/dev/full", os.O_WRONLY)
    yield there
    os.close(there)


@pytest.fixture
def closed() -> Iterator[int]:
    reads, writes = os.pipe()
    os.close(reads)
    yield writes
    os.close(writes)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_status_2(tmp_path: Path, full: int, name: str) -> None:
    result = frailedge(*command(name, tmp_path), stdout=full)
    assert_refused(result, "standard output cannot be written: No space left on device")
    assert "ignored" not in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_pipe_is_no_line_and_a_status_of_its_own(tmp_path: Path, closed: int, name: str) -> None:
    result = frailedge(*command(name, tmp_path), stdout=closed)
    assert result.returncode == CLOSED_PIPE_STATUS, result.stderr
    for word in ("Traceback", "ignored", "frailedge: "):
        assert word not in result.stderr


def test_a_usage_error_keeps_its_own_words_where_nothing_can_be_written(full: int) -> None:
    result = frailedge("config", "--nonsense", stdout=full)
    assert result.returncode == 2
    assert "--nonsense" in result.stderr
    assert "standard output" not in result.stderr
