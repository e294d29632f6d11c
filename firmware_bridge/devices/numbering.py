"""Sample numbers for a sensor that counts: what was lost, what came twice, what began anew; and times beside them.

Readings that wrap, with their time of arrival, enter; how many samples lie between, and device times, leave. Arrival
only tells how often a small counter wrapped meanwhile, and whether what it says can be.
"""

from enum import Enum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

JUMP_S: Final = 10.0
"""Arrivals lag so much at most: a link that stalls longer is lost. A reading further off is of another boot."""
AWAY_S: Final = 1.0
"""After a lost link nothing waits in a queue: a sensor that stood still longer than this while away did not count."""
RATE_TOLERANCE: Final = 1.2
"""A sensor's true rate strays from the nominal one by less."""
CLOCK_SLACK_NS: Final = 100_000_000
"""A firmware may stamp a packet so much late."""


class Verdict(Enum):
    """What a packet is by its reading."""

    FIRST = "first"
    NEXT = "next"
    REPEATED = "repeated"
    BEGUN_ANEW = "begun anew"


class Advance(NamedTuple):
    """``n_samples`` from the first sample of the last packet to this one's, and the silence they do not explain."""

    verdict: Verdict
    n_samples: int = 0
    unexplained_s: float = 0.0


class Numbering:
    """One counter: a count of it is ``samples_per_count`` samples, and after ``wrap`` counts it is 0 again."""

    def __init__(self, rate_hz: float, *, samples_per_count: int, wrap: int) -> None:
        self._counts_per_s = rate_hz / samples_per_count
        self._samples_per_count = samples_per_count
        self._wrap = wrap
        self._last: tuple[int, int] | None = None
        self._was_interrupted = False

    def interrupted(self) -> None:
        """The link was lost."""
        self._was_interrupted = True

    def advance(self, reading: int, received_ns: int) -> Advance:
        """Take the reading of the next packet."""
        if self._last is None:
            advance = Advance(Verdict.FIRST)
        else:
            last_reading, last_ns = self._last
            advance = self._between((reading - last_reading) % self._wrap, max(0, received_ns - last_ns) / 1e9)
        if advance.verdict is not Verdict.REPEATED:
            self._last = (reading, received_ns)
            self._was_interrupted = False
        return advance

    def _between(self, counts: int, silence_s: float) -> Advance:
        expected = silence_s * self._counts_per_s
        wraps = (expected - counts) / self._wrap
        # Only three quarters of a wrap in doubt are one more wrap: a stalled link must not look like a loss.
        counts += self._wrap * int(wraps + (0.25 if wraps > 0 else -0.25))
        if counts == 0:
            return Advance(Verdict.REPEATED)
        if counts < 0 or counts > RATE_TOLERANCE * expected + JUMP_S * self._counts_per_s:
            verdict, counts, unexplained_s = Verdict.BEGUN_ANEW, 0, silence_s
        else:
            verdict, unexplained_s = Verdict.NEXT, silence_s - RATE_TOLERANCE * counts / self._counts_per_s
        patience_s = AWAY_S if self._was_interrupted else JUMP_S
        return Advance(verdict, counts * self._samples_per_count, unexplained_s if unexplained_s > patience_s else 0.0)


class DeviceTimes:
    """Strictly increasing times by the clock of a sensor that counts too; ``wrap`` in ticks, 0 for none."""

    def __init__(self, rate_hz: float, *, tick_ns: float, wrap: int) -> None:
        self._period_ns = 1e9 / rate_hz
        self._tick_ns = tick_ns
        self._wrap = wrap
        self._last: tuple[float, float] | None = None
        self._end_ns: int | None = None

    def place(self, ticks: float, n_on: int, n_samples: int) -> NDArray[np.int64]:
        """``(n_samples,)`` times of a packet ``n_on`` samples after the last one, whose first sample is at ``ticks``.

        A clock that contradicts the number of samples stood still, began anew or was corrupt: then that number tells.
        """
        period_ns = self._period_ns
        if self._last is None:
            first_ns = ticks * self._tick_ns
        else:
            last_ticks, first_ns = self._last
            expected_ns = n_on * period_ns
            passed = ticks - last_ticks
            if self._wrap:
                passed += self._wrap * round((expected_ns / self._tick_ns - passed) / self._wrap)
            passed_ns = passed * self._tick_ns
            is_believed = abs(passed_ns - expected_ns) <= (RATE_TOLERANCE - 1) * expected_ns + CLOCK_SLACK_NS
            first_ns += passed_ns if is_believed else expected_ns
        self._last = (ticks, first_ns)
        start_ns, step_ns = round(first_ns), period_ns
        if self._end_ns is not None and start_ns <= self._end_ns:
            # The clock is behind the end of the last packet: squeeze the samples in between that and their own end.
            own_end_ns = first_ns + (n_samples - 1) * period_ns
            start_ns = self._end_ns + round(period_ns / 4)
            step_ns = max(period_ns / 4, (own_end_ns - start_ns) / max(1, n_samples - 1))
        times: NDArray[np.int64] = start_ns + np.rint(np.arange(n_samples) * step_ns).astype(np.int64)
        self._end_ns = int(times[-1])
        return times
