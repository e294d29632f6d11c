"""Where a link stands and what may come next: an explicit state machine, with the patience that each state has.

What happened enters, with the time; the state and waiting times leave. It opens nothing and waits for nothing.
"""

import logging
from typing import Final

from edge.records import LinkState

_LOG: Final = logging.getLogger(__name__)

NEXT: Final[dict[LinkState, frozenset[LinkState]]] = {
    LinkState.SEARCHING: frozenset({LinkState.CONNECTING, LinkState.BACKING_OFF}),
    LinkState.CONNECTING: frozenset({LinkState.SUBSCRIBING, LinkState.BACKING_OFF}),
    LinkState.SUBSCRIBING: frozenset({LinkState.STREAMING, LinkState.BACKING_OFF}),
    LinkState.STREAMING: frozenset({LinkState.SILENT, LinkState.BACKING_OFF}),
    LinkState.SILENT: frozenset({LinkState.STREAMING, LinkState.BACKING_OFF}),
    LinkState.BACKING_OFF: frozenset({LinkState.SEARCHING}),
    LinkState.ENDED: frozenset(),
}
"""Every state may also end."""

FIRST_BACKOFF_S: Final = 0.25
"""Most losses are a foot behind a body: the sensor advertises again at once, and BlueZ wants a moment to clear up."""
MAX_BACKOFF_S: Final = 8.0
"""Somebody who comes back into reach, or a dongle put in again, is found before one begins to wonder."""
STEADY_AFTER_NS: Final = 1_000_000_000
"""A link that streamed so long was no failed attempt: what comes next is a loss of its own, with the first backoff."""


class Link:
    """One sensor's link. Raises ValueError for a step that `NEXT` does not have: a bug of the caller."""

    def __init__(self, sensor: str, now_ns: int, silent_after_s: float) -> None:
        self.state = LinkState.SEARCHING
        self.sensor = sensor
        self._streaming_since_ns = now_ns
        self._silent_after_ns = round(silent_after_s * 1e9)
        self._n_failures = 0
        self._has_streamed = False
        self._is_trouble_told = False
        self.n_reconnects = 0

    def to(self, state: LinkState, now_ns: int) -> None:
        """Go on to a state."""
        if state is not LinkState.ENDED and state not in NEXT[self.state]:
            raise ValueError(f"{self.sensor}: no way from {self.state} to {state}")
        if state is LinkState.STREAMING and self.state is LinkState.SUBSCRIBING:
            self.n_reconnects += int(self._has_streamed)
            self._has_streamed = True
            self._streaming_since_ns = now_ns
            if self._is_trouble_told:
                _LOG.warning("%s: streaming again", self.sensor)
            self._is_trouble_told = False
        self.state = state

    def failed(self, reason: str, now_ns: int) -> float:
        """The attempt or the link came to an end: go to backing off, for so many seconds.

        The first failure in a row is a warning, the rest is told to who asks for details: the state is in ``health/``.
        """
        streamed = self.state in (LinkState.STREAMING, LinkState.SILENT)
        if streamed and now_ns - self._streaming_since_ns > STEADY_AFTER_NS:
            self._n_failures = 0
        self._n_failures += 1
        self._is_trouble_told |= self._n_failures == 1
        _LOG.log(
            logging.WARNING if self._n_failures == 1 else logging.DEBUG,
            "%s: %s while %s; trying again",
            self.sensor,
            reason,
            self.state,
        )
        self.to(LinkState.BACKING_OFF, now_ns)
        return min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (self._n_failures - 1))

    def watch(self, heard_ns: int, now_ns: int, longest_packet_s: float) -> bool:
        """Look at a standing link's silence: sets streaming or silent; whether it is time to give the link up.

        Silent after ``silent_after_s``, but not before two of the sensor's longest packets could have come; as long
        again, and only a new connection will help.
        """
        silent_after_ns = max(self._silent_after_ns, round(2e9 * longest_packet_s))
        silence_ns = now_ns - heard_ns
        if self.state is LinkState.STREAMING and silence_ns > silent_after_ns:
            self.to(LinkState.SILENT, now_ns)
        elif self.state is LinkState.SILENT and silence_ns <= silent_after_ns:
            self.to(LinkState.STREAMING, now_ns)
        return silence_ns > 2 * silent_after_ns
