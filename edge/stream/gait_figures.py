"""What is known of a walk by its strides so far: means and deviations of figures that most registers of gait list.

Strides go in, figures come out, in the register's units, over all strides and over the last ones. Strides that cannot
be anybody's are counted and left out. Memory is constant.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.stream.strides import MAX_STRIDE_S, MIN_STRIDE_S, Stride

RECENT_STRIDES: Final = 20
"""About half a minute of walking: what "now" means beside the whole session."""
SWING_SHARE_BOUNDS: Final = (0.05, 0.75)
"""The register's people have means of 8 to 35 %, runners 60 to 70 %; outside, a wobble was taken for a swing."""
MAX_STRIDE_LENGTH_M: Final = 3.0
"""Twice the longest mean of the register (1.53 m), a runner's stride; beyond it, the integration drifted."""
MAX_GAIT_SPEED_M_S: Final = 4.0
"""A run; the register's fastest walks at 1.5 m/s."""


@dataclass(frozen=True, slots=True)
class RunningFigure:
    """Mean and sample standard deviation of ``n`` strides; None where there are none, or fewer than two."""

    mean: float | None
    deviation: float | None
    n: int


@dataclass(frozen=True, slots=True)
class FigureSet:
    """The figures of some strides. Cadence is that of one foot, as in the register; steps of both are twice as many.

    ``stance_percent`` and ``swing_percent`` are of the stride's time; length and speed may be of fewer strides.
    """

    n_strides: int
    stride_time_s: RunningFigure
    cadence_strides_min: RunningFigure
    stance_percent: RunningFigure
    swing_percent: RunningFigure
    stride_length_m: RunningFigure
    gait_speed_m_s: RunningFigure

    @property
    def cadence_steps_min(self) -> float | None:
        """Steps of both feet a minute."""
        strides_min = self.cadence_strides_min.mean
        return None if strides_min is None else 2.0 * strides_min


class _Welford:
    """Mean and squared deviations, one value after the other (Welford 1962): no large sums to cancel."""

    def __init__(self) -> None:
        self._n = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self._n += 1
        off = value - self._mean
        self._mean += off / self._n
        self._squares += off * (value - self._mean)

    @property
    def figure(self) -> RunningFigure:
        deviation = (self._squares / (self._n - 1)) ** 0.5 if self._n > 1 else None
        return RunningFigure(self._mean if self._n else None, deviation, self._n)


def is_plausible(stride: Stride) -> bool:
    """Whether a stride can be anybody's: its time, its swing, and where they are known its length and speed."""
    length_m, speed_m_s = stride.stride_length_m, stride.gait_speed_m_s
    return (
        MIN_STRIDE_S <= stride.stride_time_s <= MAX_STRIDE_S
        and SWING_SHARE_BOUNDS[0] <= stride.swing_share <= SWING_SHARE_BOUNDS[1]
        and (length_m is None or length_m <= MAX_STRIDE_LENGTH_M)
        and (speed_m_s is None or speed_m_s <= MAX_GAIT_SPEED_M_S)
    )


class GaitFigures:
    """Running figures of one foot; `all` since the beginning, `recent` over the last `RECENT_STRIDES`."""

    def __init__(self) -> None:
        self._all = [_Welford() for _ in range(6)]
        self._recent: deque[Stride] = deque(maxlen=RECENT_STRIDES)
        self.n_strides = 0
        self.n_implausible = 0
        """Strides that were left out."""

    def add(self, stride: Stride) -> bool:
        """One more stride; False where it is implausible and was not counted."""
        if not is_plausible(stride):
            self.n_implausible += 1
            return False
        self.n_strides += 1
        self._recent.append(stride)
        _add(self._all, _values(stride))
        return True

    @property
    def all(self) -> FigureSet:
        """Over every stride."""
        return _figures(self._all, self.n_strides)

    @property
    def recent(self) -> FigureSet:
        """Over the last strides."""
        return figures_of(map(_values, self._recent))


def figures_of(strides: Iterable[Iterable[float | None]]) -> FigureSet:
    """The figures of plausible strides, each given by its six values in the order of `FigureSet`."""
    sums = [_Welford() for _ in range(6)]
    n_strides = 0
    for values in strides:
        n_strides += 1
        _add(sums, values)
    return _figures(sums, n_strides)


def _values(stride: Stride) -> Iterator[float | None]:
    """In the order of `FigureSet`'s figures."""
    yield stride.stride_time_s
    yield 60.0 / stride.stride_time_s
    yield 100.0 * stride.stance_share
    yield 100.0 * stride.swing_share
    yield stride.stride_length_m
    yield stride.gait_speed_m_s


def _add(sums: list[_Welford], values: Iterable[float | None]) -> None:
    for one, value in zip(sums, values, strict=True):
        if value is not None:
            one.add(value)


def _figures(sums: list[_Welford], n_strides: int) -> FigureSet:
    return FigureSet(n_strides, *(one.figure for one in sums))
