"""A run from people to figures: killed it goes on to the same figures, and nothing of test people is learned."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.errors import ConfigError, TrainingError
from tests.trainer.made import made_dataset
from trainer.experiment import Hooks, Run, identity, list_trials, run, with_variant
from trainer.protocols import make_folds
from trainer.run_folder import RunFolder
from trainer.running import run_trial
from trainer.store import build_store
from trainer.train_config import (
    FitConfig,
    ImbalanceConfig,
    NetworkConfig,
    ProtocolConfig,
    SignalConfig,
    TrainConfig,
    Variant,
)
from trainer.trial import Trial, TrialResult

pytestmark = pytest.mark.train

CONFIG = TrainConfig(
    name="small",
    windows_per_person=10,
    network=NetworkConfig(
        filters=(2,), lstm_units=(6,), learning_rate=0.01, regularisation=0.0001, input_noise=0.05, haar_blocks=True
    ),
    fit=FitConfig(n_epochs=3, batch_size=32),
    imbalance=ImbalanceConfig(class_weights="balanced"),
    protocol=ProtocolConfig(run=("person",), seeds=(1,), n_folds=2, validation_share=0.34),
    signal=SignalConfig(wavelet_level=3),
    baselines=("majority",),
)


def same_figures(one: Run, other: Run) -> None:
    assert [result.key for result in one.results] == [result.key for result in other.results]
    for first, second in zip(one.results, other.results, strict=True):
        assert np.array_equal(first.test.probabilities, second.test.probabilities), first.key
        assert first.temperature == second.temperature
        assert first.history == second.history
    assert one.summary == other.summary


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(made_dataset(18), CONFIG, tmp_path_factory.mktemp("runs") / "whole", with_bundle=False)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.trainer.made import made_dataset
from tests.trainer.test_experiment import CONFIG
from trainer.experiment import Hooks, run

def kill_in_the_second_network(trial, at):
    if trial.key == "person-s1-f2--network" and at.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

run(made_dataset(18), CONFIG, Path(sys.argv[1]), with_bundle=False, hooks=Hooks(progress=kill_in_the_second_network))
"""


def test_a_run_that_was_killed_in_mid_training_goes_on_to_the_same_figures(finished: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = subprocess.run([sys.executable, "-c", KILLED, out], capture_output=True, text=True, timeout=240)
    assert killed.returncode == -9, killed.stderr
    assert (out / "trials" / "person-s1-f1--network.npz").is_file()
    assert (out / "checkpoints" / "person-s1-f2--network").is_file()
    before: list[tuple[int, int]] = []
    epochs: list[tuple[str, int]] = []
    again = run(
        made_dataset(18),
        CONFIG,
        out,
        with_bundle=False,
        hooks=Hooks(
            total=lambda n, done: before.append((n, done)),
            progress=lambda trial, at: epochs.append((trial.key, at.epoch)),
        ),
    )
    assert before == [(4, 2)]
    assert epochs[0] == ("person-s1-f2--network", 2)  # its first epoch is not run again
    same_figures(finished, again)
    assert not list((out / "checkpoints").iterdir())
    assert not (out / "store").exists()


def test_nothing_of_test_people_reaches_what_is_learned(finished: Run) -> None:
    store, fold = finished.store, finished.folds[0]
    honest = finished.results[0]
    test_people = np.unique(store.subject[fold.test])
    samples = store.samples.copy()
    for start, stop, walk in zip(store.piece_start, store.piece_stop, store.piece_walk, strict=True):
        if store.walk_subject[walk] in test_people:
            samples[start:stop] = 1e3
    label_index = store.label_index.copy()
    label_index[test_people] = 0
    spoilt = run_trial(Trial("network", fold, CONFIG), replace(store, samples=samples, label_index=label_index))
    assert np.array_equal(honest.validation.probabilities, spoilt.validation.probabilities)
    assert honest.temperature == spoilt.temperature
    assert not np.array_equal(honest.test.probabilities, spoilt.test.probabilities)


def test_a_network_that_diverges_fails_by_itself_and_the_run_tells_it(finished: Run, tmp_path: Path) -> None:
    said: list[str] = []
    hopeless = msgspec.structs.replace(CONFIG.network, learning_rate=1e30)
    # The trials of the sound network are taken from the run that is done: only the other one is trained.
    config = msgspec.structs.replace(CONFIG, variants=(Variant(name="hopeless", network=hopeless),))
    folder = RunFolder(tmp_path / "run", identity(made_dataset(18), config, finished.store, (), False), {})
    for result in finished.results:
        folder.save(result)
    done = run(made_dataset(18), config, tmp_path / "run", with_bundle=False, hooks=Hooks(say=said.append))
    assert [line.partition(":")[0] for line in done.failures] == [f"person-s1-f{fold}--hopeless" for fold in (1, 2)]
    assert any("no answers: the loss is not finite" in line for line in said)
    assert done.summary == finished.summary


def test_a_variant_replaces_the_sections_it_names_and_each_trial_has_a_key_of_its_own() -> None:
    focal = Variant(name="focal", imbalance=ImbalanceConfig(loss="focal"))
    config = msgspec.structs.replace(CONFIG, variants=(focal,))
    assert with_variant(config, focal).imbalance.loss == "focal"
    assert with_variant(config, focal).network == CONFIG.network
    store = build_store(made_dataset(18), config.signal)
    folds = make_folds(store, config.protocol, 10)
    trials = list_trials(config, folds)
    assert len({trial.key for trial in trials}) == len(trials) == 6
    assert {trial.method for trial in list_trials(config, folds, only_baselines=True)} == {"baseline:majority"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"baselines": ("astrology",)}, 'no "astrology"'),
        ({"variants": (Variant(name="network"),)}, '"network" is taken'),
        ({"signal": SignalConfig()}, "haar_blocks needs signal.wavelet_level = 3"),
        ({"signal": SignalConfig(wavelet_level=9)}, "levels 1 to 7"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        run(made_dataset(18), msgspec.structs.replace(CONFIG, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_people_for_a_bundle_are_told_before_it_is_trained(finished: Run, tmp_path: Path) -> None:
    trained: list[TrialResult] = []
    config = msgspec.structs.replace(CONFIG, protocol=ProtocolConfig(run=()))
    with pytest.raises(TrainingError, match="2000"):
        run(made_dataset(18), config, tmp_path / "run", hooks=Hooks(done=lambda _, result: trained.append(result)))
    assert not trained
