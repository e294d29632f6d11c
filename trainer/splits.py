"""Who is trained on, who validates, who is kept for the figures: people, never windows.

Labels and ids go in, three lists of ids come out. Stratified by class, drawn from a seed, with people who must be held
out put there before anything is drawn.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from edge.errors import DatasetError


@dataclass(frozen=True, slots=True)
class PersonSplit:
    """Ids of the people on each side; no one stands on two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        everybody = [*self.train, *self.validation, *self.test]
        if len(set(everybody)) != len(everybody):
            raise ValueError("a person stands on two sides of the split")


def split_by_person(
    labels: Mapping[str, str],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
    held_out: Collection[str] = (),
) -> PersonSplit:
    """Split the people of ``labels`` (id to class); those ``held_out`` are tested on and count towards their share.

    Every class has at least one person on each side; `DatasetError` where a class is too small for that.
    """
    rng = np.random.default_rng(seed)
    train: list[str] = []
    validation: list[str] = []
    test: list[str] = []
    for label in sorted(set(labels.values())):
        members = sorted(person for person, own in labels.items() if own == label and person not in held_out)
        forced = sorted(person for person, own in labels.items() if own == label and person in held_out)
        n_people = len(members) + len(forced)
        n_test = max(1, round(test_share * n_people))
        n_validation = max(1, round(validation_share * n_people))
        if n_people - max(n_test, len(forced)) - n_validation < 1:
            raise DatasetError(
                f"only {n_people} people are {label}: training, validation and test need one each; add people"
            )
        shuffled = [members[i] for i in rng.permutation(len(members))]
        n_drawn = max(0, n_test - len(forced))
        test += forced + shuffled[:n_drawn]
        validation += shuffled[n_drawn : n_drawn + n_validation]
        train += shuffled[n_drawn + n_validation :]
    return PersonSplit(tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))
