"""A session's class rests on all its windows, its interval on how they depend on each other; little gives no result."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.messages import Decision, Figure, Gait, GaitSummary, Message, Prediction
from edge.session_result import BLOCK_S, MIN_BLOCKS, TimedWindow, classify, session_result
from edge.stream.decision import PROBABILITY_FLOOR

LABELS = ("robust", "pre-frail", "frail")
HOP_S, WINDOW_S = 50 / 104, 200 / 104
ROBUST, FRAIL = (0.6, 0.3, 0.1), (0.05, 0.05, 0.9)


def windows_of(table: Sequence[Sequence[float]] | NDArray[np.float64], first_s: float = 0.0) -> list[TimedWindow]:
    """Used windows a hop apart, with these ``(n, 3)`` probabilities."""
    starts_s = [first_s + i * HOP_S for i in range(len(table))]
    return [
        TimedWindow(
            start_s, start_s + WINDOW_S, "walking", (), "", None, dict(zip(LABELS, map(float, row), strict=True))
        )
        for start_s, row in zip(starts_s, table, strict=True)
    ]


def about(i: int, **other: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "sensor": "left",
        "boot_id": "a",
        "time_s": 5000.0 + 100.0 + i * HOP_S + WINDOW_S,
        "stretch": 0,
        "sample_start": 50 * i,
        "sample_stop": 50 * i + 200,
        "window_start_s": 100.0 + i * HOP_S,
        "window_stop_s": 100.0 + i * HOP_S + WINDOW_S,
        "bridged_share": 0.0,
        "outlier_share": 0.0,
        "motion": "walking",
        "walking_share": 1.0,
        "flags": (),
        "model": "m",
        "model_sha256": "0",
        "variant": "int8",
        "trained_on": "synthetic",
    }
    return fields | other


def told(i: int, probabilities: Sequence[float] = ROBUST, reason: str = "", **other: Any) -> list[Message]:
    """What is published of the ``i``-th window; with a ``reason`` it was refused."""
    shares = dict(zip(LABELS, probabilities, strict=True))
    label = None if reason else "robust"
    decision = Decision(
        **about(i, **other),
        probabilities=shares,
        label=label,
        class_index=-1 if reason else 0,
        reason=reason,  # type: ignore[arg-type]
        n_windows=0,
        n_refused=0,
        held_windows=0,
        held_s=0.0,
    )
    if reason:
        return [decision]
    return [Prediction(**about(i, **other), probabilities=shares, label="robust", class_index=0), decision]


def strides(n: int, **other: Any) -> Gait:
    summary = GaitSummary(n, *[Figure(1.0, 0.1, n)] * 6)
    fields = {"sensor": "left", "boot_id": "a"} | other
    return Gait(
        **fields,
        session=summary,
        recent=summary,
        strides=(),
        mounting="trusted",
        mounting_reason="",
        mounting_strides=0,
        side="",
        tilt_deg=0.0,
    )


def walk(n: int, first: int = 0, **other: Any) -> list[Message]:
    return [message for i in range(first, first + n) for message in told(i, **other)]


def test_the_class_is_that_of_the_mean_log_probability_and_the_first_window_counts_like_the_last() -> None:
    table = np.array([ROBUST] * 80 + [FRAIL] * 20)
    result = classify(windows_of(table), min_windows=4)
    expected = np.exp(np.log(table).mean(axis=0))
    assert list(result.probabilities.values()) == pytest.approx(list(expected / expected.sum()))
    assert result.label == "robust"
    backwards = classify(windows_of(table[::-1]), min_windows=4)
    assert dict(backwards.probabilities) == pytest.approx(dict(result.probabilities))


def test_a_probability_of_0_is_floored_and_does_not_rule_the_session() -> None:
    result = classify(windows_of([(0.9, 0.1, 0.0)] * 3), min_windows=2)
    assert result.probabilities["frail"] == pytest.approx(PROBABILITY_FLOOR / (1 + PROBABILITY_FLOOR))


@pytest.mark.parametrize(("n", "min_windows", "needed"), [(0, 1, 2), (1, 1, 2), (1, 0, 2), (3, 4, 4)])
def test_too_few_windows_give_no_class_no_probability_and_the_reason(n: int, min_windows: int, needed: int) -> None:
    result = classify(windows_of([ROBUST] * n), min_windows=min_windows)
    assert (result.label, result.leader, result.interval_95, dict(result.probabilities)) == (None, None, None, {})
    assert result.reason == result.no_interval_because == f"too few windows: {n} of at least {needed}"


def test_below_the_least_confidence_no_class_is_told() -> None:
    assert classify(windows_of([ROBUST] * 9), min_windows=4, least_confidence=0.59).label == "robust"
    result = classify(windows_of([ROBUST] * 9), min_windows=4, least_confidence=0.61)
    assert (result.label, result.leader) == (None, "robust")
    assert "0.61" in result.reason


def test_too_short_a_walk_has_a_class_and_no_interval_which_is_said() -> None:
    n_just_enough = math.floor((MIN_BLOCKS - 1) * BLOCK_S / HOP_S) + 2
    enough = classify(windows_of([ROBUST] * n_just_enough), min_windows=4)
    short = classify(windows_of([ROBUST] * (n_just_enough - 2)), min_windows=4)
    assert enough.interval_95 == pytest.approx((0.6, 0.6))
    assert enough.no_interval_because == ""
    assert (short.label, short.interval_95, short.lead_share) == ("robust", None, None)
    assert short.no_interval_because == f"{MIN_BLOCKS - 1} stretches of 20 s, {MIN_BLOCKS} are needed"


def simulated(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """``(n, 3)`` windows that share three quarters of their strides with the next, of strides that are alike."""
    logits = np.empty((n + 3, 3))
    state = rng.standard_normal(3)
    for i in range(n + 3):
        logits[i] = state = 0.8 * state + 0.6 * rng.standard_normal(3)
    overlapping = sum(logits[i : i + n] for i in range(4)) / 4 + np.array([0.6, 0.2, 0.0])
    shares = np.exp(overlapping)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def test_the_interval_holds_the_truth_as_often_as_it_says_although_windows_overlap() -> None:
    """And an interval that took windows for independent, 1.96 standard errors of the mean, would not by far."""
    rng = np.random.default_rng(1)
    truth = classify(windows_of(simulated(rng, 20_000)), min_windows=2).probabilities
    n, n_walks = int(180.0 / HOP_S), 100
    n_held = n_naive = 0
    for _ in range(n_walks):
        table = simulated(rng, n)
        result = classify(windows_of(table), min_windows=2)
        assert result.leader is not None
        assert result.interval_95 is not None
        low, high = result.interval_95
        n_held += low <= truth[result.leader] <= high
        lead = LABELS.index(result.leader)
        odds = np.log(table[:, lead]) - np.log(np.delete(table, lead, axis=1)).mean(axis=1)
        true_lead = truth[result.leader]
        others = [math.log(share) for label, share in truth.items() if label != result.leader]
        n_naive += abs(odds.mean() - math.log(true_lead) + sum(others) / 2) <= 1.96 * odds.std(ddof=1) / math.sqrt(n)
    assert n_held / n_walks >= 0.90
    assert n_naive / n_walks < 0.75


def test_the_same_windows_in_any_order_give_the_same_interval_and_more_of_them_a_narrower_one() -> None:
    windows = windows_of(simulated(np.random.default_rng(2), 1200))
    short, long = (classify(part, min_windows=4).interval_95 for part in (windows[:270], windows))
    assert short is not None
    assert long is not None
    assert long[1] - long[0] < 0.7 * (short[1] - short[0])
    assert classify(windows[::-1], min_windows=4).interval_95 == pytest.approx(long)


def test_refused_windows_are_counted_by_reason_and_take_no_part() -> None:
    messages = [
        *walk(10),
        *told(10, FRAIL, "standing", motion="standing"),
        *told(11, FRAIL, "poor quality", flags=("clipping", "flat")),
        *told(12, FRAIL, "standing", motion="standing"),
    ]
    result = session_result(messages, min_windows=4)
    (left,) = result.sensors
    assert (left.result.n_windows, dict(left.n_refused)) == (10, {"standing": 2, "poor quality": 1})
    assert dict(left.n_flags) == {"clipping": 1, "flat": 1}
    assert left.result.probabilities == pytest.approx(dict(zip(LABELS, ROBUST, strict=True)))
    assert result.together == left.result
    assert [window.start_s for window in left.windows] == pytest.approx([i * HOP_S for i in range(13)])


def test_bouts_come_from_walking_windows_and_need_four_strides() -> None:
    still = [message for i in range(40, 60) for message in told(i, reason="standing", motion="standing")]
    messages = [*walk(20), strides(3), *walk(20, 20), strides(9), *still, *walk(8, 60), strides(10)]
    (left,) = session_result(messages, min_windows=4).sensors
    (bout,) = left.bouts
    assert (bout.start_ns, bout.n_strides, bout.break_ns) == (0, 9, 0)
    assert left.walked_s == pytest.approx(39 * HOP_S + WINDOW_S)
    assert left.gait is not None
    assert left.gait.session.n_strides == 10


def test_a_sensor_that_began_anew_goes_on_in_the_sessions_time() -> None:
    """Its clock starts at 0 again; its strides go on being counted, and none of its windows is lost."""
    again = [
        replaced
        for i in range(10)
        for replaced in told(
            i,
            window_start_s=i * HOP_S,
            window_stop_s=i * HOP_S + WINDOW_S,
            sample_start=9000 + i,
            time_s=5130.0 + i * HOP_S,
        )
    ]
    (left,) = session_result([*walk(10), strides(5), *again, strides(8)], min_windows=4).sensors
    assert left.result.n_windows == 20
    assert left.windows[10].start_s == pytest.approx(30.0 - WINDOW_S, abs=1e-6)
    assert all(one.start_s < other.start_s for one, other in zip(left.windows, left.windows[1:], strict=False))
    assert left.gait is not None
    assert [bout.n_strides for bout in left.bouts] == [5]


def test_windows_that_a_publisher_tells_again_after_it_was_killed_count_once() -> None:
    """It reads again what it had not committed: the same walk, from five windows before on."""
    again = walk(20, 15, boot_id="b")
    (left,) = session_result([*walk(20), strides(9), *again, strides(14, boot_id="b")], min_windows=4).sensors
    starts_s = [window.start_s for window in left.windows]
    assert starts_s == sorted(set(starts_s))
    assert 30 <= left.result.n_windows <= 35
    assert left.windows[-1].stop_s == pytest.approx(34 * HOP_S + WINDOW_S)


def test_both_feet_together_are_the_person_and_stand_beside_each_foot() -> None:
    right = [message for i in range(30) for message in told(i, FRAIL, sensor="right")]
    result = session_result([*walk(30), *right], min_windows=4, sensors=("left", "right", "third"))
    assert [one.sensor for one in result.sensors] == ["left", "right", "third"]
    assert [one.result.label for one in result.sensors] == ["robust", "frail", None]
    mean = np.sqrt(np.array(ROBUST) * np.array(FRAIL))
    assert list(result.together.probabilities.values()) == pytest.approx(list(mean / mean.sum()))
    assert result.together.n_blocks == result.sensors[0].result.n_blocks, "one time for both feet"
    assert result.sensors[2].windows == ()


def test_two_models_in_one_session_are_refused() -> None:
    (one, *rest) = windows_of([ROBUST] * 5)
    other = replace(one, probabilities={"a": 0.5, "b": 0.5})
    with pytest.raises(RecordingError, match="more than one model"):
        classify([other, *rest], min_windows=2)
