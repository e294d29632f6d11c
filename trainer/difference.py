"""Whether one method is better than another: the same people drawn for both, and a sentence that says what follows.

Trial results of two methods go in, the difference with its interval comes out. Nothing is claimed where the interval
holds 0, and nothing for new people where people were trained on and tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trainer.by_person import pool_by_person
from trainer.evaluate import Interval, balanced_accuracies, draw_confusions, draw_people, interval_of
from trainer.trial import TrialResult

IN_SAMPLE: Final = "in-sample by person"


@dataclass(frozen=True, slots=True)
class Difference:
    """``method`` minus ``against``, balanced accuracy by person; None where they were not run on the same folds."""

    protocol: str
    note: str
    method: str
    against: str
    interval: Interval | None
    sentence: str


def named(protocol: str, note: str) -> str:
    """A protocol as every figure names it, like ``window (in-sample by person)``; ``note``: a transfer's direction."""
    inside = IN_SAMPLE if protocol == "window" else note
    return f"{protocol} ({inside})" if inside else protocol


def paired_difference(results: Sequence[TrialResult], against: Sequence[TrialResult]) -> Interval:
    """Balanced accuracy by person of ``results`` minus that of ``against``, drawing the same people for both.

    `ValueError` where they were not run on the same folds, seeds and people.
    """
    one, other = pool_by_person(results), pool_by_person(against)
    if one.fold_names != other.fold_names or not (
        np.array_equal(one.people, other.people)
        and np.array_equal(one.truth, other.truth)
        and np.array_equal(one.folds, other.folds)
    ):
        raise ValueError("a paired difference needs the same folds, seeds and people on both sides")
    weights = draw_people(one.truth)
    values, drawn = [], []
    for index in range(len(one.seeds)):
        sides = [pooled.confusions_by_person(index) for pooled in (one, other)]
        values.append(np.subtract(*(balanced_accuracies(side.sum(axis=0)) for side in sides)))
        drawn.append(np.subtract(*(balanced_accuracies(draw_confusions(side, weights)) for side in sides)))
    return interval_of(float(np.mean(values)), np.mean(drawn, axis=0))


def difference(
    protocol: str, note: str, method: str, against: str, by_method: Mapping[str, Sequence[TrialResult]]
) -> Difference:
    """Two methods of one protocol; not compared where one of the two lacks folds, as in a run that is not over."""
    sides = [{result.fold for result in by_method[name]} for name in (method, against)]
    if sides[0] != sides[1]:
        sentence = f"{method} and {against} are not compared: they were not run on the same folds"
        return Difference(protocol, note, method, against, None, sentence)
    interval = paired_difference(by_method[method], by_method[against])
    return Difference(protocol, note, method, against, interval, claim(protocol, note, method, against, interval))


def claim(protocol: str, note: str, method: str, against: str, interval: Interval) -> str:
    """What a paired difference allows to say, in one sentence."""
    if interval.lower > 0:
        verdict = f"{method} is better than {against}: the interval excludes 0"
    elif interval.upper < 0:
        verdict = f"{method} is worse than {against}: the interval excludes 0"
    else:
        verdict = f"no difference between {method} and {against} may be claimed: the interval holds 0"
    reach = "; people already seen, nothing follows for new ones" if protocol == "window" else ""
    return (
        f"{verdict} ({interval.value:+.3f} balanced accuracy by person, 95 % {interval.lower:+.3f} to "
        f"{interval.upper:+.3f}; {named(protocol, note)}){reach}"
    )
