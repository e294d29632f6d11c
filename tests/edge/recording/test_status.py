"""What a user reads of the recording: never less lost than was, and each number with its unit."""

from pathlib import Path

import pytest

from edge.recording.status import RecorderStatus, read_status, recorded_words, recording_words, write_status

WHOLE = "recorded in rec: 3600 samples"


def test_a_status_comes_back_as_it_was_left(tmp_path: Path) -> None:
    assert read_status(tmp_path / "ring") is None
    for n_recorded in (1, 2):
        status = RecorderStatus(problem="x", n_recorded=n_recorded)
        write_status(tmp_path / "ring", status)
        assert read_status(tmp_path / "ring") == status


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (RecorderStatus(), "NOT RECORDED: the recorder never began"),
        (RecorderStatus(problem="cannot record in rec"), "NOT RECORDED: cannot record in rec"),
        (RecorderStatus(n_recorded=900, n_samples=3600, has_ended=True), WHOLE),
        (RecorderStatus(n_recorded=900, n_samples=3600, had_lives=True), f"{WHOLE} since the recorder last started"),
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


def test_while_it_runs_the_recording_is_a_size_or_a_reason() -> None:
    assert recording_words(None, "rec") == ""
    assert recording_words(RecorderStatus(n_bytes=12_340_000), "rec") == "recording: 12.3 MB in rec"
    stopped = RecorderStatus(n_bytes=12_340_000, problem="cannot record in rec: No space left on device")
    assert recording_words(stopped, "rec") == (
        "NOT RECORDING: cannot record in rec: No space left on device (12.3 MB in rec until then)"
    )
