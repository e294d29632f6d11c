"""From the answers of all trials to the figures that are quoted: by person first, every seed shown.

Enters: trial results. Leaves: a row of figures for each method under each protocol (each direction of a transfer is a
row of its own), the differences between methods, and one sentence each on what they allow to say. Intervals come from
drawing people, never windows and never seeds. ``window`` rows are called in-sample by person, everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from trainer.auroc import aurocs
from trainer.by_person import NOT_TESTED, Pooled, pool_by_person, test_rows, window_confusions
from trainer.calibration import expected_calibration_error, risk_coverage
from trainer.difference import Difference, difference, named
from trainer.evaluate import (
    Counts,
    Floats,
    Interval,
    accuracies,
    balanced_accuracies,
    draw_confusions,
    draw_people,
    interval_of,
    macro_f1s,
)
from trainer.trial import BASELINE, NETWORK, TrialResult

_PROTOCOL_ORDER: Final = ("person", "transfer", "window")

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class SeedFigures:
    """All folds of one seed together, by person. ``auroc`` is None where no fold holds two classes."""

    seed: int
    n_people: int
    balanced_accuracy: float
    accuracy: float
    macro_f1: float
    auroc: float | None


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """By window: means over seeds, intervals over people, counts over all seeds (truth down, answer across)."""

    n_windows: int
    balanced_accuracy: Interval
    accuracy: Interval
    confusion: Matrix


@dataclass(frozen=True, slots=True)
class Trust:
    """How far probabilities may be believed: expected calibration error over all rows of all seeds, 0 to 1.

    ``risk_area`` is by person: the mean share that is wrong when the least sure people are left out one by one.
    """

    error_as_answered: float
    error_with_temperature: float
    risk_area: float


@dataclass(frozen=True, slots=True)
class PersonRow:
    """How one person was answered: ``answers`` counts the seeds by class."""

    person_id: str
    label: str
    n_right: int
    n_tested: int
    answers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One method under one protocol. Figures are by person and means over the seeds; ``confusion`` sums the seeds.

    ``note`` is the direction of a transfer. ``by_window`` is None where the method does not answer by window.
    """

    protocol: str
    note: str
    method: str
    unit: str
    n_people: int
    seeds: tuple[SeedFigures, ...]
    balanced_accuracy: Interval
    accuracy: Interval
    macro_f1: Interval
    auroc: Interval | None
    confusion: Matrix
    by_window: WindowFigures | None
    trust: Trust
    people: tuple[PersonRow, ...]

    @property
    def protocol_name(self) -> str:
        """The protocol as every figure names it."""
        return named(self.protocol, self.note)


@dataclass(frozen=True, slots=True)
class Summary:
    """Rows ordered by protocol (by person first), in each the networks before the baselines."""

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]

    @property
    def chance(self) -> float:
        """The balanced accuracy of an answer that looks at nobody."""
        return 1 / len(self.labels)

    def row(self, protocol: str, method: str, note: str = "") -> Row:
        """One row; `KeyError` where there is none."""
        for row in self.rows:
            if (row.protocol, row.method) == (protocol, method) and row.note.startswith(note):
                return row
        raise KeyError((protocol, method, note))

    def save(self, path: Path) -> None:
        """Write ``figures.json``."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @classmethod
    def load(cls, path: Path) -> "Summary":
        """Read what `save` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)


def summarise(results: Sequence[TrialResult], labels: Sequence[str]) -> Summary:
    """All figures of a run. `ValueError` where a seed tests a person twice or a person has two labels."""
    groups: dict[tuple[str, str], dict[str, list[TrialResult]]] = {}
    for result in results:
        place = (result.protocol, result.note if result.protocol == "transfer" else "")
        groups.setdefault(place, {}).setdefault(result.method, []).append(result)
    rows: list[Row] = []
    differences: list[Difference] = []
    for place in sorted(groups, key=lambda place: (_PROTOCOL_ORDER.index(place[0]), place[1])):
        by_method = dict(sorted(groups[place].items(), key=lambda item: _rank(item[0])))
        rows += [_row(*place, method, own, labels) for method, own in by_method.items()]
        differences += [difference(*place, *pair, by_method) for pair in _pairs(list(by_method))]
    return Summary(tuple(labels), tuple(rows), tuple(differences))


def _rank(method: str) -> int:
    return 0 if method == NETWORK else 2 if method.startswith(BASELINE) else 1


def _pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Each network against each baseline, and each variant against the main network."""
    networks = [method for method in methods if not method.startswith(BASELINE)]
    pairs = [(one, other) for one in networks for other in methods if other.startswith(BASELINE)]
    return pairs + [(one, NETWORK) for one in networks if one != NETWORK and NETWORK in networks]


def _row(protocol: str, note: str, method: str, results: Sequence[TrialResult], labels: Sequence[str]) -> Row:
    units = {result.test.unit for result in results}
    if len(units) != 1:
        raise ValueError(f"{method} answers by {' and by '.join(sorted(units))}: one unit a method")
    pooled = pool_by_person(results)
    weights = draw_people(pooled.truth)
    by_person = np.stack([pooled.confusions_by_person(index) for index in range(len(pooled.seeds))])
    auroc_drawn = [_aurocs(pooled, index, weights) for index in range(len(pooled.seeds))]
    auroc_values = [float(_aurocs(pooled, index, np.ones_like(weights[:1]))[0]) for index in range(len(pooled.seeds))]
    defined = [index for index, value in enumerate(auroc_values) if not np.isnan(value)]
    confusions = by_person.sum(axis=1)
    unit = units.pop()
    return Row(
        protocol=protocol,
        note=note,
        method=method,
        unit=unit,
        n_people=len(pooled.people),
        seeds=tuple(
            SeedFigures(
                seed=seed,
                n_people=len(pooled.tested(index)),
                balanced_accuracy=float(balanced_accuracies(confusions[index])),
                accuracy=float(accuracies(confusions[index])),
                macro_f1=float(macro_f1s(confusions[index])),
                auroc=auroc_values[index] if index in defined else None,
            )
            for index, seed in enumerate(pooled.seeds)
        ),
        balanced_accuracy=_over_seeds(balanced_accuracies, by_person, weights),
        accuracy=_over_seeds(accuracies, by_person, weights),
        macro_f1=_over_seeds(macro_f1s, by_person, weights),
        auroc=interval_of(
            float(np.mean([auroc_values[index] for index in defined])),
            np.mean([auroc_drawn[index] for index in defined], axis=0),
        )
        if defined
        else None,
        confusion=_matrix(confusions.sum(axis=0)),
        by_window=_by_window(window_confusions(results, pooled), weights) if unit == "window" else None,
        trust=_trust(results, pooled),
        people=_people(pooled, labels),
    )


def _aurocs(pooled: Pooled, seed_index: int, weights: Floats) -> Floats:
    tested = pooled.tested(seed_index)
    scores, folds = pooled.scores[seed_index, tested], pooled.folds[seed_index, tested]
    return aurocs(scores, pooled.truth[tested], weights[:, tested], folds)


def _over_seeds(figure: Callable[[Counts | Floats], Floats], by_person: Counts, weights: Floats) -> Interval:
    """The mean over seeds of a figure of ``(n_seeds, n_people, k, k)`` counts; a draw is the same for all seeds."""
    drawn = np.mean([figure(draw_confusions(own, weights)) for own in by_person], axis=0)
    return interval_of(float(np.mean(figure(by_person.sum(axis=1)))), drawn)


def _by_window(by_person: Counts, weights: Floats) -> WindowFigures:
    return WindowFigures(
        n_windows=int(by_person[0].sum()),
        balanced_accuracy=_over_seeds(balanced_accuracies, by_person, weights),
        accuracy=_over_seeds(accuracies, by_person, weights),
        confusion=_matrix(by_person.sum(axis=(0, 1))),
    )


def _trust(results: Sequence[TrialResult], pooled: Pooled) -> Trust:
    answered, tempered, truth = test_rows(results)
    tested = [pooled.tested(index) for index in range(len(pooled.seeds))]
    curves = [risk_coverage(pooled.scores[index, own], pooled.truth[own]) for index, own in enumerate(tested)]
    return Trust(
        expected_calibration_error(answered, truth),
        expected_calibration_error(tempered, truth),
        float(np.mean([curve.area for curve in curves])),
    )


def _matrix(counts: Counts) -> Matrix:
    return tuple(tuple(row) for row in counts.tolist())


def _people(pooled: Pooled, labels: Sequence[str]) -> tuple[PersonRow, ...]:
    rows = []
    for index, person in enumerate(pooled.people.tolist()):
        answers = pooled.answers[:, index]
        answers = answers[answers != NOT_TESTED]
        counts = np.bincount(answers, minlength=pooled.n_labels).tolist()
        truth = int(pooled.truth[index])
        rows.append(PersonRow(person, labels[truth], counts[truth], len(answers), tuple(counts)))
    return tuple(rows)
