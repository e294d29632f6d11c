"""What a user reads of the recording: never less lost than was, and each number with its unit."""

import time
from pathlib import Path

import msgspec
import pytest

from edge.recording.status import (
    SILENT_AFTER_S,
    STARTS_WITHIN_S,
    RecorderStatus,
    read_status,
    recorded_words,
    recording_words,
    silent_s,
    unended_words,
    write_status,
)

WHOLE = "recorded in rec: 0.0 MB, 3600 samples"
SECOND_NS = 1_000_000_000


def test_a_status_comes_back_as_it_was_left_with_the_time(tmp_path: Path) -> None:
    assert read_status(tmp_path / "ring") is None
    for n_recorded in (1, 2):
        status = RecorderStatus(problem="x", n_recorded=n_recorded)
        before_ns = time.monotonic_ns()
        write_status(tmp_path / "ring", status)
        read = read_status(tmp_path / "ring")
        assert read is not None
        assert before_ns <= read.told_ns <= time.monotonic_ns()
        assert msgspec.structs.replace(read, told_ns=0) == status


@pytest.mark.parametrize(
    ("told_s", "started_s", "now_s", "silent"),
    [
        (100.0, 50.0, 100.0 + SILENT_AFTER_S - 0.1, 0.0),
        (100.0, 50.0, 100.0 + SILENT_AFTER_S, SILENT_AFTER_S),
        (0.0, 50.0, 50.0 + STARTS_WITHIN_S - 0.1, 0.0),  # starting for the first time
        (10.0, 50.0, 50.0 + STARTS_WITHIN_S - 0.1, 0.0),  # and again: what an earlier one told says nothing
        (10.0, 50.0, 50.0 + STARTS_WITHIN_S, STARTS_WITHIN_S),
    ],
)
def test_a_recorder_is_silent_once_it_told_nothing_for_longer_than_it_may_take(
    told_s: float, started_s: float, now_s: float, silent: float
) -> None:
    told_ns, started_ns, now_ns = (round(time_s * SECOND_NS) for time_s in (told_s, started_s, now_s))
    assert silent_s(told_ns, started_ns, now_ns) == silent


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (RecorderStatus(), "NOT RECORDED: the recorder never began"),
        (RecorderStatus(problem="cannot record in rec"), "NOT RECORDED: cannot record in rec"),
        (RecorderStatus(n_recorded=900, n_samples=3600, has_ended=True), WHOLE),
        (RecorderStatus(n_recorded=900, n_samples=3600, had_lives=True), f"{WHOLE} since the recorder last started"),
        (
            RecorderStatus(had_lives=True, n_bytes=700_000, problem="disk full"),
            "recorded in rec: 0.7 MB, 0 samples since the recorder last started; NOT ALL RECORDED: disk full",
        ),
        (
            RecorderStatus(n_recorded=900, n_samples=3600, n_overwritten=100),
            f"{WHOLE}; NOT recorded: 100 records that the ring overwrote before they were read",
        ),
        (
            RecorderStatus(n_recorded=900, n_samples=3600, n_unrecorded=70, n_unrecorded_samples=40, problem="full"),
            f"{WHOLE}; NOT recorded: 70 entries, 40 samples among them; full",
        ),
        (
            RecorderStatus(n_recorded=900, n_samples=3600, problem="the record process died"),
            f"{WHOLE}; NOT ALL RECORDED: the record process died",
        ),
    ],
)
def test_the_end_says_what_was_kept_and_what_was_not(status: RecorderStatus, words: str) -> None:
    assert recorded_words(status, "rec") == words


def test_what_a_recorder_without_an_end_may_lack_is_all_since_it_last_told() -> None:
    status = RecorderStatus(n_recorded=9, told_ns=100 * SECOND_NS)
    words = "the recorder did not get to its end: "
    assert unended_words(status, 111 * SECOND_NS + 1) == f"{words}the last 12 s may be missing"
    nothing = msgspec.structs.replace(status, n_recorded=0, had_lives=True)
    assert unended_words(nothing, 101 * SECOND_NS) == f"{words}it had recorded nothing yet"


def test_while_it_runs_the_recording_is_a_size_or_a_reason() -> None:
    assert recording_words(None, "rec") == ""
    assert recording_words(RecorderStatus(n_bytes=12_340_000), "rec") == "recording: 12.3 MB in rec"
    stopped = RecorderStatus(n_bytes=12_340_000, problem="cannot record in rec: No space left on device")
    assert recording_words(stopped, "rec") == (
        "NOT RECORDING: cannot record in rec: No space left on device (12.3 MB in rec until then)"
    )
