"""Who is trained on and who is tested: the three protocols, and the check that nothing leaks from one to the other.

A store goes in, folds of window indices come out, all of them before the first network is trained. ``window`` is the
paper's: it has people on both sides and is called in-sample by person. ``person`` and ``transfer`` never have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count, permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from edge.errors import ConfigError, DatasetError, TrainingError
from trainer.store import WindowStore, capped
from trainer.train_config import ProtocolConfig, ProtocolName

MEANING: Final[dict[ProtocolName, str]] = {
    "window": "windows at random: in-sample by person, the same people are trained on and tested",
    "person": "people: nobody who is tested was trained on",
    "transfer": "devices: trained on one, tested on another, nobody on both sides",
}
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Window indices of each side, sorted. ``note`` says what is special to it, such as the two devices."""

    protocol: ProtocolName
    name: str
    seed: int
    train: Indices
    validation: Indices
    test: Indices
    note: str = ""


@dataclass(frozen=True, slots=True)
class Leak:
    """What training and validation windows share with test windows."""

    n_people: int
    n_test_people: int
    n_overlapping_windows: int
    n_test_windows: int

    def __str__(self) -> str:
        return (
            f"{self.n_people} of {self.n_test_people} test people and samples of {self.n_overlapping_windows} of "
            f"{self.n_test_windows} test windows were trained on"
        )


def make_folds(
    store: WindowStore, config: ProtocolConfig, windows_per_person: int, say: Callable[[str], object] = lambda _: None
) -> list[Fold]:
    """Every fold of every protocol and seed of a configuration, checked for leaks.

    ``say`` gets a line for each direction of a transfer that is left out. `DatasetError` where there are too few people
    for a protocol, or none of its directions is left.
    """
    folds: list[Fold] = []
    for protocol in config.run:
        if protocol == "transfer":
            folds += _transfer_folds(store, config, windows_per_person, say)
        else:
            make = _window_folds if protocol == "window" else _person_folds
            folds += [fold for seed in config.seeds for fold in make(store, config, windows_per_person, seed)]
    for fold in folds:
        require_no_leak(store, fold)
    return folds


def find_leak(store: WindowStore, fold: Fold) -> Leak:
    """Count the people, and the test windows with samples, that stand on both sides."""
    learned = np.concatenate([fold.train, fold.validation])
    test_people = np.unique(store.subject[fold.test])
    both = np.intersect1d(np.unique(store.subject[learned]), test_people)
    # Marks where a learned window begins and ends; the running sum tells how many cover a sample.
    edges = np.zeros(len(store.samples) + 1, np.int64)
    np.add.at(edges, store.start[learned], 1)
    np.add.at(edges, store.start[learned] + store.window_samples, -1)
    covered = np.concatenate([[0], np.cumsum(np.cumsum(edges)[:-1] > 0)])
    first = store.start[fold.test]
    overlapping = covered[first + store.window_samples] > covered[first]
    return Leak(len(both), len(test_people), int(overlapping.sum()), len(fold.test))


def require_no_leak(store: WindowStore, fold: Fold) -> Leak:
    """`TrainingError` where a fold that must not share people or samples does; the leak of ``window`` is its nature."""
    leak = find_leak(store, fold)
    if fold.protocol != "window" and (leak.n_people or leak.n_overlapping_windows):
        raise TrainingError(f"{fold.name} leaks: {leak}; this is a fault in the dataset's people or walks")
    return leak


def _window_folds(store: WindowStore, config: ProtocolConfig, windows_per_person: int, seed: int) -> list[Fold]:
    everything = capped(store, np.arange(len(store.subject_ids)), windows_per_person)
    shuffled = np.random.default_rng(seed).permutation(everything)
    n_train, n_validation = (round(share * len(shuffled)) for share in config.window_shares[:2])
    train, validation, test = (np.sort(side) for side in np.split(shuffled, [n_train, n_train + n_validation]))
    return [Fold("window", f"window-s{seed}", seed, train, validation, test)]


def _person_folds(store: WindowStore, config: ProtocolConfig, windows_per_person: int, seed: int) -> list[Fold]:
    counts = np.bincount(store.label_index, minlength=len(store.labels))
    if counts.min() < config.n_folds:
        scarce = store.labels[int(counts.argmin())]
        raise DatasetError(
            f"only {counts.min()} people are {scarce}, {config.n_folds} folds need one each: "
            "lower protocol.n_folds, or add people"
        )
    splitter = StratifiedKFold(config.n_folds, shuffle=True, random_state=seed)
    subjects = np.arange(len(store.subject_ids))
    return [
        _fold_of_people(
            store,
            config,
            windows_per_person,
            "person",
            f"person-s{seed}-f{index}",
            seed,
            subjects[rest],
            subjects[test],
        )
        for index, (rest, test) in enumerate(splitter.split(subjects, store.label_index), start=1)
    ]


@dataclass(frozen=True, slots=True)
class _Direction:
    """Subjects who wear the one thing, and those who wear the other."""

    name: str
    learned: Indices
    tested: Indices
    note: str


def _transfer_folds(
    store: WindowStore, config: ProtocolConfig, windows_per_person: int, say: Callable[[str], object]
) -> list[Fold]:
    return [
        _fold_of_people(
            store,
            config,
            windows_per_person,
            "transfer",
            f"transfer-s{seed}-{way.name}",
            seed,
            way.learned,
            way.tested,
            way.note,
        )
        for ways in [_directions(store, config.transfer_by, say)]
        for seed in config.seeds
        for way in ways
    ]


def _directions(store: WindowStore, by: str, say: Callable[[str], object]) -> list[_Direction]:
    """Every direction that can be trained; ``say`` gets a line for each other one."""
    groups = groups_of(store, by)
    names = sorted({name for own in groups for name in own if len(own) == 1})
    if len(names) < 2:
        raise DatasetError(f"transfer by {by}: only {', '.join(names) or 'nothing'} found; two or more are needed")
    both = [store.subject_ids[i] for i, own in enumerate(groups) if len(own) > 1]
    left_out = f"; left out, having both: {', '.join(both)}" if both else ""
    people = {name: np.array([i for i, own in enumerate(groups) if own == {name}]) for name in names}
    plain = _plain_names(names)
    directions, problems = [], []
    for source, target in permutations(names, 2):
        # One person of a class to train on, one to validate with.
        counts = np.bincount(store.label_index[people[source]], minlength=len(store.labels))
        scarce = store.labels[int(counts.argmin())]
        if counts.min() < 2:
            how_many = f"only one person with {source}" if counts.min() else f"nobody with {source}"
            problems.append(f"transfer from {source} to {target} left out: {how_many} is {scarce}")
            say(problems[-1])
            continue
        name = f"{plain[source]}-to-{plain[target]}"
        note = f"trained on {source}, tested on {target}{left_out}"
        directions.append(_Direction(name, people[source], people[target], note))
    if not directions:
        raise DatasetError(f"transfer by {by}: no direction can be trained: {'; '.join(problems)}")
    return directions


def groups_of(store: WindowStore, by: str) -> list[set[str]]:
    """For each subject the devices worn, or the one value of a trait; `ConfigError` where nobody has that trait."""
    if by == "device":
        groups: list[set[str]] = [set() for _ in store.subject_ids]
        for device, subject in zip(store.walk_devices, store.walk_subject, strict=True):
            groups[int(subject)].add(device)
        return groups
    if not any(by in traits for traits in store.subject_traits):
        known = sorted({name for traits in store.subject_traits for name in traits})
        raise ConfigError(f'protocol.transfer_by "{by}" is no trait of this dataset: device, {", ".join(known)}')
    return [{traits[by]} if by in traits else set() for traits in store.subject_traits]


def _fold_of_people(
    store: WindowStore,
    config: ProtocolConfig,
    windows_per_person: int,
    protocol: ProtocolName,
    name: str,
    seed: int,
    rest: Indices,
    test: Indices,
    note: str = "",
) -> Fold:
    try:
        train, validation = train_test_split(
            rest, test_size=config.validation_share, random_state=seed, stratify=store.label_index[rest]
        )
    except ValueError as error:
        raise DatasetError(f"{name}: too few people to set some aside for validation: {error}") from error
    return Fold(
        protocol,
        name,
        seed,
        capped(store, np.asarray(train), windows_per_person),
        capped(store, np.asarray(validation), windows_per_person),
        capped(store, np.asarray(test), windows_per_person),
        note,
    )


def _plain_names(names: Sequence[str]) -> dict[str, str]:
    """For each name one that can be part of a file's name; a number tells apart those that would be the same."""
    plain: dict[str, str] = {}
    for name in names:
        wanted = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        numbered = (f"{wanted}-{number}" for number in count(2))
        plain[name] = next(new for new in chain([wanted], numbered) if new not in plain.values())
    return plain


def n_people(store: WindowStore, windows: Indices) -> int:
    """How many people these windows are of."""
    return len(np.unique(store.subject[windows]))


def describe(store: WindowStore, folds: Sequence[Fold]) -> str:
    """One line: the protocols, how many folds of each, how many people each trains, validates and tests on."""
    parts = []
    for protocol in dict.fromkeys(fold.protocol for fold in folds):
        own = [fold for fold in folds if fold.protocol == protocol]
        sizes = "/".join(str(n_people(store, getattr(own[0], side))) for side in ("train", "validation", "test"))
        parts.append(f"{protocol}: {len(own)} folds, people {sizes} (train/validation/test) in the first")
    return "; ".join(parts)
