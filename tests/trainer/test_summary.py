"""Figures of repeated folds: by person, all seeds kept, intervals over people, and claims only where they exclude 0."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from tests.trainer.made_results import LABELS, made_results
from trainer.difference import claim, paired_difference
from trainer.evaluate import Interval, balanced_accuracy, confusion_matrix, decide_by_person
from trainer.summary import Summary, summarise
from trainer.trial import Answers, TrialResult

pytestmark = pytest.mark.train

GOOD = made_results("network", right=0.8)
POOR = made_results("baseline:majority", right=0.4, unit="person")


def test_a_seed_pools_its_folds_and_the_figure_is_the_mean_of_the_seeds() -> None:
    row = summarise(GOOD, LABELS).row("person", "network")
    by_hand = []
    for seed in (1, 2):
        truths, answers = [], []
        for result in GOOD:
            if result.seed == seed:
                people, decided = decide_by_person(result.test.probabilities, result.test.person_ids)
                truths += [int(person[1:]) % 3 for person in people.tolist()]
                answers += decided.tolist()
        by_hand.append(balanced_accuracy(confusion_matrix(np.array(truths), np.array(answers), 3)))
    assert [own.balanced_accuracy for own in row.seeds] == pytest.approx(by_hand)
    assert by_hand[0] != by_hand[1]
    assert row.balanced_accuracy.value == pytest.approx(np.mean(by_hand))
    assert (row.n_people, [own.n_people for own in row.seeds]) == (60, [60, 60])
    assert np.sum(row.confusion) == 120


def test_the_interval_follows_people_not_seeds_and_not_windows() -> None:
    """The same answers given five times over are no more people."""
    once = made_results("network", right=0.7, seeds=(1,))
    five = [replace(result, seed=seed, fold=f"{result.fold}-again{seed}") for seed in range(1, 6) for result in once]
    assert summarise(five, LABELS).rows[0].balanced_accuracy == summarise(once, LABELS).rows[0].balanced_accuracy
    doubled = [replace(result, test=_doubled(result.test)) for result in once]
    assert summarise(doubled, LABELS).rows[0].balanced_accuracy == summarise(once, LABELS).rows[0].balanced_accuracy


def _doubled(test: Answers) -> Answers:
    return Answers(
        test.unit,
        np.concatenate([test.probabilities] * 2),
        np.concatenate([test.label_index] * 2),
        np.concatenate([test.person_ids] * 2),
    )


def test_the_interval_is_as_wide_as_statistics_say() -> None:
    """90 people, one answer each, right three times in four: the standard error of the mean recall is known."""
    generator = np.random.default_rng(0)
    right = np.concatenate([generator.permutation(30) < 22 for _ in range(3)])
    truth = np.repeat(np.arange(3), 30)
    answers = np.where(right, truth, (truth + 1) % 3)
    test = Answers("person", np.eye(3, dtype=np.float32)[answers], truth, np.arange(90).astype(str))
    row = summarise([replace(POOR[0], test=test)], LABELS).rows[0]
    share = 22 / 30
    half = 1.96 * np.sqrt(share * (1 - share) / 90)
    found = row.balanced_accuracy
    assert found.value == pytest.approx(share)
    assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=0.1)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), right=st.floats(0, 1))
def test_order_changes_nothing_and_every_interval_holds_its_value(seed: int, right: float) -> None:
    results = made_results("network", right=right, n_people=18, seeds=(seed, seed + 1), n_folds=2, per_person=3)
    generator = np.random.default_rng(seed)
    shuffled = [replace(result, test=_permuted(result.test, generator)) for result in reversed(results)]
    found, again = summarise(results, LABELS).rows[0], summarise(shuffled, LABELS).rows[0]
    for name in ("balanced_accuracy", "accuracy"):
        one, other = getattr(found, name), getattr(again, name)
        assert (one.value, one.lower, one.upper) == pytest.approx((other.value, other.lower, other.upper))
        assert one.lower - 1e-9 <= one.value <= one.upper + 1e-9
    assert found.people == again.people
    assert found.auroc is not None
    assert again.auroc is not None
    assert found.auroc.value == pytest.approx(again.auroc.value)


def _permuted(test: Answers, generator: np.random.Generator) -> Answers:
    order = generator.permutation(len(test.label_index))
    return Answers(test.unit, test.probabilities[order], test.label_index[order], test.person_ids[order])


def _with_answers_of_truth(results: list[TrialResult]) -> list[TrialResult]:
    eye = np.eye(len(LABELS), dtype=np.float32)
    return [replace(own, test=replace(own.test, probabilities=eye[own.test.label_index])) for own in results]


def test_a_perfect_answer_scores_one_everywhere() -> None:
    row = summarise(_with_answers_of_truth(GOOD), LABELS).rows[0]
    perfect = Interval(1.0, 1.0, 1.0)
    assert row.by_window is not None
    assert (row.balanced_accuracy, row.accuracy, row.macro_f1, row.auroc) == (perfect,) * 4
    assert row.trust.risk_area == 0
    assert row.by_window.balanced_accuracy == perfect
    assert all(person.n_right == person.n_tested == 2 for person in row.people)


def test_a_majority_vote_has_an_auroc_of_half_though_each_fold_has_another_majority() -> None:
    """Pooled scores of folds would rank people by their fold: below a half for a vote that looks at nobody."""
    results = []
    for own in POOR:
        shares = 1 - np.bincount(own.test.label_index, minlength=3) / len(own.test.label_index)
        likely = np.tile((shares / shares.sum()).astype(np.float32), (len(own.test.label_index), 1))
        results.append(replace(own, test=replace(own.test, probabilities=likely)))
    row = summarise(results, LABELS).rows[0]
    assert row.auroc == Interval(0.5, 0.5, 0.5)


def test_window_rows_are_called_in_sample_and_directions_of_a_transfer_stand_apart() -> None:
    results = [
        *made_results("network", right=0.95, protocol="window"),
        *made_results("network", right=0.6, protocol="transfer", note="trained on a, tested on b"),
        *made_results("network", right=0.5, protocol="transfer", note="trained on b, tested on a"),
        *GOOD,
    ]
    rows = summarise(results, LABELS).rows
    assert [row.protocol_name for row in rows] == [
        "person",
        "transfer (trained on a, tested on b)",
        "transfer (trained on b, tested on a)",
        "window (in-sample by person)",
    ]


def test_figures_by_window_stand_only_where_windows_were_answered() -> None:
    rows = summarise([*GOOD, *POOR], LABELS)
    assert rows.row("person", "baseline:majority").by_window is None
    by_window = rows.row("person", "network").by_window
    assert by_window is not None
    assert (by_window.n_windows, np.sum(by_window.confusion)) == (480, 960)


def test_calibration_is_measured_with_the_temperature_of_each_fold_and_without() -> None:
    """Sure of everything and right in two of three: the error is a third, and a temperature takes some of it."""
    truth = np.arange(60) % 3
    answers = np.where(np.arange(60) < 40, truth, (truth + 1) % 3)
    likely = np.where(np.eye(3)[answers] == 1, 0.98, 0.01).astype(np.float32)
    test = Answers("person", likely, truth, np.arange(60).astype(str))
    trust = summarise([replace(POOR[0], test=test, temperature=4.0)], LABELS).rows[0].trust
    assert trust.error_as_answered == pytest.approx(0.98 - 40 / 60, abs=1e-3)
    sure = 0.98**0.25 / (0.98**0.25 + 2 * 0.01**0.25)
    assert trust.error_with_temperature == pytest.approx(abs(sure - 40 / 60), abs=1e-3)


def test_a_person_left_out_of_a_seed_is_not_counted_there() -> None:
    """Windows drawn at random may leave somebody without a test window."""
    first, second = made_results("network", right=1.0, protocol="window")
    keep = second.test.person_ids != "P000"
    parts = (second.test.probabilities[keep], second.test.label_index[keep], second.test.person_ids[keep])
    row = summarise([first, replace(second, test=Answers("window", *parts))], LABELS).rows[0]
    assert [own.n_people for own in row.seeds] == [60, 59]
    assert row.people[0].n_tested == 1
    assert row.balanced_accuracy.value == 1


def test_a_person_tested_twice_in_a_seed_is_an_error() -> None:
    with pytest.raises(ValueError, match="seed 1 tests a person twice"):
        summarise([*GOOD, replace(GOOD[0], fold="person-s1-f9")], LABELS)


def test_a_better_network_may_be_claimed_and_an_equal_one_may_not() -> None:
    found = summarise([*GOOD, *made_results("baseline:hand", right=0.4), *POOR], LABELS)
    assert [(own.method, own.against) for own in found.differences] == [
        ("network", "baseline:hand"),
        ("network", "baseline:majority"),
    ]
    better = found.differences[0]
    assert better.interval is not None
    assert better.interval.lower > 0.1
    rows = [found.row("person", method).balanced_accuracy.value for method in ("network", "baseline:hand")]
    assert better.interval.value == pytest.approx(rows[0] - rows[1])
    assert "network is better than baseline:hand: the interval excludes 0" in better.sentence


def test_one_person_more_is_no_better_method() -> None:
    """Nobody else differs; a draw in three leaves that person out, and then there is no difference at all."""
    row = summarise(GOOD, LABELS).rows[0]
    helped = next(person.person_id for person in row.people if person.n_right == 0)
    eye = np.eye(len(LABELS), dtype=np.float32)
    results = []
    for own in GOOD:
        likely = np.where(
            (own.test.person_ids == helped)[:, np.newaxis], eye[own.test.label_index], own.test.probabilities
        )
        results.append(replace(own, method="baseline:one more", test=replace(own.test, probabilities=likely)))
    (difference,) = summarise([*GOOD, *results], LABELS).differences
    assert difference.interval is not None
    assert difference.interval.value == pytest.approx(-1 / 60)
    assert "no difference between network and baseline:one more may be claimed" in difference.sentence


def test_pairing_makes_the_difference_of_like_answers_surer_than_two_intervals() -> None:
    """A method beside itself: no interval at all, though each by itself is uncertain."""
    alone = summarise(GOOD, LABELS).rows[0].balanced_accuracy
    assert paired_difference(GOOD, GOOD) == Interval(0, 0, 0)
    assert alone.upper - alone.lower > 0.1


def test_other_folds_are_not_compared() -> None:
    other = made_results("baseline:hand", right=0.4, seeds=(1,))
    with pytest.raises(ValueError, match="the same folds, seeds and people"):
        paired_difference(GOOD, other)
    (difference,) = summarise([*GOOD, *other], LABELS).differences
    assert difference.interval is None
    assert "not compared" in difference.sentence


def test_a_claim_about_people_already_seen_says_so() -> None:
    sentence = claim("window", "", "network", "baseline:hand", Interval(0.2, 0.1, 0.3))
    assert "window (in-sample by person)" in sentence
    assert "nothing follows for new ones" in sentence
    assert "network is worse than x" in claim("person", "", "network", "x", Interval(-0.2, -0.3, -0.1))


def test_the_figures_file_gives_the_summary_back(tmp_path: Path) -> None:
    found = summarise([*GOOD, *POOR], LABELS)
    found.save(tmp_path / "figures.json")
    assert Summary.load(tmp_path / "figures.json") == found
