"""McFly's random search: networks drawn from its ranges, each trained on the same people, the best by validation.

A dataset and a configuration go in; a folder comes out with each network's history, a table, a plot, and ``best.toml``
for ``frailedge train``. People are split as for the configuration's bundle; its test people are not even predicted.
"""

import csv
import dataclasses
import io
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import msgspec
import numpy as np
import tomli_w
from matplotlib.figure import Figure

from edge.errors import ConfigError, TrainingError
from trainer.bundling import split_people
from trainer.datasets.dataset import Dataset
from trainer.evaluate import Interval, evaluate
from trainer.experiment import Hooks, Where, identity, run_trials
from trainer.history import Epoch, Progress
from trainer.pool import Report
from trainer.protocols import Fold
from trainer.run_folder import RunFolder
from trainer.running import answer, no_answers, result_of, train, wavelet_level
from trainer.store import WindowStore, build_store, capped
from trainer.train_config import FitConfig, NetworkConfig, TrainConfig
from trainer.training import DivergedError
from trainer.trial import Trial, TrialResult
from trainer.versions import facts

BEST: Final = "best.toml"
TABLE: Final = "models.csv"
PLOT: Final = "histories.png"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drawn network and what became of it; without ``result.history`` its loss was finite in no epoch."""

    name: str
    network: NetworkConfig
    result: TrialResult

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept, that of the lowest validation loss."""
        return None if self.result.history is None else self.result.history.best

    @property
    def rank(self) -> tuple[float, float]:
        """The smallest is the best: McFly takes the highest validation accuracy by window; a tie goes to the loss."""
        return (-self.best.validation_accuracy, self.best.validation_loss) if self.best else (np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class Search:
    """All networks, the best first, and the folder that holds them."""

    folder: Path
    candidates: tuple[Candidate, ...]


def search(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    fit: FitConfig | None = None,
    n_models: int = 2,
    seed: int = 1,
    held_out: Collection[str] = (),
    where: Where | None = None,
    hooks: Hooks | None = None,
) -> Search:
    """Draw ``n_models`` networks from ``seed``, train each as ``config`` says, and write what came of it into ``out``.

    ``fit`` takes the place of the configuration's own while searching, and is not written into ``best.toml``.
    A folder that holds part of the same search is gone on with, also by more models. `TrainingError` where it holds
    something else, or no network could be trained.
    """
    if n_models < 1:
        raise ConfigError(f"--models {n_models}: 1 or more")
    where, hooks = where or Where(), hooks or Hooks()
    wavelet_level(config)
    store = build_store(dataset, config.signal)
    tried = msgspec.structs.replace(config, fit=fit or config.fit)
    marks = identity(dataset, tried, store, held_out, only_baselines=False) | {"search_seed": seed}
    folder = RunFolder(out, marks, facts())
    fold = _fold(dataset, store, config, held_out)
    networks = draw_networks(n_models, seed, config.network)
    trials = [
        Trial(f"model-{number:02d}", fold, msgspec.structs.replace(tried, network=network))
        for number, network in enumerate(networks, start=1)
    ]
    pending = [trial for trial in trials if not folder.has(trial.key)]
    hooks.total(len(trials), len(trials) - len(pending))
    if pending:
        run_trials(folder, store, pending, try_network, where, hooks)
    candidates = [Candidate(trial.method, trial.config.network, folder.load(trial.key)) for trial in trials]
    ranked = tuple(sorted(candidates, key=lambda candidate: candidate.rank))
    _write(folder, ranked, config)
    if ranked[0].best is None:
        raise TrainingError(f"{out}: none of {n_models} networks could be trained: {ranked[0].result.note}")
    return Search(out, ranked)


def draw_networks(n_models: int, seed: int, base: NetworkConfig) -> list[NetworkConfig]:
    """McFly's draws for a DeepConvLSTM, one after the other from numpy's older generator, as McFly has it.

    Rates are 10 to the power of minus a number between 1 and 4; 1 to 10 layers of 10 to 100 filters, 1 to 5 of 10 to
    100 LSTM units. (`DeepConvLSTM.generate_hyperparameters`, NLeSC/mcfly.) All else is that of ``base``; the first
    networks of a seed are the same however many are drawn.
    """
    random = np.random.RandomState(seed)
    networks = []
    for _ in range(n_models):
        learning_rate, regularisation = (10 ** -random.uniform(1, 4) for _ in range(2))
        filters = random.randint(10, 101, random.randint(1, 11)).tolist()
        lstm_units = random.randint(10, 101, random.randint(1, 6)).tolist()
        networks.append(
            msgspec.structs.replace(
                base,
                learning_rate=float(learning_rate),
                regularisation=float(regularisation),
                filters=tuple(filters),
                lstm_units=tuple(lstm_units),
            )
        )
    return networks


def try_network(trial: Trial, store: WindowStore, report: Report[Progress]) -> TrialResult:
    """Train a drawn network and answer validation windows alone.

    Some of McFly's learning rates are too high for any data: such a network has no history, and ``note`` says why.
    """
    started_s = time.monotonic()
    nobody = no_answers(store)
    try:
        trained = train(trial.config, store, trial.fold, report)
    except DivergedError as error:
        failed = result_of(trial, store, nobody, nobody, 1.0, started_s, None)
        return dataclasses.replace(failed, note=str(error))
    validation = answer(trained, store, trial.fold.validation)
    return result_of(trial, store, validation, nobody, trained.temperature, started_s, trained.history)


def by_person(candidate: Candidate) -> Interval | None:
    """Balanced accuracy by person over the validation people, who chose the epoch: flattering, for comparison only."""
    answers = candidate.result.validation
    if candidate.best is None:
        return None
    return evaluate(answers.probabilities, answers.label_index, answers.person_ids).balanced_accuracy_by_person


def _fold(dataset: Dataset, store: WindowStore, config: TrainConfig, held_out: Collection[str]) -> Fold:
    """The people whom the bundle of this configuration learns from, without those it is tested on."""
    split = split_people(dataset, config, held_out)
    place = {person: index for index, person in enumerate(store.subject_ids)}
    train_windows, validation = (
        capped(store, np.array([place[person] for person in side]), config.windows_per_person)
        for side in (split.train, split.validation)
    )
    return Fold("person", "search", config.bundle.seed, train_windows, validation, np.empty(0, np.int64))


def _write(folder: RunFolder, ranked: tuple[Candidate, ...], config: TrainConfig) -> None:
    for candidate in ranked:
        history = candidate.result.history
        folder.write_json(
            f"models/{candidate.name}.json",
            {
                "network": msgspec.to_builtins(candidate.network),
                "history": None if history is None else dataclasses.asdict(history),
                "note": candidate.result.note,
            },
        )
    folder.write(TABLE, _table(ranked).encode())
    folder.write(PLOT, _plot(ranked))
    if ranked[0].best is not None:
        best = msgspec.structs.replace(config, name=f"{config.name[:50]}-best", network=ranked[0].network)
        folder.write(BEST, tomli_w.dumps(_without_none(msgspec.to_builtins(best))).encode())


def _without_none(value: Any) -> Any:
    """TOML has no word for None: what is left out has its default, which is None."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def _table(ranked: tuple[Candidate, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "model",
            "validation_balanced_accuracy_by_person",
            "lower_95",
            "upper_95",
            "validation_accuracy_by_window",
            "validation_loss",
            "epochs",
            "best_epoch",
            "learning_rate",
            "regularisation",
            "filters",
            "lstm_units",
            "duration_s",
            "note",
        ]
    )
    for candidate in ranked:
        network, result = candidate.network, candidate.result
        figures: list[object] = [""] * 7
        if (person := by_person(candidate)) is not None and candidate.best is not None and result.history is not None:
            figures = [person.value, person.lower, person.upper]
            figures += [candidate.best.validation_accuracy, candidate.best.validation_loss]
            figures += [len(result.history.epochs), result.history.best_epoch + 1]
        layers = [" ".join(map(str, layer)) for layer in (network.filters, network.lstm_units)]
        writer.writerow(
            [
                candidate.name,
                *figures,
                network.learning_rate,
                network.regularisation,
                *layers,
                round(result.duration_s, 1),
                result.note,
            ]
        )
    return text.getvalue()


def _plot(ranked: tuple[Candidate, ...]) -> bytes:
    """Loss and accuracy of validation windows after each epoch, a line a network, the best in front."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for candidate in reversed(ranked):
        epochs = candidate.result.history.epochs if candidate.result.history is not None else ()
        numbers = range(1, len(epochs) + 1)
        for place, name in zip(axes, ("validation_loss", "validation_accuracy"), strict=True):
            place.plot(numbers, [getattr(epoch, name) for epoch in epochs], marker=".", label=candidate.name)
    for place, name in zip(axes, ("validation loss", "validation accuracy by window"), strict=True):
        place.set(xlabel="epoch", ylabel=name)
        place.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(fontsize="small")
    file = io.BytesIO()
    with mpl.rc_context({"text.parse_math": False}):
        figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
