"""People of a register go in, the figures of the three classes come out; from these, people that nobody is are drawn.

Kept in ``class_figures.json``: per class mean, deviation, 5 % and 95 % quantile of each gait figure, and one
correlation matrix of the figures within classes. No line of a person stands in it. Computed by `derive_class_figures`
from the GSTRIDE register (García-de-Villa et al. 2023, CC BY 4.0).
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.sources.register import LABELS, Label, Person
from firmware_bridge.gait import Figure, GaitParameters

CLASS_FIGURES_FILE: Final = Path(__file__).with_name("class_figures.json")
NAMES: Final = tuple(f"{item.name}.{kind}" for item in fields(GaitParameters) for kind in ("mean", "std"))
MAX_PEOPLE: Final = 999
_INDICES: Final[dict[Label, tuple[int, ...]]] = {"robust": (0,), "pre-frail": (1, 2), "frail": (3, 4)}


class ClassFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``mean``, ``deviation``, ``low``, ``high``: by class, a value a name; ``correlation``: ``(n_names, n_names)``."""

    source: str
    names: tuple[str, ...]
    n_people: dict[str, int]
    mean: dict[str, tuple[float, ...]]
    deviation: dict[str, tuple[float, ...]]
    low: dict[str, tuple[float, ...]]
    high: dict[str, tuple[float, ...]]
    correlation: tuple[tuple[float, ...], ...]


def gait_vector(gait: GaitParameters) -> NDArray[np.float64]:
    """The 18 figures in the order of `NAMES`."""
    figures = [getattr(gait, item.name) for item in fields(GaitParameters)]
    return np.array([value for figure in figures for value in (figure.mean, figure.std)])


def derive_class_figures(people: Sequence[Person]) -> ClassFigures:
    """The figures of the people who have a recording and all gait figures, rounded to four digits."""
    with_gait = [(p.label, gait_vector(p.gait)) for p in people if p.has_recording and p.gait is not None]
    by_class = {label: np.array([v for own, v in with_gait if own == label]) for label in LABELS}
    centred = np.concatenate([(v - v.mean(axis=0)) / v.std(axis=0, ddof=1) for v in by_class.values()])
    return ClassFigures(
        source="derived from the GSTRIDE register, García-de-Villa et al. 2023, doi 10.1038/s41597-023-02428-0, "
        "CC BY 4.0",
        names=NAMES,
        n_people={label: len(v) for label, v in by_class.items()},
        mean={label: _rounded(v.mean(axis=0)) for label, v in by_class.items()},
        deviation={label: _rounded(v.std(axis=0, ddof=1)) for label, v in by_class.items()},
        low={label: _rounded(np.quantile(v, 0.05, axis=0)) for label, v in by_class.items()},
        high={label: _rounded(np.quantile(v, 0.95, axis=0)) for label, v in by_class.items()},
        correlation=tuple(tuple(round(float(x), 3) for x in row) for row in np.corrcoef(centred.T)),
    )


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{x:.4g}") for x in values)


def read_class_figures(path: Path = CLASS_FIGURES_FILE) -> ClassFigures:
    """The figures that travel with the program."""
    return msgspec.json.decode(path.read_bytes(), type=ClassFigures)


def draw_people(n_people: int, seed: int, figures: ClassFigures | None = None) -> tuple[Person, ...]:
    """People with the classes in the database's shares, one of each at least; figures in 5 to 95 % of their class."""
    if not len(LABELS) <= n_people <= MAX_PEOPLE:
        raise ConfigError(f"--people {n_people}: say {len(LABELS)} to {MAX_PEOPLE}")
    figures = figures or read_class_figures()
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(np.array(figures.correlation))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    labels = [label for label, n in _share_out(n_people, figures.n_people).items() for _ in range(n)]
    people: list[Person] = []
    for number, label in enumerate(rng.permutation(np.array(labels)).tolist(), start=1):
        drawn = np.array(figures.mean[label]) + np.array(figures.deviation[label]) * (
            root @ rng.standard_normal(len(NAMES))
        )
        # The figures are skewed; within the class's own quantiles none becomes nobody's.
        gait = _gait(np.clip(drawn, figures.low[label], figures.high[label]))
        index = int(rng.choice(_INDICES[label]))
        people.append(
            Person(
                id=f"V{number:03d}",
                notes="synthetic person",
                device="CSIC",
                device_id="TWIN",
                surface="-",
                frailty_index=index,
                stated_index=index,
                cadence_strides_min=60.0 / gait.stride_time_s.mean,
                walking_time_s=None,
                gait=gait,
            )
        )
    return tuple(people)


def _share_out(n_people: int, weights: dict[str, int]) -> dict[Label, int]:
    """Largest remainders, one each at first."""
    total = sum(weights.values())
    exact = {label: 1 + (n_people - len(LABELS)) * weights[label] / total for label in LABELS}
    counts = {label: int(exact[label]) for label in LABELS}
    for label in sorted(LABELS, key=lambda name: counts[name] - exact[name])[: n_people - sum(counts.values())]:
        counts[label] += 1
    return counts


def _gait(values: NDArray[np.float64]) -> GaitParameters:
    """The reverse of `gait_vector`, to four decimals."""
    pairs = np.round(values, 4).reshape(-1, 2).tolist()
    return GaitParameters(
        **{item.name: Figure(*pair) for item, pair in zip(fields(GaitParameters), pairs, strict=True)}
    )
