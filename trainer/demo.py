"""Which two people of a register walk in the demo.

A register's people go in; the robust and the frail person nearest the median of their class come out. No recording is
read here.
"""

from collections.abc import Sequence

import numpy as np

from edge.errors import DatasetError
from edge.sources.register import LABELS, Person
from trainer.class_figures import gait_vector
from trainer.datasets.dataset import Dataset


def demo_pair(people: Sequence[Person]) -> tuple[Person, Person]:
    """The robust and the frail person with a recording whose gait figures are nearest the median of their class.

    Figures are divided by their deviation over all these people; distance is Euclidean; the lower ID wins a tie. The
    twins of these two walk in the demo, so they belong to the held-out people of the default bundle.
    """
    with_gait = [(p, gait_vector(p.gait)) for p in people if p.has_recording and p.gait is not None]
    if not with_gait:
        raise DatasetError("nobody in the register has a recording and all gait figures")
    deviation = np.array([vector for _, vector in with_gait]).std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    chosen: list[Person] = []
    for label in (LABELS[0], LABELS[-1]):
        own = [(person, vector / scale) for person, vector in with_gait if person.label == label]
        if not own:
            raise DatasetError(f"nobody in the register is {label} with a recording and all gait figures")
        median = np.median([vector for _, vector in own], axis=0)
        chosen.append(min(own, key=lambda item: (float(np.linalg.norm(item[1] - median)), item[0].id))[0])
    return chosen[0], chosen[1]


def held_out_of(dataset: Dataset) -> tuple[str, ...]:
    """Whom a bundle must not be trained on: of a register's twins, the two who walk in the demo."""
    people = [subject.person for subject in dataset.subjects if subject.person is not None]
    if not people or not dataset.is_synthetic or dataset.labels != LABELS:
        return ()
    return tuple(person.id for person in demo_pair(people))
