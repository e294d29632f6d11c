"""What the health messages of one sensor come to over a whole run, in which processes may have begun anew."""

from typing import Final

import msgspec

from edge.messages import EarlierCounts, Health

_LINK_COUNTS: Final = EarlierCounts.__struct_fields__
"""Inference asks ingestion: these run on while one of the two lives."""
_OWN_COUNTS: Final = (
    "n_samples",
    "n_bridged_samples",
    "n_long_gaps",
    "n_windows",
    "n_windows_refused",
    "n_decisions",
    "n_outliers",
)
"""These begin anew with each inference."""


class HealthTotals:
    """One sensor's counts over all lives; memory grows with those, not with time."""

    def __init__(self) -> None:
        self._last: Health | None = None
        self._before = dict.fromkeys((*_LINK_COUNTS, *_OWN_COUNTS), 0)

    def take(self, health: Health) -> None:
        """The next message, in the order in which they were published."""
        last = self._last
        if last is not None and last.boot_id != health.boot_id:
            self._add({name: getattr(last, name) for name in _OWN_COUNTS})
            # No later inference knows of what this one saw end; of the ingestion that ran on, it tells all again.
            earlier = {name: getattr(last.earlier, name) for name in _LINK_COUNTS}
            running = {name: getattr(last, name) - earlier[name] for name in _LINK_COUNTS}
            self._add(earlier)
            if any(getattr(health, name) < n for name, n in running.items()):
                self._add(running)  # that one died too: whatever counts now began at zero
        self._last = health

    @property
    def health(self) -> Health | None:
        """The last message with the counts of the whole run; None where there was none."""
        if self._last is None:
            return None
        totals = {name: n + getattr(self._last, name) for name, n in self._before.items()}
        earlier = EarlierCounts(
            **{name: self._before[name] + getattr(self._last.earlier, name) for name in _LINK_COUNTS}
        )
        return msgspec.structs.replace(self._last, **totals, earlier=earlier)

    def _add(self, counts: dict[str, int]) -> None:
        for name, n in counts.items():
            self._before[name] += n
