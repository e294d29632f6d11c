"""Baselines: each finds what it can see, none sees a label or a signal of the people it is tested on."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import TrainingError
from tests.trainer.made import made_dataset
from trainer.baselines import BASELINES, BaselineFunction, balanced_weights, minirocket
from trainer.evaluate import decide_by_person, person_labels
from trainer.protocols import Fold, make_folds
from trainer.store import WindowStore, build_store
from trainer.train_config import ProtocolConfig, SignalConfig
from trainer.trial import Answers

N_PEOPLE = 24
FEW_KERNELS = 168
# As they are quoted, but for the number of kernels: 1,932 features take a minute here.
METHODS: dict[str, BaselineFunction] = {**BASELINES, "minirocket": partial(minirocket, n_kernels=FEW_KERNELS)}
UNITS = {"majority": "walk", "gait-speed": "walk", "hand-features": "walk", "minirocket": "window"}


@pytest.fixture(scope="module")
def store() -> WindowStore:
    """Three classes that swing the wider, in the same rhythm."""
    return build_store(made_dataset(N_PEOPLE, n_samples=900), SignalConfig())


@pytest.fixture(scope="module")
def fold(store: WindowStore) -> Fold:
    return make_folds(store, ProtocolConfig(n_folds=3, validation_share=0.25), 8)[0]


def with_rhythms(store: WindowStore, stride_time_s: tuple[float, ...]) -> WindowStore:
    """The same people, each class in a rhythm of its own, all as wide."""
    generator = np.random.default_rng(5)
    samples = generator.normal(0, 0.3, store.samples.shape)
    for begin, stop, walk in zip(store.piece_start, store.piece_stop, store.piece_walk, strict=True):
        period_s = stride_time_s[store.label_index[store.walk_subject[walk]]] * generator.uniform(0.97, 1.03)
        phase = 2 * np.pi * np.arange(stop - begin) / store.rate_hz / period_s + generator.uniform(0, 6)
        samples[begin:stop, 4] += 5 * np.maximum(np.cos(phase), -0.2) ** 3
    return replace(store, samples=samples.astype(np.float32))


def share_right(answers: Answers) -> float:
    _, found = decide_by_person(answers.probabilities, answers.person_ids)
    return float(np.mean(found == person_labels(answers.label_index, answers.person_ids)))


def test_there_is_a_test_of_every_baseline() -> None:
    assert set(METHODS) == set(BASELINES) == set(UNITS)


@pytest.mark.parametrize("name", BASELINES)
def test_the_answers_are_of_each_sides_own_people_and_rows(name: str, store: WindowStore, fold: Fold) -> None:
    for answers, windows in zip(METHODS[name](store, fold, seed=1), (fold.validation, fold.test), strict=True):
        assert answers.unit == UNITS[name]
        rows = len(windows) if answers.unit == "window" else len(np.unique(store.walk[windows]))
        assert answers.probabilities.shape == (rows, 3)
        assert answers.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert set(answers.person_ids) == set(store.person_ids(windows))
        truth = dict(zip(store.subject_ids, store.label_index.tolist(), strict=True))
        assert [truth[person] for person in answers.person_ids.tolist()] == answers.label_index.tolist()


def other_labels(store: WindowStore, people: np.ndarray) -> WindowStore:  # type: ignore[type-arg]
    label_index = store.label_index.copy()
    label_index[people] = (label_index[people] + 1) % 3
    return replace(store, label_index=label_index)


def other_signals(store: WindowStore, people: np.ndarray) -> WindowStore:  # type: ignore[type-arg]
    samples = store.samples.copy()
    for begin, stop, walk in zip(store.piece_start, store.piece_stop, store.piece_walk, strict=True):
        if store.walk_subject[walk] in people:
            samples[begin:stop] = 3 * samples[begin:stop] + 1
    return replace(store, samples=samples)


@pytest.mark.parametrize("name", BASELINES)
def test_labels_of_test_people_change_no_probability(name: str, store: WindowStore, fold: Fold) -> None:
    changed = other_labels(store, np.unique(store.subject[fold.test]))
    before, after = METHODS[name](store, fold, seed=1), METHODS[name](changed, fold, seed=1)
    assert not np.array_equal(before[1].label_index, after[1].label_index)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize("name", BASELINES)
def test_signals_of_test_people_change_no_answer_for_others(name: str, store: WindowStore, fold: Fold) -> None:
    changed = other_signals(store, np.unique(store.subject[fold.test]))
    before, after = METHODS[name](store, fold, seed=1), METHODS[name](changed, fold, seed=1)
    assert np.array_equal(before[0].probabilities, after[0].probabilities)
    if name in ("hand-features", "minirocket"):
        assert not np.array_equal(before[1].probabilities, after[1].probabilities)


@pytest.mark.parametrize("name", ["hand-features", "minirocket"])
def test_who_swings_wider_is_found_by_what_sees_the_signal(name: str, store: WindowStore, fold: Fold) -> None:
    _, test = METHODS[name](store, fold, seed=1)
    assert share_right(test) >= 0.8


def test_gait_speed_finds_a_rhythm_and_nothing_else(store: WindowStore, fold: Fold) -> None:
    _, other_widths = METHODS["gait-speed"](store, fold, seed=1)
    _, other_rhythms = METHODS["gait-speed"](with_rhythms(store, (0.95, 1.15, 1.4)), fold, seed=1)
    assert share_right(other_widths) <= 0.6
    assert share_right(other_rhythms) == 1.0


def test_a_walk_without_a_rhythm_gets_even_odds(store: WindowStore, fold: Fold) -> None:
    rhythmic = with_rhythms(store, (0.95, 1.15, 1.4))
    lame = int(store.subject[fold.test[0]])
    samples = rhythmic.samples.copy()
    for begin, stop, walk in zip(store.piece_start, store.piece_stop, store.piece_walk, strict=True):
        if store.walk_subject[walk] == lame:
            samples[begin:stop] = 0
    _, test = METHODS["gait-speed"](replace(rhythmic, samples=samples), fold, seed=1)
    own = test.person_ids == store.subject_ids[lame]
    assert test.probabilities[own] == pytest.approx(1 / 3)
    assert (test.probabilities[~own].max(axis=1) > 0.5).any()


def test_majority_gives_everybody_the_shares_of_the_training_people(store: WindowStore, fold: Fold) -> None:
    few = replace(fold, train=fold.train[store.labels_of(fold.train) != 2])
    _, test = METHODS["majority"](store, few, seed=1)
    people = np.unique(store.subject[few.train])
    shares = [np.mean(store.label_index[people] == label) for label in range(3)]
    assert test.probabilities == pytest.approx(np.tile(shares, (len(test.probabilities), 1)))
    assert shares[2] == 0


@pytest.mark.parametrize("name", ["gait-speed", "hand-features", "minirocket"])
def test_a_class_that_nobody_trains_is_refused_by_its_name(name: str, store: WindowStore, fold: Fold) -> None:
    lacking = replace(fold, train=fold.train[store.labels_of(fold.train) != 2])
    with pytest.raises(TrainingError, match="nobody who is frail has a"):
        METHODS[name](store, lacking, seed=1)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40))
def test_classes_weigh_alike_and_in_a_class_people_do(rows: list[tuple[int, int]]) -> None:
    label_index = np.array([label for label, _ in rows])
    subject = np.array([10 * label + person for label, person in rows])
    weights = balanced_weights(label_index, subject)
    assert weights.mean() == pytest.approx(1)
    by_class = [weights[label_index == label].sum() for label in np.unique(label_index)]
    assert by_class == pytest.approx([by_class[0]] * len(by_class))
    for label in np.unique(label_index):
        by_person = [weights[subject == person].sum() for person in np.unique(subject[label_index == label])]
        assert by_person == pytest.approx([by_person[0]] * len(by_person))
