"""What every dataset is to the trainer: people with a class, their walks in SI units, and what is wrong with them.

An adapter (one file a dataset) makes a `Dataset` of a folder. It reads, states and refuses; it learns nothing, and
nothing after it knows where a recording came from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edge.sources.recording import Gravity, Recording
from edge.sources.register import Person

TWINS: Final = "synthetic twins"
PEOPLE: Final = "recordings of people"

ReadProgress = Callable[[str, int, int], None]
"""Gets the ID just read, how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One sensor's recording of one walk; ``name`` is unique in its dataset, ``device`` the sensor's brand or type."""

    name: str
    recording: Recording
    device: str
    side: Literal["left", "right"] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One person. ``traits`` are what could be mistaken for the class (surface, site, group, sex), as text.

    ``person`` is the line of a GSTRIDE register, where the dataset has one.
    """

    id: str
    label: str
    walks: tuple[Walk, ...]
    traits: Mapping[str, str] = field(default_factory=dict)
    person: Person | None = None

    def __post_init__(self) -> None:
        if not self.walks:
            raise ValueError(f"{self.id} has no walk")

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices worn, each once."""
        return tuple(sorted({walk.device for walk in self.walks}))


@dataclass(frozen=True, slots=True)
class Dataset:
    """People sorted by ID, all with a walk.

    ``kind`` is the adapter, ``target`` what the labels mean (``frailty``, ``gait-speed``), ``labels`` their order,
    ``register`` the file they come from. ``without_recording``: IDs that no file belongs to; ``problems``: what was
    left out or assumed, and why. ``licence`` holds for weights made of the data, ``credit`` is to be printed with them.
    """

    kind: str
    folder: Path
    register: Path
    target: str
    labels: tuple[str, ...]
    subjects: tuple[Subject, ...]
    gravity: Gravity
    trained_on: str
    licence: str
    credit: str
    without_recording: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = [subject.id for subject in self.subjects]
        if ids != sorted(set(ids)):
            raise ValueError("subjects must be sorted by ID, each once")
        if strange := sorted({subject.label for subject in self.subjects} - set(self.labels)):
            raise ValueError(f"labels {strange} are not among {self.labels}")

    @property
    def is_synthetic(self) -> bool:
        """Whether the people in it are computed, not measured."""
        return self.trained_on == TWINS

    @property
    def label_of(self) -> dict[str, str]:
        """Each person's class, by ID."""
        return {subject.id: subject.label for subject in self.subjects}
