"""What a dataset holds, counted: people, classes, devices, rates, durations, and what could be mistaken for the class.

A `Dataset` goes in, an `Inspection` of plain numbers and lines comes out, for a terminal, a page or a program. It
states and counts; it leaves nobody out and mends nothing.
"""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.sources.recording import Recording
from trainer.datasets.dataset import Dataset, Subject
from trainer.inspection_windows import WindowsLine

MAX_VALUES: Final = 10
"""Values of a trait that are told apart; the rest count together. A trait with more, all numbers, is ranked."""
OTHER: Final = "other"
NOT_STATED: Final = "not stated"
_HANGS_TOGETHER: Final = 0.2
_MIN_OF_A_VALUE: Final = 5
_FEW_PEOPLE: Final = 10
_UNLIKE_MEDIANS: Final = 1.25
# A number, or an ID like V001; not the 2 of m/s^2, nor a number with its unit written on to it.
_NUMBER: Final = re.compile(r"(?<![\w^.])[A-Z]{0,3}\d+(?:\.\d+)?(?![\d.]*\w)")
_MINUTES: Final = "minutes of signal"


class ClassLine(msgspec.Struct, frozen=True):
    """One class; ``*_min`` of signal a person, both feet counted: the least, the median, the most."""

    label: str
    n_people: int
    n_walks: int
    least_min: float
    median_min: float
    most_min: float


class DeviceLine(msgspec.Struct, frozen=True):
    """One device at one rate, rounded to whole hertz."""

    device: str
    rate_hz: int
    n_people: int
    n_walks: int
    total_min: float


class Found(msgspec.Struct, frozen=True):
    """A statement that ``n_walks`` recordings make; where they differ in numbers only, with the range of these."""

    text: str
    n_walks: int


class PersonLine(msgspec.Struct, frozen=True):
    """One person: ``missing_samples`` are gaps in all walks, ``n_duplicates`` rows dropped as repeated."""

    id: str
    label: str
    device: str
    rates_hz: tuple[float, ...]
    n_walks: int
    signal_min: float
    missing_samples: int
    missing_percent: float
    n_duplicates: int
    traits: dict[str, str]


class Crossing(msgspec.Struct, frozen=True):
    """People counted by class and by what may be mistaken for it: ``counts[label][value]``.

    ``cramers_v`` is 0 (nothing to do with each other) to 1 (the same thing), with Bergsma's correction for small
    tables, over the values that five people or more have; None where there is nothing to compare.
    """

    by: str
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    cramers_v: float | None
    warnings: tuple[str, ...] = ()


class Spread(msgspec.Struct, frozen=True):
    """A number by class: quartiles of each; ``share`` of its ranks' variance lies between classes, 0 to 1."""

    what: str
    n_people: tuple[int, ...]
    quartiles: tuple[tuple[float, float, float] | None, ...]
    share: float | None
    warnings: tuple[str, ...] = ()


class Inspection(msgspec.Struct, frozen=True):
    """Everything that was counted. ``labels`` is the order of every list that is by class.

    ``windows`` is empty where none were judged.
    """

    kind: str
    folder: str
    register: str
    target: str
    synthetic: bool
    gravity: str
    licence: str
    credit: str
    labels: tuple[str, ...]
    n_people: int
    n_walks: int
    total_min: float
    classes: tuple[ClassLine, ...]
    devices: tuple[DeviceLine, ...]
    found: tuple[Found, ...]
    crossings: tuple[Crossing, ...]
    spreads: tuple[Spread, ...]
    people: tuple[PersonLine, ...]
    without_recording: tuple[str, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    windows: tuple[WindowsLine, ...] = ()


def inspect_dataset(dataset: Dataset, windows: tuple[WindowsLine, ...] = ()) -> Inspection:
    """Count everything of a dataset; its judged ``windows`` are counted by `trainer.inspection_windows`."""
    people = tuple(_person_line(subject) for subject in dataset.subjects)
    crossings, spreads = _confounds(dataset, people)
    classes = tuple(_class_line(label, people) for label in dataset.labels)
    few = [
        f"only {line.n_people} {'person is' if line.n_people == 1 else 'people are'} {line.label}: "
        "figures of this class will be coarse"
        for line in classes
        if line.n_people < _FEW_PEOPLE
    ]
    none_used = [
        f"{', '.join(line.without)} ({line.label}): not one window that the edge would classify"
        for line in windows
        if line.without
    ]
    told = [line for own in (*(c.warnings for c in crossings), *(s.warnings for s in spreads)) for line in own]
    return Inspection(
        kind=dataset.kind,
        folder=str(dataset.folder),
        register=str(dataset.register),
        target=dataset.target,
        synthetic=dataset.is_synthetic,
        gravity=dataset.gravity,
        licence=dataset.licence,
        credit=dataset.credit,
        labels=dataset.labels,
        n_people=len(people),
        n_walks=sum(line.n_walks for line in people),
        total_min=sum(line.signal_min for line in people),
        classes=classes,
        devices=_device_lines(dataset),
        found=group_statements([walk.recording.statements for s in dataset.subjects for walk in s.walks]),
        crossings=crossings,
        spreads=spreads,
        people=people,
        without_recording=dataset.without_recording,
        warnings=(*few, *none_used, *told),
        problems=dataset.problems,
        windows=windows,
    )


def duration_s(recording: Recording) -> float:
    """From the first sample to the end of the last, gaps included."""
    return float(recording.time_ns[-1] - recording.time_ns[0]) / 1e9 + 1.0 / recording.rate_hz


def group_statements(statements: Sequence[Sequence[str]]) -> tuple[Found, ...]:
    """Statements of many recordings, those that differ in numbers only as one, the most frequent first."""
    alike: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    n_walks: Counter[str] = Counter()
    for own in statements:
        shapes = set()
        for line in own:
            shape = _NUMBER.sub("\0", line)
            alike[shape].append(tuple(_NUMBER.findall(line)))
            shapes.add(shape)
        n_walks.update(shapes)
    order = sorted(alike, key=lambda shape: (-n_walks[shape], shape))
    return tuple(Found(_fill_in(shape, alike[shape]), n_walks[shape]) for shape in order)


def cramers_v(counts: NDArray[np.int64]) -> float | None:
    """Cramér's V of a table ``(n_classes, n_values)``, corrected for its size (Bergsma 2013).

    None without two classes and two values.
    """
    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    n_rows, n_columns = table.shape
    n = int(table.sum())
    if min(n_rows, n_columns) < 2 or n < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n
    phi2 = max(0.0, phi2 - (n_rows - 1) * (n_columns - 1) / (n - 1))
    smaller = min(n_rows - (n_rows - 1) ** 2 / (n - 1), n_columns - (n_columns - 1) ** 2 / (n - 1)) - 1
    return min(1.0, (phi2 / smaller) ** 0.5) if smaller > 0 else None


def share_between(groups: Sequence[Sequence[float]]) -> float | None:
    """The share of the ranks' variance that lies between groups (epsilon squared of Kruskal and Wallis), 0 to 1."""
    filled = [np.asarray(group, np.float64) for group in groups if len(group)]
    values = np.concatenate(filled) if filled else np.empty(0)
    n, k = len(values), len(filled)
    _, place, n_equal = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(n_equal) - (n_equal - 1) / 2)[place]  # equal values share the mean of their ranks
    total = float(((ranks - ranks.mean()) ** 2).sum()) if n else 0.0
    if k < 2 or n <= k or total == 0.0:
        return None
    ends = np.cumsum([len(group) for group in filled])[:-1]
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(ranks, ends))
    return max(0.0, 1.0 - (within / (n - k)) / (total / (n - 1)))


def _person_line(subject: Subject) -> PersonLine:
    recordings = [walk.recording for walk in subject.walks]
    n_samples = sum(len(recording.samples) for recording in recordings)
    n_due = sum(max(round(duration_s(own) * own.rate_hz), len(own.samples)) for own in recordings)
    return PersonLine(
        id=subject.id,
        label=subject.label,
        device=" + ".join(subject.devices),
        rates_hz=tuple(sorted({round(recording.rate_hz, 2) for recording in recordings})),
        n_walks=len(recordings),
        signal_min=sum(map(duration_s, recordings)) / 60.0,
        missing_samples=n_due - n_samples,
        missing_percent=100.0 * (n_due - n_samples) / n_due,
        n_duplicates=sum(recording.n_duplicates for recording in recordings),
        traits=dict(subject.traits),
    )


def _class_line(label: str, people: Sequence[PersonLine]) -> ClassLine:
    own = [line for line in people if line.label == label]
    minutes = [line.signal_min for line in own] or [0.0]
    return ClassLine(
        label, len(own), sum(line.n_walks for line in own), min(minutes), float(median(minutes)), max(minutes)
    )


def _device_lines(dataset: Dataset) -> tuple[DeviceLine, ...]:
    people: dict[tuple[str, int], set[str]] = defaultdict(set)
    walks: dict[tuple[str, int], list[float]] = defaultdict(list)
    for subject in dataset.subjects:
        for walk in subject.walks:
            key = (walk.device, round(walk.recording.rate_hz))
            people[key].add(subject.id)
            walks[key].append(duration_s(walk.recording))
    return tuple(DeviceLine(*key, len(people[key]), len(walks[key]), sum(walks[key]) / 60.0) for key in sorted(people))


def _confounds(dataset: Dataset, people: Sequence[PersonLine]) -> tuple[tuple[Crossing, ...], tuple[Spread, ...]]:
    columns: dict[str, list[str]] = {"device": [line.device for line in people]}
    rates = [" + ".join(f"{rate_hz:.0f}" for rate_hz in line.rates_hz) + " Hz" for line in people]
    if not _says_the_same(rates, columns["device"]):
        columns["rate"] = rates
    for name in dict.fromkeys(name for line in people for name in line.traits if name != "device"):
        values = [line.traits.get(name, NOT_STATED) for line in people]
        if not any(_says_the_same(values, known) for known in columns.values()):
            columns[name] = values
    labels = [line.label for line in people]
    numbers: dict[str, Mapping[str, list[float]]] = {_MINUTES: _by_class(labels, [line.signal_min for line in people])}
    crossings = []
    for name, values in columns.items():
        as_numbers = [_as_number(value) for value in values]
        if len(set(values)) > MAX_VALUES and all(
            number is not None or value == NOT_STATED for number, value in zip(as_numbers, values, strict=True)
        ):
            numbers[name] = _by_class(labels, as_numbers)
        elif len(set(values)) > 1:
            crossings.append(_cross(name, dataset.labels, labels, values))
    spreads = tuple(_spread(what, dataset.labels, by_class) for what, by_class in numbers.items())
    return tuple(crossings), spreads


def _says_the_same(values: Sequence[str], known: Sequence[str]) -> bool:
    """Whether one column is only another name for the other."""
    pairs = set(zip(values, known, strict=True))
    return len(pairs) == len(set(values)) == len(set(known))


def _as_number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _by_class(labels: Sequence[str], values: Sequence[float | None]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for label, value in zip(labels, values, strict=True):
        if value is not None:
            groups[label].append(value)
    return groups


def _cross(by: str, order: Sequence[str], labels: Sequence[str], values: Sequence[str]) -> Crossing:
    frequent = [value for value, _ in Counter(sorted(values)).most_common()]
    if len(frequent) > MAX_VALUES:
        kept = set(frequent[: MAX_VALUES - 1])
        values = [value if value in kept else OTHER for value in values]
        frequent = [*frequent[: MAX_VALUES - 1], OTHER]
    pairs = Counter(zip(labels, values, strict=True))
    counts = np.array([[pairs[label, value] for value in frequent] for label in order], np.int64)
    v = cramers_v(counts[:, counts.sum(axis=0) >= _MIN_OF_A_VALUE])
    warnings = []
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    for row, column in zip(*np.nonzero((counts == 0) & (expected >= 1.0)), strict=True):
        what = f"wore a {frequent[column]}" if by == "device" else f'has {by} "{frequent[column]}"'
        warnings.append(
            f"no {order[row]} person {what} ({expected[row, column]:.1f} of {counts[:, column].sum()} would by chance)"
        )
    if v is not None and v >= _HANGS_TOGETHER:
        warnings.append(
            f"class and {by} hang together (Cramér's V {v:.2f}): a model may learn the {by} and call it the class"
        )
    return Crossing(by, tuple(frequent), tuple(tuple(map(int, row)) for row in counts), v, tuple(warnings))


def _spread(what: str, order: Sequence[str], by_class: Mapping[str, list[float]]) -> Spread:
    groups = [by_class.get(label, []) for label in order]
    quartiles = [_quartiles(group) if group else None for group in groups]
    share = share_between(groups)
    medians = {label: own[1] for label, own in zip(order, quartiles, strict=True) if own is not None}
    unlike = what == _MINUTES and max(medians.values()) > _UNLIKE_MEDIANS * min(medians.values())
    warnings: tuple[str, ...] = ()
    if unlike or (share is not None and share >= _HANGS_TOGETHER**2):
        listed = ", ".join(f"{label} {value:.3g}" for label, value in medians.items())
        why = ": without windows_per_person a class weighs by its minutes, not by its people" if unlike else ""
        warnings = (f"{what} a person differ by class (medians: {listed}){why}",)
    return Spread(what, tuple(map(len, groups)), tuple(quartiles), share, warnings)


def _quartiles(group: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(group, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def _fill_in(shape: str, numbers: Sequence[tuple[str, ...]]) -> str:
    parts = shape.split("\0")
    text = parts[0]
    for column, part in zip(zip(*numbers, strict=True), parts[1:], strict=True):
        different = sorted(set(column), key=lambda token: float(token.lstrip(string.ascii_uppercase)))
        if len(different) <= 2:
            text += " or ".join(different)
        else:
            text += f"{different[0]}…{different[-1]}"
        text += part
    return text
