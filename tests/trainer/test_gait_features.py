"""Gait figures: true to the walker's own strides and to steps marked by hand, and blind to how long a walk is."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.walker import walk_with_truth
from tests.shared_data import shared
from tests.trainer.made import made_store
from trainer.gait_features import NAMES, RHYTHM, features_of, stride_time_s, walk_features

RATE_HZ = 104.0


@pytest.mark.parametrize("walker", ["robust", "frail"])
def test_stride_time_and_cadence_are_those_that_the_walker_walked(walker: str) -> None:
    samples, strides = walk_with_truth(read_walker(walker_path(walker)), duration_s=60.0, rate_hz=RATE_HZ, seed=3)
    starts_s = np.array([stride.start_s for stride in strides])
    figures = dict(zip(NAMES, walk_features([samples], RATE_HZ), strict=True))
    truth_s = np.median(np.diff(starts_s))
    assert figures["stride_time_s"] == pytest.approx(truth_s, rel=0.05)
    assert figures["cadence_per_min"] == pytest.approx(120 / truth_s, rel=0.1)


def test_stride_times_of_real_people_are_those_of_steps_marked_by_hand() -> None:
    steps = json.loads(shared("truong/steps.json").read_text())
    with shared("truong/trials.csv").open() as file:
        trials = list(csv.DictReader(file))[::14]
    signals = np.load(shared("truong/signals.npz"))
    n_near = n_feet = 0
    for trial in trials:
        walking = signals[trial["trial"]][int(trial["walk_start"]) : int(trial["walk_end"])]
        for side, column in (("left", 4), ("right", 10)):
            by_hand_s = np.median(np.diff([begin for begin, _ in steps[trial["trial"]][side]])) / 100
            found_s, regularity = stride_time_s(np.deg2rad(walking[:, column] / 10), 100.0)
            n_near += abs(found_s / by_hand_s - 1) < 0.1
            n_feet += 1
            assert 0 < regularity < 1.2
    assert n_feet == 120
    assert n_near / n_feet >= 0.98


def test_the_sign_of_the_rate_is_of_no_matter_to_the_stride_time() -> None:
    samples, _ = walk_with_truth(read_walker(walker_path("robust")), duration_s=20.0, rate_hz=RATE_HZ, seed=3)
    rate = samples[:, 4].astype(np.float64)
    assert stride_time_s(rate, RATE_HZ) == pytest.approx(stride_time_s(-rate, RATE_HZ))


def test_no_figure_counts_the_same_walk_twice_gives_those_of_once() -> None:
    samples, _ = walk_with_truth(read_walker(walker_path("frail")), duration_s=30.0, rate_hz=RATE_HZ, seed=3)
    once, twice = walk_features([samples], RATE_HZ), walk_features([samples, samples], RATE_HZ)
    assert np.isfinite(once).all()
    # One more stride, over the seam, moves the quartiles a little; a count would double.
    assert twice == pytest.approx(once, rel=0.1)


@pytest.mark.parametrize("n_samples", [200, 900])
@pytest.mark.parametrize("level", [0.0, 9.81])
def test_a_foot_that_lies_still_has_no_rhythm_and_no_figure_is_invented(n_samples: int, level: float) -> None:
    figures = dict(zip(NAMES, walk_features([np.full((n_samples, 6), level, np.float32)], RATE_HZ), strict=True))
    assert all(np.isnan(figures[name]) for name in RHYTHM)
    assert figures["acc_x_rms"] == pytest.approx(level, rel=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.sampled_from([1e-6, 1.0, 300.0]), st.integers(1, 3))
def test_no_signal_is_too_odd_for_figures(seed: int, n_samples: int, size: float, n_pieces: int) -> None:
    generator = np.random.default_rng(seed)
    pieces = [generator.normal(0, size, (n_samples, 6)).astype(np.float32) for _ in range(n_pieces)]
    figures = walk_features(pieces, RATE_HZ)
    assert figures.shape == (len(NAMES),)
    assert not np.isinf(figures).any()


def test_a_stores_figures_are_computed_once_and_are_each_walks_own() -> None:
    store, other = made_store(3), made_store(6)
    table = features_of(store)
    assert features_of(store) is table
    assert table.values.shape == (6, len(NAMES))
    assert np.array_equal(table.values[5], walk_features(store.pieces_of_walk(5), store.rate_hz), equal_nan=True)
    assert np.array_equal(table.columns(["gyr_y_rms"])[:, 0], table.values[:, NAMES.index("gyr_y_rms")])
    assert len(features_of(other).values) == 12
