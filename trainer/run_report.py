"""What a run leaves for people to read: figures, answers by person and by row, configuration, one report.

A finished `trainer.experiment.Run` goes in; files in its folder come out. Nothing is computed anew but the figures of
what the run holds.
"""

import csv
import datetime
import io
from typing import Any

import msgspec
import numpy as np
import tomli_w

from trainer.datasets.dataset import Dataset
from trainer.evaluate import mean_log_probabilities
from trainer.experiment import Run
from trainer.history import Epoch
from trainer.inspection import inspect_dataset
from trainer.report import ReportContext, make_report
from trainer.train_config import TrainConfig
from trainer.versions import facts


def report_run(done: Run, dataset: Dataset, config: TrainConfig, *, command: str) -> str:
    """Write figures.json, config.toml, the tables (CSV) and report.html; gives the path of the report."""
    folder = done.folder
    config = msgspec.structs.replace(config, target=dataset.target)
    text = tomli_w.dumps(_without_none(msgspec.to_builtins(config)))
    folder.write("config.toml", text.encode())
    if done.summary is not None:
        figures = msgspec.json.format(msgspec.json.encode(done.summary), indent=2)
        folder.write("figures.json", figures + b"\n")
    folder.write("by_person.csv", _by_person(done).encode())
    folder.write("history.csv", _history(done).encode())
    folder.write("by_row.csv", _by_row(done).encode())
    known = facts()
    packages = known.pop("packages")
    assert isinstance(packages, dict)
    context = ReportContext(
        name=config.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes"),
        dataset=inspect_dataset(dataset),
        config_text=text,
        versions={name: str(value) for name, value in {**known, **packages}.items()},
        commands=[command],
        summary=done.summary,
        results=done.results,
        leaks=done.leaks,
        failures=done.failures,
        bundle=None if done.bundle is None else done.bundle.manifest,
    )
    return str(folder.write("report.html", make_report(context).encode()))


def _by_person(done: Run) -> str:
    """A line a trial and test person: the truth, the answer, the mean probabilities."""
    labels = done.store.labels
    rows: list[list[object]] = [["trial", "protocol", "method", "seed", "person", "label", "answer", *labels]]
    for result in done.results:
        test = result.test
        people, means = mean_log_probabilities(test.probabilities, test.person_ids)
        truth = dict(zip(test.person_ids.tolist(), test.label_index.tolist(), strict=True))
        for person, mean in zip(people.tolist(), means, strict=True):
            likely = np.exp(mean - mean.max())
            answer = labels[int(np.argmax(mean))]
            shares = [f"{share:.4f}" for share in likely / likely.sum()]
            about = [result.key, result.protocol, result.method, result.seed, person]
            rows.append([*about, labels[truth[person]], answer, *shares])
    return _csv(rows)


def _by_row(done: Run) -> str:
    """A line a trial and test row, a window or a whole walk: where it is, its probabilities before temperature."""
    store, labels = done.store, done.store.labels
    first_sample = {int(walk): int(store.piece_start[store.piece_walk == walk].min()) for walk in np.unique(store.walk)}
    windows = {fold.name: fold.test for fold in done.folds}
    rows: list[list[object]] = [["trial", "unit", "person", "walk", "start_sample", "label", *labels]]
    for result in done.results:
        test, own = result.test, windows[result.fold]
        walks = store.walk[own] if test.unit == "window" else np.unique(store.walk[own])
        for row, probabilities in enumerate(test.probabilities):
            walk = int(walks[row])
            start = int(store.start[own[row]]) - first_sample[walk] if test.unit == "window" else ""
            about = [result.key, test.unit, test.person_ids[row], store.walk_names[walk], start]
            rows.append([*about, labels[test.label_index[row]], *(f"{share:.4f}" for share in probabilities)])
    return _csv(rows)


def _history(done: Run) -> str:
    """A line a trial and epoch; ``kept`` marks the epoch whose weights answered."""
    rows: list[list[object]] = [["trial", "epoch", *Epoch.__dataclass_fields__, "kept"]]
    for result in done.results:
        if result.history is not None:
            for index, epoch in enumerate(result.history.epochs):
                values = [getattr(epoch, name) for name in Epoch.__dataclass_fields__]
                rows.append([result.key, index + 1, *values, int(index == result.history.best_epoch)])
    return _csv(rows)


def _csv(rows: list[list[object]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _without_none(value: Any) -> Any:
    """TOML has no null: what is not given is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
