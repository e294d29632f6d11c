"""A subscriber in another language: compiled from C against the system's libzmq, it reads decisions of a live run."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import jsonschema
import msgspec
import pytest

from edge.messages import schemas
from tests.edge.cli.run import free_endpoint, start

SOURCE = Path(__file__).with_name("subscriber.c")


@pytest.fixture
def subscriber(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (Debian package gcc)")
    program = tmp_path / "subscriber"
    built = subprocess.run(
        [compiler, "-std=c99", "-Wall", "-Werror", "-o", program, SOURCE, "-lzmq"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "zmq.h" in built.stderr:
        pytest.skip("libzmq's header is absent (Debian package libzmq3-dev)")
    assert built.returncode == 0, built.stderr
    return program


def test_a_program_in_c_reads_decisions_as_the_schema_says(subscriber: Path, tmp_path: Path) -> None:
    endpoint = free_endpoint()
    at_once = tmp_path / "at_once.toml"  # the virtual walker stands for some seconds first
    at_once.write_text('screen = { gate = false, mounting = "trust" }\n', encoding="utf-8")
    live = start(["live", "--virtual", "--config", at_once, "--endpoint", endpoint, "--encoding", "json"])
    try:
        read = subprocess.run(
            [subscriber, endpoint, "decision/", "4"], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        live.send_signal(signal.SIGINT)
        live.communicate(timeout=30)
    assert read.returncode == 0, read.stderr
    lines = [line.split("\t") for line in read.stdout.splitlines()]
    assert [topic for topic, _ in lines] == ["decision/virtual/"] * 4
    printed = json.loads(msgspec.json.encode(schemas()))
    schema = {**printed["topics"]["decision"], "$defs": printed["$defs"]}
    decisions = [json.loads(payload) for _, payload in lines]
    for decision in decisions:
        jsonschema.validate(decision, schema)
    assert [later["sequence"] - decisions[0]["sequence"] for later in decisions] == [0, 1, 2, 3]
    assert decisions[-1]["label"] in {"robust", "pre-frail", "frail"}
