"""What one sensor's messages come to over a whole run, in which processes may have begun anew.

A process that is killed takes with it what it counted since its last health message. What it published until then is
here to be counted, and ingestion counts samples too; where nobody knows the rest, the total says so.
"""

from collections import Counter
from typing import Final

import msgspec

from edge.messages import Decision, EarlierCounts, Health

_LINK_COUNTS: Final = EarlierCounts.__struct_fields__
"""Inference asks ingestion: these run on while one of the two lives."""
_TOLD_COUNTS: Final = ("n_windows", "n_windows_refused", "n_decisions")
"""These begin anew with each inference, and its decisions show them too."""
_LOST_COUNTS: Final = ("n_bridged_samples", "n_long_gaps", "n_outliers")
"""These begin anew with each inference, and nobody else knows them."""
_OWN_COUNTS: Final = ("n_samples", *_TOLD_COUNTS, *_LOST_COUNTS, "n_forgotten")


class HealthTotals:
    """One sensor's counts over all lives; memory grows with those, not with time."""

    def __init__(self) -> None:
        self._last: Health | None = None
        self._n_publishers = 0
        self._both_died = False
        self._before = dict.fromkeys((*_LINK_COUNTS, *_OWN_COUNTS, "n_restarts"), 0)
        self._published: dict[str, Counter[str]] = {}
        self._told: dict[str, dict[str, int]] = {}

    def take(self, health: Health) -> None:
        """The next message, in the order in which they were published."""
        last = self._last
        if last is None or last.boot_id != health.boot_id:
            self._n_publishers += 1
            if last is not None:
                self._end(last, health)
        self._told[health.boot_id] = {name: getattr(health, name) for name in _TOLD_COUNTS}
        self._last = health

    def take_decision(self, decision: Decision) -> None:
        """Each decision is of one window."""
        counts = self._published.setdefault(decision.boot_id, Counter())
        counts["n_decisions"] += 1
        counts["n_windows_refused" if decision.reason == "gaps" else "n_windows"] += 1

    @property
    def health(self) -> Health | None:
        """The last message with the counts of the whole run; None where there was none."""
        last, before = self._last, self._before
        if last is None:
            return None
        totals = {name: before[name] + getattr(last, name) for name in (*_LINK_COUNTS, *_OWN_COUNTS)}
        # Whoever reads the ring cannot have read more than came, but may have died before it told.
        totals["n_samples"] = max(totals["n_samples"], totals["n_samples_received"])
        boots = self._told.keys() | self._published.keys()
        for name in _TOLD_COUNTS:
            totals[name] = sum(
                max(self._told.get(boot, {}).get(name, 0), self._published.get(boot, Counter())[name]) for boot in boots
            )
        totals["n_restarts"] = before["n_restarts"] + last.n_restarts
        totals["ring_lost"] = last.ring_lost + before["n_forgotten"]
        earlier = EarlierCounts(**{name: before[name] + getattr(last.earlier, name) for name in _LINK_COUNTS})
        return msgspec.structs.replace(last, **totals, earlier=earlier)

    @property
    def at_least(self) -> frozenset[str]:
        """The counts of `health` that may be too low: a killed process had counted on, and nobody else has."""
        least: set[str] = set()
        if self._n_publishers > 1:
            least.update(_LOST_COUNTS)
            if not self._published:
                least.update(_TOLD_COUNTS)
            if self._last is not None and not self._last.n_samples_received:
                least.add("n_samples")
        if self._both_died:
            least.update((*_LINK_COUNTS, "n_samples"))
        elif self.health is not None and not self.health.n_lost_samples:
            least.discard("n_bridged_samples")  # where nothing was lost, nothing was bridged
        return frozenset(least)

    def _end(self, last: Health, health: Health) -> None:
        """``last`` was the end of a publisher, ``health`` is the next one's beginning."""
        self._add({name: getattr(last, name) for name in _OWN_COUNTS})
        # Of the next one's restarts, one is its own; those before it are in the sum already.
        n_before = health.n_restarts if health.n_restarts_before is None else health.n_restarts_before
        self._before["n_restarts"] += last.n_restarts + 1 - n_before
        # No later inference knows of what this one saw end; of the ingestion that ran on, it tells all again.
        earlier = {name: getattr(last.earlier, name) for name in _LINK_COUNTS}
        running = {name: getattr(last, name) - earlier[name] for name in _LINK_COUNTS}
        self._add(earlier)
        if any(getattr(health, name) < n for name, n in running.items()):
            self._add(running)  # that one died too: whatever counts now began at zero
            self._both_died = True

    def _add(self, counts: dict[str, int]) -> None:
        for name, n in counts.items():
            self._before[name] += n


def count_words(health: Health, name: str, at_least: frozenset[str]) -> str:
    """One of the counts of `HealthTotals.health`, and that it is a least where it is."""
    return f"{'at least ' if name in at_least else ''}{getattr(health, name)}"
