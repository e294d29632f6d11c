"""What the health messages of one sensor come to over a whole run, in which processes may have begun anew."""

from typing import Final

import msgspec

from edge.messages import Health

_LINK_COUNTS: Final = (
    "n_packets",
    "n_corrupt",
    "n_duplicates",
    "n_lost_samples",
    "n_lost_estimated",
    "n_gaps",
    "n_reconnects",
)
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
            self._add(last, _OWN_COUNTS)
            if health.n_packets < last.n_packets:
                # Both processes died: this inference knows of nothing that an earlier ingestion had counted.
                self._add(last, _LINK_COUNTS)
        self._last = health

    @property
    def health(self) -> Health | None:
        """The last message with the counts of the whole run; None where there was none."""
        if self._last is None:
            return None
        totals = {name: n + getattr(self._last, name) for name, n in self._before.items()}
        return msgspec.structs.replace(self._last, **totals)

    def _add(self, health: Health, names: tuple[str, ...]) -> None:
        for name in names:
            self._before[name] += getattr(health, name)
