"""The search draws what McFly draws, sees no test person, and a killed one goes on to the same table."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.errors import ConfigError, TrainingError
from tests.edge.cli.run import assert_refused, frailedge
from tests.trainer.made import made_dataset, made_store
from trainer.experiment import Hooks, Where
from trainer.protocols import Fold
from trainer.search import BEST, PLOT, TABLE, Search, by_person, draw_networks, search, try_network
from trainer.splits import split_by_person
from trainer.train_config import (
    BundleConfig,
    FitConfig,
    NetworkConfig,
    SignalConfig,
    TrainConfig,
    load_train_config,
)
from trainer.trial import Trial

pytestmark = pytest.mark.train

# The first two networks of this seed have one layer of each kind: they cost seconds.
SEED = 30492
CONFIG = TrainConfig(
    name="small",
    windows_per_person=4,
    network=NetworkConfig(haar_blocks=True),
    fit=FitConfig(n_epochs=2, batch_size=32),
    bundle=BundleConfig(validation_share=0.34, test_share=0.34),
    signal=SignalConfig(wavelet_level=3),
)
PEOPLE = made_dataset(18)


def test_draws_are_those_of_mcfly() -> None:
    """What McFly's own generate_hyperparameters gives, twice, after np.random.seed(7)."""
    first, second = draw_networks(2, 7, NetworkConfig(input_noise=0.25))
    assert first == NetworkConfig(
        filters=(93, 33, 67, 24),
        lstm_units=(99,),
        learning_rate=0.0590303192340669,
        regularisation=0.00045734467126043227,
        input_noise=0.25,
    )
    assert second.filters == (78, 58, 17, 54, 10, 85, 65, 16)
    assert second.lstm_units == (70, 54, 73, 79)
    assert (second.learning_rate, second.regularisation) == (0.06079202357502477, 0.01565608100452632)


def test_draws_fill_mcflys_ranges_and_no_more() -> None:
    networks = draw_networks(2000, 0, NetworkConfig())
    assert {len(network.filters) for network in networks} == set(range(1, 11))
    assert {len(network.lstm_units) for network in networks} == set(range(1, 6))
    for layers in ("filters", "lstm_units"):
        assert {units for network in networks for units in getattr(network, layers)} == set(range(10, 101))
    for rate in ("learning_rate", "regularisation"):
        exponents = np.log10([getattr(network, rate) for network in networks])
        assert -4 <= exponents.min() < exponents.max() <= -1
        # Each decade has a third of them.
        np.testing.assert_allclose(np.histogram(exponents, bins=[-4, -3, -2, -1])[0] / 2000, 1 / 3, atol=0.05)
    assert draw_networks(3, 0, NetworkConfig()) == networks[:3]


def figures_of(done: Search) -> list[tuple[object, ...]]:
    return [(c.name, c.network, c.result.history, c.result.validation.probabilities.tolist()) for c in done.candidates]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return search(PEOPLE, CONFIG, tmp_path_factory.mktemp("searches") / "whole", seed=SEED)


def test_a_search_leaves_histories_a_table_a_plot_and_a_configuration_to_train(finished: Search) -> None:
    best, other = finished.candidates
    assert best.best is not None
    assert other.best is not None
    assert other.result.history is not None
    assert best.best.validation_accuracy >= other.best.validation_accuracy
    assert load_train_config(str(finished.folder / BEST)) == msgspec.structs.replace(
        CONFIG, name="small-best", network=best.network
    )
    with (finished.folder / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == [best.name, other.name]
    person = by_person(best)
    assert person is not None
    assert float(rows[0]["validation_balanced_accuracy_by_person"]) == person.value
    assert float(rows[0]["validation_accuracy_by_window"]) == best.best.validation_accuracy
    assert rows[0]["filters"] == " ".join(map(str, best.network.filters))
    told = json.loads((finished.folder / "models" / f"{other.name}.json").read_text(encoding="utf-8"))
    assert told["history"]["epochs"][0]["validation_loss"] == other.result.history.epochs[0].validation_loss
    assert (finished.folder / PLOT).read_bytes().startswith(b"\x89PNG")


def test_validation_people_are_those_of_the_bundle_and_test_people_are_never_asked(finished: Search) -> None:
    split = split_by_person(PEOPLE.label_of, validation_share=0.34, test_share=0.34, seed=CONFIG.bundle.seed)
    for candidate in finished.candidates:
        assert set(candidate.result.validation.person_ids.tolist()) == set(split.validation)
        assert candidate.result.n_train_people == len(split.train)
        assert len(candidate.result.test.probabilities) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.trainer.test_search import CONFIG, PEOPLE, SEED
from trainer.experiment import Hooks
from trainer.search import search

def kill_in_the_second(trial):
    if trial.method == "model-02":
        os.kill(os.getpid(), signal.SIGKILL)

search(PEOPLE, CONFIG, Path(sys.argv[1]), seed=SEED, hooks=Hooks(start=kill_in_the_second))
"""


@pytest.mark.soak
def test_a_killed_search_keeps_what_was_finished_and_ends_alike(finished: Search, tmp_path: Path) -> None:
    out = tmp_path / "search"
    killed = subprocess.run([sys.executable, "-c", KILLED, out], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert [path.stem for path in (out / "trials").iterdir()] == ["search--model-01"]
    started: list[str] = []
    hooks = Hooks(start=lambda trial: started.append(trial.method))
    resumed = search(PEOPLE, CONFIG, out, seed=SEED, hooks=hooks)
    assert started == ["model-02"]
    assert figures_of(resumed) == figures_of(finished)
    with pytest.raises(TrainingError, match=r"holds another run \(differs in search_seed\)"):
        search(PEOPLE, CONFIG, out, seed=SEED + 1)


@pytest.mark.soak
def test_networks_trained_in_two_processes_are_those_of_one(finished: Search, tmp_path: Path) -> None:
    apart = search(PEOPLE, CONFIG, tmp_path / "search", seed=SEED, where=Where(workers=2))
    assert figures_of(apart) == figures_of(finished)


def test_a_network_whose_loss_is_never_finite_is_an_entry_and_no_end_of_the_search() -> None:
    store = made_store(6)
    learned, validating = np.flatnonzero(store.subject < 3), np.flatnonzero(store.subject >= 3)
    fold = Fold("person", "search", 1, learned, validating, np.empty(0, np.int64))
    config = msgspec.structs.replace(
        CONFIG, network=NetworkConfig(filters=(2,), lstm_units=(2,), learning_rate=1e30, haar_blocks=True)
    )
    result = try_network(Trial("model-01", fold, config), store, lambda _: None)
    assert result.history is None
    assert "lower the learning rate" in result.note


def test_a_search_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--models 0: 1 or more"):
        search(PEOPLE, CONFIG, tmp_path / "search", n_models=0)


def test_the_paper_configuration_has_the_papers_network_and_settings() -> None:
    paper = load_train_config("paper")
    assert paper.network == NetworkConfig()
    assert (paper.network.filters, paper.network.lstm_units) == ((54,), (29, 95, 94, 46))
    assert (paper.network.learning_rate, paper.network.regularisation) == (0.0268, 0.0004)
    assert (paper.fit.n_epochs, paper.fit.batch_size, paper.fit.patience_epochs) == (25, 64, 3)
    assert paper.protocol.run == ("window", "person")
    assert paper.protocol.window_shares == (0.75, 0.125, 0.125)
    assert paper.windows_per_person == 0


@pytest.mark.soak
def test_the_command_searches_and_train_takes_its_best(tmp_path: Path) -> None:
    made = frailedge("twins", tmp_path / "twins", "--people", "24", "--minutes", "0.5")
    assert made.returncode == 0, made.stderr
    config = tmp_path / "small.toml"
    config.write_text(
        'name = "small"\nwindows_per_person = 8\n[network]\nhaar_blocks = true\n[signal]\nwavelet_level = 3\n'
        "[fit]\nn_epochs = 2\n[protocol]\nn_folds = 2\n",
        encoding="utf-8",
    )
    out = tmp_path / "search"
    options = ("--config", config, "--models", "2", "--epochs", "1", "--seed", str(SEED), "--workers", "2")
    done = frailedge("search", tmp_path / "twins", "--out", out, *options, timeout_s=280)
    assert done.returncode == 0, done.stderr
    assert "synthetic twins, not valid for people" in done.stderr
    assert "best by validation accuracy by window" in done.stderr
    assert load_train_config(str(out / BEST)).fit == FitConfig(n_epochs=2)
    trained = frailedge(
        "train", tmp_path / "twins", "--config", out / BEST, "--out", tmp_path / "run", "--no-bundle", timeout_s=280
    )
    assert trained.returncode == 0, trained.stderr


def test_the_command_refuses_no_epochs(tmp_path: Path) -> None:
    assert_refused(frailedge("search", tmp_path, "--epochs", "0"), "--epochs 0: 1 or more")
