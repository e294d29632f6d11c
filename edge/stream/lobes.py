"""Where a rate turns one way, and for how long: what a walking foot's medio-lateral rate is made of.

A smoothed rate goes in, block by block; its lobes leave, once nothing later can change them. Nothing here knows which
way is swing, and nothing looks ahead further than `MERGE_S`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STILL_RAD_S: Final = 0.15
"""Slower than 9 deg/s the foot counts as not turning: over the sway of a standing foot (0.01 to 0.1), a seventh of the
swing of the slowest shuffle in the real trials."""
STILL_SHARE: Final = 0.12
"""Nor does it where it turns more slowly than this share of the fastest turn of late: a brisk walker's foot rolls on
through stance at up to 0.7 rad/s, and one's landing and next push would be one lobe."""
_PEAK_HALF_LIFE_S: Final = 5.0
_EXTRAPOLATED_S: Final = 0.02
LEAST_ANGLE_RAD: Final = 0.03
"""A smaller turn, 2 degrees, is a ripple: of an impact ringing, or of a foot that settles."""
MERGE_S: Final = 0.1
"""A rate that is still for less, as level swings do, has not ended its lobe."""


@dataclass(frozen=True, slots=True)
class Lobe:
    """The foot turned one way from ``start`` to ``stop``, in samples (interpolated), by ``angle_rad`` > 0.

    ``sign`` is 1 or -1, that of the rate.
    """

    sign: int
    start: float
    stop: float
    angle_rad: float


class LobeFinder:
    """The lobes of one stretch of rate. Its memory is one lobe open and one waiting to be merged."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._merge_samples = MERGE_S * rate_hz
        self._peak = 0.0
        self._n = 0
        self._sign = 0
        self._last = 0.0
        self._start = 0.0
        self._angle = 0.0
        self._waiting: Lobe | None = None

    def push(self, rate_rad_s: NDArray[np.float64]) -> list[Lobe]:
        """The next ``(n,)`` values; the lobes that are settled by now. Cut into other blocks, angles differ in bits."""
        found: list[Lobe] = []
        still = max(STILL_RAD_S, STILL_SHARE * self._peak)  # of the blocks before: nothing looks ahead
        # Plain numbers from here on: a block is short, and a call of numpy costs as much as ten of them.
        rates = rate_rad_s.tolist()
        faded = self._peak * 0.5 ** (len(rates) / self._rate_hz / _PEAK_HALF_LIFE_S)
        self._peak = max(faded, *map(abs, rates))
        turned = 0.0  # since the block began
        begin = 0.0
        before = self._last
        for k, now in enumerate(rates):
            side = (now > still) - (now < -still)
            if side != self._sign:
                if self._sign:
                    self._angle += (turned - begin) / self._rate_hz
                    self._close(self._crossing(k, before, now, self._sign * still), found)
                self._sign = side
                if side:
                    self._start = self._crossing(k, before, now, side * still)
                    self._angle = 0.0
                begin = turned
            turned += now
            before = now
        if self._sign:
            self._angle += (turned - begin) / self._rate_hz
        self._last = before
        self._n += len(rates)
        waiting = self._waiting
        if waiting is not None and self._n - waiting.stop > self._merge_samples:
            reaches = self._sign == waiting.sign and self._start - waiting.stop <= self._merge_samples
            if not reaches:
                found.append(waiting)
                self._waiting = None
        return found

    def finish(self) -> list[Lobe]:
        """The stretch ends; a lobe still open has no end and is dropped."""
        return [] if self._waiting is None else [self._waiting]

    def _crossing(self, k: int, before: float, now: float, border: float) -> float:
        """Where about samples ``k - 1`` and ``k`` of this block the rate, as steep as there, passes through zero."""
        slope = now - before
        share = (border - before) / slope if slope else 1.0
        beyond = -border / slope if slope else 0.0
        furthest = _EXTRAPOLATED_S * self._rate_hz
        place = self._n + k - 1 + min(max(share, 0.0), 1.0) + min(max(beyond, -furthest), furthest)
        return max(place, 0.0)

    def _close(self, stop: float, found: list[Lobe]) -> None:
        lobe = Lobe(self._sign, self._start, stop, abs(self._angle))
        if lobe.angle_rad < LEAST_ANGLE_RAD:
            return
        waiting = self._waiting
        if waiting is None:
            self._waiting = lobe
        elif waiting.sign == lobe.sign and lobe.start - waiting.stop <= self._merge_samples:
            self._waiting = Lobe(lobe.sign, waiting.start, stop, waiting.angle_rad + lobe.angle_rad)
        else:
            found.append(waiting)
            self._waiting = lobe
