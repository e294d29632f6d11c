"""`frailedge live --record`, then `replay` of what it left: the same predictions and decisions, byte for byte."""

import json
import os
import re
import signal
import time
from pathlib import Path

from edge.messages import Decision, Health, determined
from edge.recording.entries import END_TOPIC
from edge.recording.files import session_files
from edge.recording.mcap_file import salvage
from tests.ble.live_run import LiveRun
from tests.edge.cli.run import assert_refused, frailedge

ONE_LINE_S = 2.5  # without a terminal one is printed every two seconds


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
    assert re.search(r"\d s \| recording: \d\.\d MB in ", run.out)
    first, second = (salvage(file.read_bytes()).messages for file in session_files(folder))  # one for each life
    assert [m.sequence for m in first if m.topic == "health/virtual/"][:3] == [0, 1, 2], "from the first message on"
    assert second[-1].topic == END_TOPIC
    replayed = frailedge("replay", folder, "--config", other, "--json", "--no-publish", "--speed", "max")
    assert replayed.returncode == 0, replayed.stderr
    live = [
        determined(message) for message in run.messages if isinstance(message, Decision) and message.sensor == "virtual"
    ]
    again = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert len(live) >= 4
    assert json.loads(json.dumps(live)) == again


def test_a_recorder_that_is_dead_for_good_is_told_while_live_runs_and_at_its_end(tmp_path: Path) -> None:
    with LiveRun("--virtual", "--record", tmp_path, "--max-restarts", "0") as run:
        run.until(lambda _: bool(list(tmp_path.glob("*.mcap"))), "message while there is a file")
        (victim,) = run.pids("record")
        os.kill(victim, signal.SIGKILL)
        killed_s = time.time()
        run.until(lambda m: isinstance(m, Health) and m.time_s > killed_s + ONE_LINE_S, "health after it was told")
        run.end()
    assert run.process.returncode == 0, run.err
    assert "going on without a recording" in run.err
    assert re.search(r"\d s \| NOT RECORDING: the record process died", run.out)
    summary = run.out[run.out.index("Summary") :]
    assert re.search(r"NOT (ALL )?RECORDED: the record process died", summary)


def test_a_folder_that_cannot_be_written_costs_the_recording_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LiveRun("--virtual", "--record", tmp_path / "file") as run:
        run.until(lambda m: isinstance(m, Decision), "decision")
        run.end()
    assert run.process.returncode == 0, run.err
    assert "NOT RECORDED" in run.out
    assert re.search(r"\d s \| NOT RECORDING: cannot record in .*file: ", run.out), "and while it runs"
    assert "windows" in run.out


def test_wrong_options_are_refused_in_one_line(tmp_path: Path) -> None:
    assert_refused(frailedge("live", "--virtual", "--person", "Jane Doe"), "record.person", "pseudonym")
    assert_refused(frailedge("live", "--virtual", "--person", "P1"), "--person", "--record")
    assert_refused(frailedge("replay", tmp_path, "--no-publish"), str(tmp_path))
    (tmp_path / "s.mcap").write_bytes(b"no session")
    assert_refused(frailedge("replay", tmp_path / "s.mcap", "--rate-hz", "100"), "--rate-hz", "leave it out")
    assert_refused(frailedge("replay", tmp_path / "s.mcap", "--no-publish"), "s.mcap")
