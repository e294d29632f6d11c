"""`frailedge doctor` as a user has it: a line each, a program's JSON, and an exit status that can be trusted."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.ble.bus import ADDRESS_VARIABLE
from tests.edge.cli.run import frailedge, free_endpoint

CHECKS = [
    "configuration",
    "bluez",
    "permission",
    "adapter",
    "rfkill",
    "main.conf",
    "shared chip",
    "model",
    "clock",
    "disk",
    "ports",
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a run over bumble, where this machine's Bluetooth does not matter."""
    path = tmp_path / "mine.toml"
    path.write_text(f'[ble]\nbackend = "usb:0"\n[publish]\nendpoint = "{free_endpoint()}"\n', encoding="utf-8")
    return path


def test_warnings_alone_end_with_0(config: Path) -> None:
    result = frailedge("doctor", "--config", config)
    assert result.returncode == 0, result.stdout + result.stderr
    *lines, summary = result.stdout.splitlines()
    assert len(lines) == len(CHECKS)
    assert {line.split()[0] for line in lines} == {"ok", "warning"}
    assert summary.startswith("11 checks, 0 failed, ")


def test_no_d_bus_is_a_line_and_status_1_never_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, f"unix:path={tmp_path}/none")
    result = frailedge("doctor", "--json")
    assert result.returncode == 1
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert [found["name"] for found in report["findings"]] == CHECKS
    levels = [found["level"] for found in report["findings"]]
    assert report["n_failures"] == levels.count("failure")
    assert report["n_warnings"] == levels.count("warning")
    bluez = next(found for found in report["findings"] if found["name"] == "bluez")
    assert bluez["level"] == "failure"
    assert "D-Bus is not running" in bluez["words"]
    assert bluez["advice"]


def test_the_lines_for_main_conf_are_printed_alone() -> None:
    result = frailedge("doctor", "--main-conf")
    assert (result.returncode, result.stderr) == (0, "")
    assert tomllib.loads(result.stdout) == {
        "LE": {
            "MinConnectionInterval": 12,
            "MaxConnectionInterval": 12,
            "ConnectionLatency": 0,
            "ConnectionSupervisionTimeout": 400,
        }
    }


def test_an_unknown_option_ends_with_2() -> None:
    assert frailedge("doctor", "--nonsense").returncode == 2
