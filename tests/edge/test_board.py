"""The board: staleness by age, restarts noticed, and never a decision without its warning."""

import io

import msgspec
import pytest
from rich.console import Console

from edge.board import RESEARCH_ONLY, STALE_AFTER_S, Board
from edge.messages import Decision, Gait, Health
from edge.stream.mounting import TOO_FEW_STRIDES
from tests.edge.test_messages import EXAMPLES

NOW_S = 1_000.0


def board(age_s: float = 0.1) -> Board:
    made = Board()
    for message in EXAMPLES:
        made.take(msgspec.structs.replace(message, boot_id="00ff", time_s=NOW_S - age_s))
    return made


def drawn(made: Board, now_s: float = NOW_S) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(made.render(now_s, "title"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("age_s", "state"), [(0.0, "live"), (1.9, "live"), (2.1, "stale"), (60.0, "stale"), (-3.0, "clock")]
)
def test_a_stream_is_stale_by_the_age_of_its_newest_message(age_s: float, state: str) -> None:
    assert board(age_s).streams["left"].freshness(NOW_S) == state


def test_a_publisher_that_lives_without_samples_says_no_signal() -> None:
    made = board(age_s=5.0)
    health = next(message for message in EXAMPLES if isinstance(message, Health))
    made.take(msgspec.structs.replace(health, boot_id="00ff", time_s=NOW_S))
    assert made.streams["left"].freshness(NOW_S) == "no signal"
    assert "NO SIGNAL for 5.0 s" in drawn(made)


def test_old_messages_in_an_unbroken_sequence_are_stale_all_the_same() -> None:
    made = Board()
    decision = next(message for message in EXAMPLES if isinstance(message, Decision))
    for sequence in range(20):
        made.take(msgspec.structs.replace(decision, sequence=sequence, time_s=NOW_S - 10 + sequence / 10))
    assert made.streams["left"].freshness(NOW_S) == "stale"
    assert "STALE" in drawn(made)


def test_a_restarted_publisher_starts_a_new_stream_and_is_counted() -> None:
    made = board()
    made.take(msgspec.structs.replace(EXAMPLES[0], boot_id="another", time_s=NOW_S))
    stream = made.streams["left"]
    assert stream.n_publisher_restarts == 1
    assert stream.decision is None


def test_the_view_shows_decision_losses_latency_model_and_the_warning() -> None:
    text = drawn(board())
    for words in ("none (too few windows)", "lost", "latency ms", "synthetic twins", "streaming", RESEARCH_ONLY):
        assert words in text


def test_an_abstention_is_shown_with_its_reason() -> None:
    decision = next(message for message in EXAMPLES if isinstance(message, Decision))
    made = board()
    made.take(msgspec.structs.replace(decision, reason="low confidence", boot_id="00ff", time_s=NOW_S))
    assert "none (low confidence)" in drawn(made)
    assert "none (low confidence)" in made.plain_lines(NOW_S)[0]


def test_plain_lines_name_freshness_decision_and_training_data() -> None:
    (line,) = board().plain_lines(NOW_S + STALE_AFTER_S + 1)
    for words in ("left", "stale", "none (", "synthetic twins", "no medical device"):
        assert words in line


def test_the_gait_shows_with_its_spread_and_how_the_sensor_sits() -> None:
    shown = drawn(board())
    assert "1 strides; the last 1: stride time 1.10 s, mounting corrected" in shown


def test_while_the_mounting_is_unknown_the_strides_still_needed_show() -> None:
    made, gait = board(), next(message for message in EXAMPLES if isinstance(message, Gait))
    unknown = msgspec.structs.replace(gait, mounting="cannot tell", mounting_reason=TOO_FEW_STRIDES, mounting_strides=4)
    made.take(msgspec.structs.replace(unknown, boot_id="00ff", time_s=NOW_S))
    assert "finding how the sensor sits: 4 of 10 strides" in drawn(made)
