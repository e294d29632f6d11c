"""`frailedge live --record`, then `replay` of what it left: the same predictions and decisions, byte for byte."""

import json
import os
import signal
from pathlib import Path

from edge.messages import Decision, determined
from edge.recording.files import session_files
from tests.ble.live_run import LiveRun
from tests.edge.cli.run import assert_refused, frailedge


def test_a_recorded_run_replays_to_its_own_decisions_whatever_is_configured_now(tmp_path: Path) -> None:
    folder, config, other = tmp_path / "rec", tmp_path / "then.toml", tmp_path / "now.toml"
    config.write_text('screen.mounting = "trust"\n', encoding="utf-8")
    other.write_text("screen.gate = false\n", encoding="utf-8")
    with LiveRun("--virtual", "--seed", "4", "--config", config, "--record", folder, "--person", "P007") as run:
        run.until(lambda m: isinstance(m, Decision) and m.motion == "walking", "decision on walking")
        (victim,) = run.pids("record")
        os.kill(victim, signal.SIGKILL)
        for _ in range(4):
            run.until(lambda m: isinstance(m, Decision) and bool(m.label), "decision with a class")
        run.end()
    assert run.process.returncode == 0, run.err
    assert "the record process ended" in run.err
    assert "recorded" in run.out
    assert "NOT" not in run.out
    assert len(session_files(folder)) == 2, "a killed recorder begins a file of its own"
    replayed = frailedge("replay", folder, "--config", other, "--json", "--no-publish", "--speed", "max")
    assert replayed.returncode == 0, replayed.stderr
    live = [
        determined(message) for message in run.messages if isinstance(message, Decision) and message.sensor == "virtual"
    ]
    again = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert len(live) >= 4
    assert json.loads(json.dumps(live)) == again


def test_a_folder_that_cannot_be_written_costs_the_recording_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LiveRun("--virtual", "--record", tmp_path / "file") as run:
        run.until(lambda m: isinstance(m, Decision), "decision")
        run.end()
    assert run.process.returncode == 0, run.err
    assert "NOT RECORDED" in run.out
    assert "windows" in run.out


def test_wrong_options_are_refused_in_one_line(tmp_path: Path) -> None:
    assert_refused(frailedge("live", "--virtual", "--person", "Jane Doe"), "record.person", "pseudonym")
    assert_refused(frailedge("replay", tmp_path, "--no-publish"), str(tmp_path))
    (tmp_path / "s.mcap").write_bytes(b"no session")
    assert_refused(frailedge("replay", tmp_path / "s.mcap", "--rate-hz", "100"), "--rate-hz", "leave it out")
    assert_refused(frailedge("replay", tmp_path / "s.mcap", "--no-publish"), "s.mcap")
