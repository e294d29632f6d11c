"""Walking bouts for a session's result: walking intervals and stride times enter, bouts leave.

The rule is mobgap's: at least four strides, breaks of up to 3 s joined. The gate itself knows no bouts. No signal and
no clock is read here: all times are device times handed in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

MIN_STRIDES: Final = 4
MAX_BREAK_NS: Final = 3_000_000_000


@dataclass(frozen=True, slots=True)
class Bout:
    """Walking in ``[start_ns, stop_ns)``; ``n_strides`` began in it, ``break_ns`` of it were breaks."""

    start_ns: int
    stop_ns: int
    n_strides: int
    break_ns: int


def find_bouts(walking_ns: Iterable[tuple[int, int]], stride_starts_ns: Sequence[int]) -> list[Bout]:
    """The bouts of ascending walking intervals ``[start, stop)`` and ascending starts of strides.

    Intervals that touch or lie at most `MAX_BREAK_NS` apart are one; then what has less than `MIN_STRIDES` is dropped.
    Raises ValueError for intervals that overlap, end before they begin, or are not in order.
    """
    bouts: list[Bout] = []
    starts_ns = np.asarray(stride_starts_ns, dtype=np.int64)
    joined: list[tuple[int, int, int]] = []
    for start, stop in walking_ns:
        if stop <= start or (joined and start < joined[-1][1]):
            raise ValueError(f"walking intervals must be ascending and must not overlap, got [{start}, {stop})")
        if joined and start - joined[-1][1] <= MAX_BREAK_NS:
            first, last, break_ns = joined[-1]
            joined[-1] = (first, stop, break_ns + start - last)
        else:
            joined.append((start, stop, 0))
    for start, stop, break_ns in joined:
        n_strides = int(np.diff(np.searchsorted(starts_ns, (start, stop)))[0])
        if n_strides >= MIN_STRIDES:
            bouts.append(Bout(start, stop, n_strides, break_ns))
    return bouts
