"""Nobody who is tested was trained on, but where the protocol says so; and the check that would find it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError, DatasetError, TrainingError
from tests.trainer.made import made_dataset, made_store
from trainer.protocols import Fold, describe, find_leak, make_folds, require_no_leak
from trainer.store import WindowStore, build_store
from trainer.train_config import ProtocolConfig, SignalConfig


@pytest.fixture(scope="module")
def store() -> WindowStore:
    return made_store(30)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), n_folds=st.integers(2, 5))
def test_folds_by_person_test_everybody_once_and_never_who_was_trained_on(seed: int, n_folds: int) -> None:
    store = made_store(30)
    folds = make_folds(store, ProtocolConfig(run=("person",), seeds=(seed,), n_folds=n_folds), 4)
    tested = np.concatenate([np.unique(store.subject[fold.test]) for fold in folds])
    assert sorted(tested) == list(range(30))
    for fold in folds:
        sides = [set(store.subject[windows].tolist()) for windows in (fold.train, fold.validation, fold.test)]
        assert sum(len(side) for side in sides) == 30
        assert set.union(*sides) == set(range(30))
        for side in sides:  # stratified: every class on every side
            assert {int(store.label_index[subject]) for subject in side} == {0, 1, 2}
        leak = find_leak(store, fold)
        assert (leak.n_people, leak.n_overlapping_windows) == (0, 0)


def test_the_same_seed_gives_the_same_folds_and_another_one_others(store: WindowStore) -> None:
    one, again, other = (
        make_folds(store, ProtocolConfig(run=("person", "window"), seeds=(seed,)), 0) for seed in (1, 1, 2)
    )
    for first, second in zip(one, again, strict=True):
        assert np.array_equal(first.test, second.test)
        assert np.array_equal(first.train, second.train)
    assert not np.array_equal(one[0].test, other[0].test)


def test_windows_at_random_leak_and_the_check_says_how_much(store: WindowStore) -> None:
    (fold,) = make_folds(store, ProtocolConfig(run=("window",)), 0)
    everything = np.concatenate([fold.train, fold.validation, fold.test])
    assert sorted(everything) == list(range(len(store)))
    assert len(fold.train) == round(0.75 * len(store))
    leak = find_leak(store, fold)
    assert leak.n_people == leak.n_test_people == 30
    # Windows of 200 every 50 share samples with up to six neighbours: nearly all overlap one that was trained on.
    assert leak.n_overlapping_windows > 0.9 * leak.n_test_windows


def test_a_fold_by_person_that_leaks_is_refused_for_people_and_for_samples(store: WindowStore) -> None:
    (fold, *_) = make_folds(store, ProtocolConfig(run=("person",)), 0)
    with pytest.raises(TrainingError, match="leaks"):
        require_no_leak(store, replace(fold, train=np.concatenate([fold.train, fold.test[:1]])))
    # The same samples under another person's name: found by the samples, not by the name.
    start = store.start.copy()
    start[fold.test[0]] = start[fold.train[0]] + 30
    twin = replace(store, start=start)
    leak = find_leak(twin, fold)
    assert (leak.n_people, leak.n_overlapping_windows) == (0, 1)
    with pytest.raises(TrainingError, match="samples of 1 of"):
        require_no_leak(twin, fold)


def test_transfer_goes_both_ways_and_leaves_out_who_wore_both() -> None:
    dataset = made_dataset(30)
    both = dataset.subjects[4]
    walks = (both.walks[0], replace(both.walks[1], device="B" if both.walks[0].device == "A" else "A"))
    subjects = (*dataset.subjects[:4], replace(both, walks=walks), *dataset.subjects[5:])
    store = build_store(replace(dataset, subjects=subjects), SignalConfig())
    folds = make_folds(store, ProtocolConfig(run=("transfer",)), 0)
    assert [fold.name for fold in folds] == ["transfer-s1-a-to-b", "transfer-s1-b-to-a"]
    devices = np.array(store.walk_devices)
    for fold, source, target in zip(folds, "AB", "BA", strict=True):
        assert set(devices[store.walk[fold.test]]) == {target}
        assert set(devices[store.walk[np.concatenate([fold.train, fold.validation])]]) == {source}
        assert 4 not in store.subject[np.concatenate([fold.train, fold.validation, fold.test])]
        assert "P004" in fold.note


def test_transfer_by_a_trait_and_by_one_that_nobody_has(store: WindowStore) -> None:
    names = [fold.name for fold in make_folds(store, ProtocolConfig(run=("transfer",), transfer_by="site"), 0)]
    assert names == ["transfer-s1-north-to-south", "transfer-s1-south-to-north"]
    with pytest.raises(ConfigError, match=r"surface.*site"):
        make_folds(store, ProtocolConfig(run=("transfer",), transfer_by="surface"), 0)
    lone = replace(store, walk_devices=("A",) * len(store.walk_devices))
    with pytest.raises(DatasetError, match="two or more"):
        make_folds(lone, ProtocolConfig(run=("transfer",)), 0)


def worn(store: WindowStore, devices: dict[int, str]) -> WindowStore:
    """The store with other devices for some subjects; everybody else wears "CSIC"."""
    return replace(store, walk_devices=tuple(devices.get(int(subject), "CSIC") for subject in store.walk_subject))


def test_a_direction_that_lacks_a_class_is_left_out_and_told_once(store: WindowStore) -> None:
    said: list[str] = []
    config = ProtocolConfig(run=("transfer",), seeds=(1, 2))
    # Of 30 people every third is frail, number 2 the first of them.
    healthy = {subject: "Gaitup" for subject in range(12) if subject % 3 < 2}
    folds = make_folds(worn(store, healthy), config, 0, said.append)
    assert [fold.name for fold in folds] == ["transfer-s1-csic-to-gaitup", "transfer-s2-csic-to-gaitup"]
    assert said == ["transfer from Gaitup to CSIC left out: nobody with Gaitup is frail"]
    said.clear()
    make_folds(worn(store, healthy | {2: "Gaitup"}), config, 0, said.append)
    assert said == ["transfer from Gaitup to CSIC left out: only one person with Gaitup is frail"]
    with pytest.raises(
        DatasetError, match=r"no direction can be trained: .*nobody with CSIC is robust.*Gaitup is frail"
    ):
        make_folds(worn(store, {subject: "Gaitup" for subject in range(30) if subject % 3 < 2}), config, 0)


def test_devices_with_nearly_the_same_name_have_folds_of_their_own(store: WindowStore) -> None:
    names = ("Shimmer", "shimmer", "Shimmer 2", "shimmer-2")
    devices = {subject: names[subject // 3 % 4] for subject in range(30)}
    folds = make_folds(worn(store, devices), ProtocolConfig(run=("transfer",), validation_share=0.4), 0)
    assert len({fold.name for fold in folds}) == len(folds) == 12
    assert folds[0].name == "transfer-s1-shimmer-to-shimmer-2"
    assert folds[0].note == "trained on Shimmer, tested on Shimmer 2"


def test_a_class_with_fewer_people_than_folds_is_refused() -> None:
    with pytest.raises(DatasetError, match="only 3 people are robust, 5 folds"):
        make_folds(made_store(9), ProtocolConfig(run=("person",)), 0)


def test_one_line_tells_the_folds(store: WindowStore) -> None:
    folds: list[Fold] = make_folds(store, ProtocolConfig(run=("person", "window")), 0)
    assert describe(store, folds).startswith("person: 5 folds, people 19/5/6 (train/validation/test) in the first")
