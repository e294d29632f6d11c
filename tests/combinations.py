"""Options that a test goes through: all their combinations, or so few that each pair of values still occurs."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

Options = dict[str, Any]


def all_of(options: Mapping[str, Sequence[Any]]) -> list[Options]:
    """Every combination."""
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


def pairwise_of(candidates: Sequence[Options]) -> list[Options]:
    """So many of ``candidates`` that each pair of values that occurs in them is in one; greedy, always the same."""
    pairs = [set(combinations(((name, str(value)) for name, value in options.items()), 2)) for options in candidates]
    open_pairs = set().union(*pairs)
    chosen: list[int] = []
    while open_pairs:
        chosen.append(max(range(len(pairs)), key=lambda i: (len(pairs[i] & open_pairs), -i)))
        open_pairs -= pairs[chosen[-1]]
    return [candidates[i] for i in sorted(chosen)]
