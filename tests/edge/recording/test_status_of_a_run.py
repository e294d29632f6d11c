"""What a run says of its recorder, a real process that is killed and stopped: nothing lost is called recorded."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Config, PublishConfig, RecordConfig
from edge.recording import status as status_module
from edge.recording.status import RecorderStatus, recorded_words, recording_words
from edge.run_settings import RunSensor
from edge.supervisor import Supervisor
from tests.edge.cli.run import free_endpoint

WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


def pid_of_the_recorder() -> int:
    command = ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())]
    children = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (pid,) = [line.split()[0] for line in children if "edge.record" in line and line.split()[1][0] != "Z"]
    return int(pid)


def until(run: Supervisor, wanted: Callable[[RecorderStatus], bool]) -> list[RecorderStatus]:
    """All that was said of the recorder until it is what is wanted."""
    seen: list[RecorderStatus] = []
    deadline_s = time.monotonic() + WITHIN_S
    while not seen or not wanted(seen[-1]):
        assert time.monotonic() < deadline_s, seen[-1]
        run.check()
        status = run.recording
        assert status is not None
        seen.append(status)
        time.sleep(LOOK_EVERY_S)
    return seen


def test_a_recorder_that_hangs_is_told_while_it_does_and_one_that_is_killed_keeps_its_size(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(
        publish=PublishConfig(endpoint=free_endpoint()), record=RecordConfig(on=True, directory=str(tmp_path))
    )
    with Supervisor(config, (RunSensor(stream_id=0, name="virtual"),), is_virtual=True) as run:
        before = until(run, lambda status: status.n_samples > 0)[-1]
        os.kill(pid_of_the_recorder(), signal.SIGSTOP)
        (*going, hanging) = until(run, lambda status: bool(status.problem))
        assert len(going) > 1, "a recorder may take a moment"
        assert recording_words(hanging, "rec").startswith("NOT RECORDING: the recorder has not answered for 5 s (")
        os.kill(pid_of_the_recorder(), signal.SIGKILL)
        died, *seen = until(run, lambda status: status.had_lives and status.n_samples > 0)
        assert all(status.n_bytes >= before.n_bytes for status in (died, *seen))
        assert not any(status.problem for status in seen), "a dead one and one that starts have other words"
        silent, ended = capfd.readouterr().err.splitlines()
        assert silent == "frailedge: the recorder has not answered for 5 s; the classification goes on"
        assert ended == "frailedge: the record process ended with status -9; restarting it"

        monkeypatch.setattr(status_module, "SILENT_AFTER_S", 2.0)
        os.kill(pid_of_the_recorder(), signal.SIGSTOP)
        n_samples = until(run, lambda status: "for 3 s" in status.problem)[-1].n_samples
        os.kill(pid_of_the_recorder(), signal.SIGCONT)
        until(run, lambda status: not status.problem and status.n_samples > n_samples)
        silent, again = capfd.readouterr().err.splitlines()
        assert "has not answered for 2 s" in silent
        assert again == "frailedge: the recorder answers again"

        os.kill(pid_of_the_recorder(), signal.SIGSTOP)
        until(run, lambda status: bool(status.problem))
        run.end()
        last = run.recording
        assert run.has_ended
    assert last is not None
    told = re.search(r"; NOT ALL RECORDED: .* its end: the last (\d+) s may be missing$", recorded_words(last, "rec"))
    assert told is not None, last
    assert int(told[1]) >= 3, "since it hung, not the last second alone"


TRACER = """
import ctypes, os, sys
PTRACE_SEIZE = 0x4206
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
print(ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None), flush=True)
sys.stdin.read()
"""


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # so it is
def test_a_run_ends_although_its_recorder_cannot_be_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = Config(
        publish=PublishConfig(endpoint=free_endpoint()), record=RecordConfig(on=True, directory=str(tmp_path))
    )
    with Supervisor(config, (RunSensor(stream_id=0, name="virtual"),), is_virtual=True) as run:
        until(run, lambda status: status.n_samples > 0)
        # As with one that waits for a disk in the kernel, no wait for it returns: its tracer keeps it from its parent.
        tracer = subprocess.Popen(
            [sys.executable, "-c", TRACER, str(pid_of_the_recorder())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with tracer:
            assert tracer.stdout is not None
            if tracer.stdout.readline().strip() != "0":
                pytest.skip("this machine lets nobody trace")
            run.end()
            assert run.has_ended
            assert run.recording is not None
    assert "the record process cannot be ended now: left behind" in capfd.readouterr().err
