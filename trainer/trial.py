"""One trial: one method on one fold. The unit of work that runs anywhere, is retried whole, and is repeatable.

Enters: a store of windows, a fold, a configuration. Leaves: what the method answers for validation and test people,
row by row. Nothing is decided by person here and nothing is written.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.history import History
from trainer.protocols import Fold
from trainer.train_config import TrainConfig

Unit = Literal["window", "walk", "person"]
NETWORK: Final = "network"
BASELINE: Final = "baseline:"
"""What the method of a baseline begins with; the others are networks."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Probabilities ``(n_rows, n_labels)`` float32, with the truth and the person of each row, both ``(n_rows,)``.

    ``unit`` says what a row is. A person's class is that of the largest mean log-probability over the person's rows.
    """

    unit: Unit
    probabilities: NDArray[np.float32]
    label_index: NDArray[np.int64]
    person_ids: NDArray[np.str_]

    def __post_init__(self) -> None:
        n_rows = len(self.probabilities)
        if self.probabilities.ndim != 2 or self.label_index.shape != (n_rows,) or self.person_ids.shape != (n_rows,):
            raise ValueError("probabilities must be (n_rows, n_labels), label_index and person_ids (n_rows,)")


@dataclass(frozen=True, slots=True)
class Trial:
    """``method`` is ``network``, the name of a variant (``config`` then is the variant's), or ``baseline:NAME``."""

    method: str
    fold: Fold
    config: TrainConfig

    @property
    def key(self) -> str:
        """Unique in a run, and a file's name."""
        return f"{self.fold.name}--{self.method.replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a trial leaves. ``temperature`` was fitted on the validation rows and is not applied to either side.

    ``failed`` says why there are no answers: a network whose loss was never finite has none.
    """

    key: str
    method: str
    protocol: str
    fold: str
    seed: int
    note: str
    validation: Answers
    test: Answers
    temperature: float
    n_train_people: int
    n_train_windows: int
    duration_s: float
    history: History | None = None
    failed: str = ""
