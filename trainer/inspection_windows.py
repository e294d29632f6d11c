"""How many windows of a dataset the edge would classify, and why not the others: by class, before anything is trained.

A `Dataset` goes in, a line a class comes out. The edge's own screen judges, at its defaults, as it would for a run with
``signal.windows = "judged"``; nothing is kept.
"""

from collections import Counter, defaultdict
from collections.abc import Callable

import msgspec

from trainer.cutting import cut
from trainer.datasets.dataset import Dataset
from trainer.train_config import SignalConfig


class WindowsLine(msgspec.Struct, frozen=True):
    """One class: ``refused`` counts windows by reason; ``without`` are the people who have not one that is used."""

    label: str
    n_windows: int
    n_used: int
    refused: dict[str, int]
    without: tuple[str, ...]


def count_windows(dataset: Dataset, progress: Callable[[str, int, int], None] | None = None) -> tuple[WindowsLine, ...]:
    """Judge every window, at about 2 ms each; ``progress`` gets the ID just done, how many are, and of how many."""
    signal = SignalConfig(windows="judged")
    used: Counter[str] = Counter()
    refused: defaultdict[str, Counter[str]] = defaultdict(Counter)
    without: defaultdict[str, list[str]] = defaultdict(list)
    for n_done, subject in enumerate(dataset.subjects, start=1):
        cuts = [cut(walk.recording, signal) for walk in subject.walks]
        n_used = sum(len(firsts) for own in cuts for firsts in own.starts)
        used[subject.label] += n_used
        for own in cuts:
            refused[subject.label] += own.refused
        if not n_used:
            without[subject.label].append(subject.id)
        if progress is not None:
            progress(subject.id, n_done, len(dataset.subjects))
    return tuple(
        WindowsLine(
            label,
            used[label] + refused[label].total(),
            used[label],
            dict(refused[label].most_common()),
            tuple(without[label]),
        )
        for label in dataset.labels
    )


def windows_table(lines: tuple[WindowsLine, ...]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows, for a terminal or a page: shares of each class's windows."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals.update(line.refused)
    reasons = [reason for reason, _ in totals.most_common()]

    def share(n: int, line: WindowsLine) -> str:
        return f"{100 * n / line.n_windows:.1f} %" if line.n_windows else ""

    rows = [
        (
            line.label,
            str(line.n_windows),
            share(line.n_used, line),
            *(share(line.refused.get(reason, 0), line) for reason in reasons),
        )
        for line in lines
    ]
    return ("windows the edge would", "in all", "classify", *(f"refuse: {reason}" for reason in reasons)), rows
