"""A session's class rests on all its windows, its interval on how they depend on each other; little gives no result."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.messages import Decision, Figure, Gait, GaitSummary, Health, Prediction, StrideFigures
from edge.session_result import BLOCK_S, MIN_BLOCKS, SensorResult, classify, session_result
from edge.session_time import SensorTime, TimedWindow
from edge.sources.session_reader import Published
from edge.stream.decision import PROBABILITY_FLOOR
from tests.edge.test_messages import EXAMPLES

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


def told(
    i: int, probabilities: Sequence[float] = ROBUST, reason: str = "", *, received_s: float | None = None, **other: Any
) -> list[Published]:
    """What is published of the ``i``-th window, 5,000 s later by the host's clock; with a ``reason`` it was refused."""
    shares = dict(zip(LABELS, probabilities, strict=True))
    fields = about(i, **other)
    decision = Decision(
        **fields,
        probabilities=shares,
        label=None if reason else "robust",
        class_index=-1 if reason else 0,
        reason=reason,  # type: ignore[arg-type]
        n_windows=0,
        n_refused=0,
        held_windows=0,
        held_s=0.0,
    )
    prediction = Prediction(**fields, probabilities=shares, label="robust", class_index=0)
    at_s = fields["window_stop_s"] + 5000.0 if received_s is None else received_s
    return [Published(one, round(at_s * 1e9)) for one in ([decision] if reason else [prediction, decision])]


def strides(*starts_s: float, stride_s: float = 1.0, **other: Any) -> Published:
    """New strides with these device times, told soon after the last of them."""
    none = GaitSummary(0, *[Figure(None, None, 0)] * 6)
    fields: dict[str, Any] = {
        "sensor": "left",
        "boot_id": "a",
        "session": none,
        "recent": none,
        "strides": tuple(StrideFigures(at_s, stride_s, 60.0, 40.0, 1.2 * stride_s, 1.2) for at_s in starts_s),
        "n_implausible": 0,
        "mounting": "corrected",
        "mounting_reason": "",
        "mounting_strides": 12,
        "side": "",
        "tilt_deg": 0.0,
    }
    return Published(Gait(**fields | other), round((max(starts_s, default=0.0) + 5002.0) * 1e9))


def health(**fields: Any) -> Published:
    example = next(message for message in EXAMPLES if isinstance(message, Health))
    return Published(msgspec.structs.replace(example, **{"boot_id": "a", **fields}), 0)


def walk(n: int, first: int = 0, **other: Any) -> list[Published]:
    return [message for i in range(first, first + n) for message in told(i, **other)]


def left_of(messages: Sequence[Published]) -> SensorResult:
    (left,) = session_result(messages, min_windows=4).sensors
    return left


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
    assert result.reason == result.no_interval_because == f"too few windows in walking bouts: {n} of at least {needed}"


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
        strides(*(100.0 + i for i in range(5))),
        *told(10, FRAIL, "standing", motion="standing"),
        *told(11, FRAIL, "poor quality", flags=("clipping", "flat")),
        *told(12, FRAIL, "standing", motion="standing"),
        *told(13, FRAIL, "gaps", flags=("gaps",)),
    ]
    result = session_result(messages, min_windows=4)
    (left,) = result.sensors
    assert (left.result.n_windows, dict(left.n_refused)) == (10, {"standing": 2, "poor quality": 1, "gaps": 1})
    assert dict(left.n_flags) == {"clipping": 1, "flat": 1, "gaps": 1}
    assert left.result.probabilities == pytest.approx(dict(zip(LABELS, ROBUST, strict=True)))
    assert result.together == left.result
    assert [window.start_s for window in left.windows] == pytest.approx([i * HOP_S for i in range(14)])


def test_gait_figures_are_over_the_strides_of_all_lives() -> None:
    """A publisher that began anew tells the figures of its own strides only; what it says of all is not asked."""
    again = walk(20, 20, boot_id="b")
    messages = [
        *walk(20),
        strides(*(100.0 + i for i in range(8)), stride_s=1.0, n_implausible=1),
        strides(108.0, n_implausible=3),
        *again,
        strides(*(111.0 + 2 * i for i in range(4)), stride_s=2.0, boot_id="b", n_implausible=2),
    ]
    left = left_of(messages)
    times_s = [1.0] * 9 + [2.0] * 4
    assert left.figures.stride_time_s.n == left.figures.stride_length_m.n == left.figures.n_strides == 13
    assert left.figures.stride_time_s.mean == pytest.approx(np.mean(times_s))
    assert left.figures.stride_time_s.deviation == pytest.approx(np.std(times_s, ddof=1))
    assert left.figures.cadence_strides_min.mean == pytest.approx(np.mean([60 / time_s for time_s in times_s]))
    assert left.figures.stance_percent.mean == pytest.approx(60.0)
    assert left.n_implausible == 5
    assert [bout.n_strides for bout in left.bouts] == [13]


def test_the_last_message_that_knows_how_the_sensor_sits_says_it() -> None:
    unknown: dict[str, Any] = {"mounting": "cannot tell", "mounting_reason": "too few strides"}
    after = left_of([*walk(9), strides(100.0), strides(**unknown, boot_id="b")])
    assert after.gait is not None
    assert after.gait.mounting == "corrected"
    never = left_of([*walk(9), strides(**unknown), strides(**unknown, mounting_strides=7)])
    assert never.gait is not None
    assert (never.gait.mounting, never.gait.mounting_strides) == ("cannot tell", 7)


def test_the_link_s_counts_are_those_of_the_whole_session() -> None:
    left = left_of(
        [
            *walk(9),
            health(n_samples=1000, n_packets=250, n_long_gaps=2),
            health(n_samples=100, n_packets=300, n_long_gaps=1, boot_id="b"),
        ]
    )
    assert left.health is not None
    assert (left.health.n_samples, left.health.n_packets, left.health.n_long_gaps) == (1100, 300, 3)


def test_a_window_whose_prediction_is_lost_is_counted_and_one_without_its_decision_still_used() -> None:
    messages = [
        published
        for i in range(12)
        for published in told(i)
        if not (isinstance(published.message, Prediction) and i in {3, 7})
        and not (isinstance(published.message, Decision) and i in {5, 11})
    ]
    left = left_of([*messages, strides(*(100.0 + i for i in range(6)))])
    assert (len(left.windows), left.result.n_windows, left.n_lost) == (12, 10, 2)
    assert dict(left.n_refused) == {}
    assert [i for i, window in enumerate(left.windows) if window.is_lost] == [3, 7]
    assert [i for i, window in enumerate(left.windows) if window.label is None] == [5, 11]


def boot_again(received_s: float) -> list[Published]:
    """Ten windows of a sensor whose clock began at 0 once more."""
    return [
        published
        for i in range(10)
        for published in told(
            i,
            window_start_s=i * HOP_S,
            window_stop_s=i * HOP_S + WINDOW_S,
            sample_start=9000 + i,
            received_s=received_s + i * HOP_S,
        )
    ]


def test_a_sensor_that_began_anew_goes_on_in_the_sessions_time() -> None:
    """Its clock starts at 0 again, so its distance to the host's is another; none of its windows is lost."""
    left = left_of([*walk(10), strides(*(100.0 + i for i in range(5))), *boot_again(5130.0), strides(1.0)])
    assert (left.result.n_windows, left.n_outside_bouts) == (10, 10)
    assert left.windows[10].start_s == pytest.approx(30.0 - WINDOW_S, abs=1e-6)
    assert all(one.start_s < other.start_s for one, other in zip(left.windows, left.windows[1:], strict=False))
    assert left.figures.n_strides == 6
    assert [bout.n_strides for bout in left.bouts] == [5]


def test_strides_held_until_the_mounting_was_found_lie_on_the_clock_on_which_they_were_walked() -> None:
    """The sensor booted in the middle of the search: its times go back within one message."""
    told_late = strides(*(100.0 + i for i in range(5)), 0.5, 1.5, 2.5, 3.5)
    left = left_of([*walk(10), *boot_again(5130.0), told_late])
    assert left.figures.n_strides == 9
    assert [(round(bout.start_ns / 1e9), bout.n_strides) for bout in left.bouts] == [(0, 5), (28, 4)]


def test_strides_told_after_a_boot_that_were_all_walked_before_it_lie_there_too() -> None:
    left = left_of([*walk(10), *boot_again(5130.0), strides(*(100.0 + i for i in range(5)))])
    assert [(bout.start_ns, bout.n_strides) for bout in left.bouts] == [(0, 5)]


def heard(n: int, *, device_s: float, received_s: float, late_s: float = 0.0, **other: Any) -> list[Published]:
    """Windows from ``device_s`` on, the first of which arrived at ``received_s`` and ``late_s`` besides."""
    return [
        published
        for i in range(n)
        for published in told(
            i,
            sample_start=round(device_s * 104) + 50 * i,
            window_start_s=device_s + i * HOP_S,
            window_stop_s=device_s + i * HOP_S + WINDOW_S,
            received_s=received_s + i * HOP_S + (late_s if i == 0 else 0.0),
            **other,
        )
    ]


@pytest.mark.parametrize("device_s", [3.5, 10.0, 4000.0])
def test_a_sensor_that_began_anew_and_whose_clock_is_ahead_by_now_lies_where_it_was_heard(device_s: float) -> None:
    """It booted, unheard for 65 s: its clock never went back, but stretch and distance to the host's clock changed."""
    time = SensorTime()
    for published in (
        *heard(3, device_s=0.0, received_s=5000.0 + WINDOW_S),
        *heard(1, device_s=3 * HOP_S, received_s=5065.0),  # waited for the samples after it, and the boot came
        *heard(9, device_s=device_s, received_s=5065.0 + WINDOW_S, stretch=1),
        strides(0.2, 1.4, device_s + 0.3, device_s + 1.3),
    ):
        time.take(published.message, published.received_ns)
    time.finish()
    assert [window.start_s for window in time.windows] == pytest.approx(
        [*(5000.0 + i * HOP_S for i in range(4)), *(5065.0 + i * HOP_S for i in range(9))]
    )
    assert [stride.start_s for stride in time.strides] == pytest.approx([5000.2, 5001.4, 5065.3, 5066.3])


def test_a_message_that_was_late_moves_no_window_also_after_a_gap() -> None:
    before = heard(5, device_s=0.0, received_s=5002.0)
    between = heard(5, device_s=5 * HOP_S, received_s=5002.0 + 5 * HOP_S, late_s=6.0)
    after = heard(5, device_s=30.0, received_s=5032.0, late_s=6.0, stretch=1)
    starts_s = [window.start_s for window in left_of([*before, *between, *after]).windows]
    assert starts_s == pytest.approx([*(i * HOP_S for i in range(10)), *(30.0 + i * HOP_S for i in range(5))], abs=1e-6)


def test_windows_and_strides_that_a_publisher_tells_again_after_it_was_killed_count_once() -> None:
    """It reads again what it had not committed: the same walk, from five windows before on, each stride about there."""
    before = strides(*(100.2 + i for i in range(9)))
    after = strides(*(106.22 + i for i in range(8)), boot_id="b")
    left = left_of([*walk(20), before, *walk(20, 15, boot_id="b"), after])
    starts_s = [window.start_s for window in left.windows]
    assert starts_s == sorted(set(starts_s))
    assert 30 <= left.result.n_windows <= 35
    assert left.windows[-1].stop_s == pytest.approx(34 * HOP_S + WINDOW_S)
    assert left.figures.n_strides == 14
    assert [bout.n_strides for bout in left.bouts] == [14]


def test_the_wall_clock_moves_nothing() -> None:
    """It was set by 40 days between two lives of the publisher."""
    first, second = strides(*(100.0 + i for i in range(8))), strides(*(110.0 + i for i in range(8)), boot_id="b")
    left = left_of([*walk(20, time_s=1e9), first, *walk(20, 20, boot_id="b", time_s=1e9 + 40 * 86_400), second])
    assert left.windows[-1].stop_s == pytest.approx(39 * HOP_S + WINDOW_S)
    assert left.result.n_windows == pytest.approx(40, abs=4)


def test_both_feet_together_are_the_person_and_stand_beside_each_foot() -> None:
    right = [message for i in range(30) for message in told(i, FRAIL, sensor="right")]
    steps = [strides(*(100.0 + i for i in range(9)), sensor=sensor) for sensor in ("left", "right")]
    result = session_result([*walk(30), *right, *steps], min_windows=4, sensors=("left", "right", "third"))
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
