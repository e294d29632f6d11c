"""With packets lost, decisions become fewer and not worse: a short walk of three people; many are in the benchmark."""

import numpy as np
import pytest

from edge.config import ModelConfig
from firmware_bridge.channels import Samples
from tests.benchmarks.packet_loss import (
    CONDITIONS,
    NONE,
    Condition,
    Outcome,
    decisions_of,
    outcome,
    received,
    wrong_difference,
)
from trainer.class_figures import draw_people
from trainer.twins import walk_of

RATE_HZ, WALK_S = 104.0, 30.0
# One of each class whom the default bundle, weak as it is, tells right: a wrong decision of theirs is the loss's doing.
WALKERS = (draw_people(24, seed=5)[6], draw_people(30, seed=6)[11], draw_people(24, seed=5)[11])
# Single packets are bridged, bursts end the stretch.
LOSSES = (NONE, Condition(0.01, burst_packets=10), Condition(0.05), Condition(0.2, burst_packets=10))


@pytest.fixture(scope="module")
def walks() -> list[Samples]:
    return [walk_of(person, duration_s=WALK_S, rate_hz=RATE_HZ, seed=7001).astype(np.float32) for person in WALKERS]


def test_with_loss_abstentions_rise_and_wrong_decisions_per_decision_do_not(walks: list[Samples]) -> None:
    assert [person.label for person in WALKERS] == ["robust", "pre-frail", "frail"]
    model = ModelConfig(variant="dynamic")
    by_condition: list[list[Outcome]] = [
        [
            outcome(person, decisions_of(person, samples, RATE_HZ, condition, model, mounting="trust"))
            for person, samples in zip(WALKERS, walks, strict=True)
        ]
        for condition in LOSSES
    ]
    told = [sum(each.n_told for each in outcomes) for outcomes in by_condition]
    assert told == sorted(set(told), reverse=True), "each loss leaves fewer decisions than the one before"
    assert all(each.n_told for outcomes in by_condition for each in outcomes[:3])
    assert [[each.n_wrong for each in outcomes] for outcomes in by_condition] == [[0, 0, 0]] * len(LOSSES)


@pytest.mark.parametrize("condition", [each for each in CONDITIONS if not each.late_samples], ids=str)
def test_so_many_packets_are_lost_as_is_said_and_whole_ones(condition: Condition) -> None:
    n_samples = 200_000
    arrived = np.concatenate(list(received(n_samples, condition, [1])))
    assert abs(1 - len(arrived) / n_samples - condition.loss) <= 0.3 * condition.loss
    packets, counts = np.unique(arrived // 4, return_counts=True)
    assert set(counts.tolist()) == {4}
    lost_in_a_row = np.diff(packets) - 1
    assert lost_in_a_row[lost_in_a_row > 0].min(initial=condition.burst_packets) >= condition.burst_packets


def test_the_difference_is_between_the_same_people_and_who_was_told_nothing_is_left_out() -> None:
    labels = ["robust", "frail", "robust", "frail"]
    lossless = np.array([0.1, 0.5, 0.2, 0.0])
    same = wrong_difference(labels, lossless, lossless)
    assert (same.value, same.lower, same.upper) == (0.0, 0.0, 0.0)
    worse = wrong_difference(labels, np.array([0.3, 0.7, 0.4, np.nan]), lossless)
    assert (worse.value, worse.lower, worse.upper) == pytest.approx((0.2, 0.2, 0.2))
