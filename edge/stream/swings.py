"""Which lobes of the medio-lateral rate are swings: the way of swing is settled from the gait, never assumed.

Lobes go in, swings leave. A push turns the foot one way, swing turns it back at once and further than any other lobe,
and the landing takes back what is left, followed by rest. So the sign of swing is that of the lobes which follow one
of the other sign without a pause, and of the largest. The height of the peaks does not tell: in five of six real
walks push is the sharper.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from edge.stream.lobes import Lobe

_LEAST_ANGLE_RAD: Final = 0.06
"""3 degrees; the smallest swings of the real trials, of people who shuffle, turn the foot by 6 to 10."""
_SWING_SHARE: Final = 0.12
"""Of a large lobe of late (`_LARGE`: the upper quartile): a step in a turn may have no more, and a missed swing makes
one stride of two. With 0.35 a tenth of the real strides is missed."""
_LARGE: Final = 0.75
_RECENT_LOBES: Final = 9
_PAUSE_S: Final = 0.15
_SIZE_WEIGHT: Final = 0.5
"""Of the size of the lobes against their order: by order alone 6 of 1680 real feet go wrong, by size 34, by both 2."""
_LOBES_TO_SETTLE: Final = 8
"""About three strides: then 4 of 1680 real feet go wrong, with 6 lobes 22; what comes later corrects it."""
_CLEAR: Final = 0.1
_MOST_LOBES: Final = 24
_LOBES_HALF_LIFE: Final = 24
_CONTRADICTED: Final = -0.25
"""Evidence this far against the sign, over about the last 24 lobes, says that the sensor was turned round."""


class SwingSelector:
    """The swings among the lobes of one foot. Until the sign is settled, lobes wait: never more than `_MOST_LOBES`."""

    def __init__(self, rate_hz: float) -> None:
        self._pause_samples = _PAUSE_S * rate_hz
        self._fading = 0.5 ** (1 / _LOBES_HALF_LIFE)
        self._previous: Lobe | None = None
        self._for = 0.0
        self._weight = 0.0
        self._held: list[Lobe] = []
        self._angles: deque[float] = deque(maxlen=_RECENT_LOBES)
        self.sign = 0
        """Of the rate in swing: -1 in the foot frame, 1 where the sensor sits the other way; 0: not settled yet."""
        self.n_turned = 0
        """How often the sign was found to be the other one."""

    @property
    def clarity(self) -> float:
        """How far the lobes speak for positive swings (1) or negative ones (-1)."""
        return self._for / self._weight if self._weight > 0 else 0.0

    def push(self, lobe: Lobe) -> list[Lobe]:
        """The next lobe; the swings known by it, which are several when the sign settles."""
        if lobe.angle_rad < _LEAST_ANGLE_RAD:
            return []
        self._weigh(lobe)
        if not self.sign:
            self._held.append(lobe)
            clear = len(self._held) >= _LOBES_TO_SETTLE and abs(self.clarity) >= _CLEAR
            return self.settle() if clear or len(self._held) >= _MOST_LOBES else []
        if self.sign * self.clarity < _CONTRADICTED:
            self.sign = -self.sign
            self.n_turned += 1
            self._angles.clear()
        return [lobe] if self._is_swing(lobe) else []

    def settle(self) -> list[Lobe]:
        """Take the sign that is likelier by now; the swings among the lobes that waited."""
        if not self.sign:
            self.sign = (self.clarity > 0) - (self.clarity < 0)
            self._angles.extend(lobe.angle_rad for lobe in self._held if lobe.sign == self.sign)
        held, self._held = self._held, []
        return [lobe for lobe in held if self._is_swing(lobe)]

    def end_stretch(self) -> list[Lobe]:
        """What comes next does not follow what came before; the sign stays."""
        self._previous = None
        return self.settle()

    def _weigh(self, lobe: Lobe) -> None:
        before, self._previous = self._previous, lobe
        self._for *= self._fading
        self._weight *= self._fading
        size = _SIZE_WEIGHT * lobe.angle_rad**2
        self._for += lobe.sign * size
        self._weight += size
        if before is not None and before.sign != lobe.sign and lobe.start - before.stop < self._pause_samples:
            both = before.angle_rad * lobe.angle_rad
            self._for += lobe.sign * both
            self._weight += both

    def _is_swing(self, lobe: Lobe) -> bool:
        if lobe.sign != self.sign:
            return False
        self._angles.append(lobe.angle_rad)
        return lobe.angle_rad >= _SWING_SHARE * quantile(self._angles, _LARGE)


def quantile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of the values, of which there is one at least, stay below: interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    return ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])
