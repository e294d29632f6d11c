"""What a whole recorded session says: a class, how sure it is, and what it rests on.

What live published enters (`edge.sources.session_reader.Published`), one `SessionResult` leaves. The class is that of
the mean log-probability over the used windows of all walking bouts, floored as in `edge.stream.decision` but without
its forgetting: at the end, the first minute counts as much as the last. Nothing is read or drawn here, and no class
ever follows from a single window.

The interval is a block bootstrap. Windows overlap and neighbouring strides resemble each other, so not windows are
drawn with replacement but blocks of `BLOCK_S`, which hold all windows that begin in them. With few blocks its plain
percentiles are too narrow; they are widened as a t-interval is (Hesterberg 2015, The American Statistician 69:371).
It says how far another walk like this one would move the figure, and nothing of how often the model is wrong.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.messages import Decision, Gait, Health, Prediction, StrideFigures
from edge.session_time import SensorTime, TimedWindow
from edge.sources.session_reader import Published
from edge.stream.bouts import Bout, find_bouts
from edge.stream.decision import PROBABILITY_FLOOR
from edge.stream.gait_figures import FigureSet, figures_of
from edge.totals import HealthTotals

KINDS: Final = (Prediction, Decision, Gait, Health)
"""The messages to ask `edge.sources.session_reader.SessionReader` for."""
BLOCK_S: Final = 20.0
"""Ten windows of the default bundle end to end: blocks of 10 s still resemble their neighbours, and their interval held
the truth of simulated walks in 88 to 92 % instead of the 92 to 95 % of these."""
MIN_BLOCKS: Final = 6
N_RESAMPLES: Final = 4000
_SEED: Final = 5
_CONFIDENCE: Final = 0.95
_FEWEST_WINDOWS: Final = 2
_UNKNOWN: Final = "cannot tell"


@dataclass(frozen=True, slots=True)
class ClassResult:
    """``label``, or None with a ``reason``; ``probabilities`` by class, empty where no window was used.

    ``interval_95`` holds the probability of the leading class, None with ``no_interval_because``; ``lead_share`` is
    the share of the resamples in which the same class led. ``n_windows`` were used, of ``n_blocks`` stretches of time.
    """

    label: str | None
    reason: str
    probabilities: Mapping[str, float]
    interval_95: tuple[float, float] | None
    no_interval_because: str
    lead_share: float | None
    n_windows: int
    n_blocks: int

    @property
    def leader(self) -> str | None:
        """The most probable class, told or not."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class SensorResult:
    """One foot. ``windows`` lie in the session's time, which begins with the first of all sensors.

    ``n_refused`` and ``n_flags`` count windows by reason and by what is wrong with the signal; ``n_lost`` were used and
    their prediction is lost; ``n_outside_bouts`` were used at the time and belong to no bout, so not to the result.
    ``walked_s`` is the time in ``bouts`` without their breaks. ``figures`` are over all
    strides, beside which ``n_implausible`` were left out. ``gait`` is the last message that knows how the sensor sits,
    ``health`` the last one with the counts of the whole session, of which those ``at_least`` may be too low; None where
    none was recorded.
    """

    sensor: str
    result: ClassResult
    windows: tuple[TimedWindow, ...]
    n_refused: Mapping[str, int]
    n_flags: Mapping[str, int]
    n_lost: int
    n_outside_bouts: int
    bouts: tuple[Bout, ...]
    walked_s: float
    figures: FigureSet
    n_implausible: int
    gait: Gait | None
    health: Health | None
    at_least: frozenset[str]


@dataclass(frozen=True, slots=True)
class SessionResult:
    """All sensors of a session, and the class of the person by all of them together."""

    together: ClassResult
    sensors: tuple[SensorResult, ...]


class _Sensor:
    """What is kept of one sensor's messages."""

    def __init__(self) -> None:
        self.time = SensorTime()
        self.totals = HealthTotals()
        self.gait: Gait | None = None
        self._n_implausible: dict[str, int] = {}

    @property
    def n_implausible(self) -> int:
        return sum(self._n_implausible.values())

    def take(self, published: Published) -> None:
        message = published.message
        self.time.take(message, published.received_ns)
        if isinstance(message, Health):
            self.totals.take(message)
        elif isinstance(message, Gait):
            self._n_implausible[message.boot_id] = message.n_implausible
            if self.gait is None or message.mounting != _UNKNOWN or self.gait.mounting == _UNKNOWN:
                self.gait = message


def session_result(
    messages: Iterable[Published], *, min_windows: int, least_confidence: float = 0.0, sensors: Sequence[str] = ()
) -> SessionResult:
    """The result of one person's messages of `KINDS`, each sensor's in the order in which live published them.

    They are taken one by one and not kept. ``min_windows`` and ``least_confidence`` are the bundle's; never fewer than
    two windows. ``sensors`` are listed even if nothing was published of them. `RecordingError` where windows name
    different classes.
    """
    by_sensor = defaultdict(_Sensor, {sensor: _Sensor() for sensor in sensors})
    for published in messages:
        by_sensor[published.message.sensor].take(published)
    for sensor in by_sensor.values():
        sensor.time.finish()
    origin_s = min(
        (sensor.time.windows[0].start_s for sensor in by_sensor.values() if sensor.time.windows), default=0.0
    )
    found = []
    walked: list[TimedWindow] = []
    for name, sensor in by_sensor.items():
        windows = tuple(
            replace(one, start_s=one.start_s - origin_s, stop_s=one.stop_s - origin_s) for one in sensor.time.windows
        )
        strides = sensor.time.strides
        bouts = tuple(find_bouts(_walking_ns(windows), [round((one.start_s - origin_s) * 1e9) for one in strides]))
        in_bouts = _within(windows, bouts)
        walked += in_bouts
        found.append(
            SensorResult(
                sensor=name,
                result=classify(in_bouts, min_windows=min_windows, least_confidence=least_confidence),
                windows=windows,
                n_refused=Counter(window.refusal for window in windows if window.refusal),
                n_flags=Counter(flag for window in windows for flag in window.flags),
                n_lost=sum(window.is_lost for window in windows),
                n_outside_bouts=_n_known(windows) - _n_known(in_bouts),
                bouts=bouts,
                walked_s=sum(bout.stop_ns - bout.start_ns - bout.break_ns for bout in bouts) / 1e9,
                figures=figures_of(map(_values, strides)),
                n_implausible=sensor.n_implausible,
                gait=sensor.gait,
                health=sensor.totals.health,
                at_least=sensor.totals.at_least,
            )
        )
    if len(found) == 1:
        return SessionResult(found[0].result, tuple(found))
    return SessionResult(classify(walked, min_windows=min_windows, least_confidence=least_confidence), tuple(found))


def _values(stride: StrideFigures) -> tuple[float | None, ...]:
    """In the order of `FigureSet`."""
    return (
        stride.stride_time_s,
        60.0 / stride.stride_time_s,
        stride.stance_percent,
        stride.swing_percent,
        stride.stride_length_m,
        stride.gait_speed_m_s,
    )


def classify(windows: Iterable[TimedWindow], *, min_windows: int, least_confidence: float = 0.0) -> ClassResult:
    """The class of the used ones of these windows, in any order; of several sensors in the session's time."""
    used = [window for window in windows if window.probabilities is not None]
    n_needed = max(min_windows, _FEWEST_WINDOWS)
    labels = tuple(used[0].probabilities or ()) if used else ()
    if any(tuple(window.probabilities or ()) != labels for window in used):
        raise RecordingError("the session's windows name different classes: it was recorded with more than one model")
    table = np.array([list((window.probabilities or {}).values()) for window in used]).reshape(len(used), len(labels))
    log_p = np.log(np.maximum(table, PROBABILITY_FLOOR))
    block = np.array([math.floor(window.start_s / BLOCK_S) for window in used], dtype=np.int64)
    n_blocks = len(np.unique(block))
    if len(used) < n_needed:
        reason = f"too few windows in walking bouts: {len(used)} of at least {n_needed}"
        return ClassResult(None, reason, {}, None, reason, None, len(used), n_blocks)
    mean = _probabilities(log_p.mean(axis=0))
    leader = int(mean.argmax())
    interval_95, lead_share, why_not = None, None, f"{n_blocks} stretches of {BLOCK_S:g} s, {MIN_BLOCKS} are needed"
    if n_blocks >= MIN_BLOCKS:
        interval_95, lead_share = _interval(log_p, block, leader)
        why_not = ""
    is_told = bool(mean[leader] >= least_confidence)
    return ClassResult(
        label=labels[leader] if is_told else None,
        reason="" if is_told else f"low confidence: {labels[leader]} is below {least_confidence:g}",
        probabilities=dict(zip(labels, mean.tolist(), strict=True)),
        interval_95=interval_95,
        no_interval_because=why_not,
        lead_share=lead_share,
        n_windows=len(used),
        n_blocks=n_blocks,
    )


def _probabilities(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(..., n_labels)`` mean log-probabilities, made to sum to 1."""
    shares = np.exp(log_p - log_p.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return result


def _interval(log_p: NDArray[np.float64], block: NDArray[np.int64], leader: int) -> tuple[tuple[float, float], float]:
    """Of the leader's probability, and how often it led."""
    _, inverse, counts = np.unique(block, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), log_p.shape[1]))
    np.add.at(sums, inverse, log_p)
    draws = np.random.default_rng(_SEED).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), N_RESAMPLES)
    drawn = _probabilities(draws @ sums / (draws @ counts)[:, None])
    tail = _tail(len(counts))
    low, high = np.quantile(drawn[:, leader], (tail, 1 - tail))
    return (float(low), float(high)), float(np.mean(drawn.argmax(axis=1) == leader))


def _tail(n: int) -> float:
    """The share cut off at each end of the resamples of ``n`` blocks: Hesterberg's, with t by its expansion in 1/n."""
    z, free = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2), n - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return NormalDist().cdf(-math.sqrt(n / free) * t)


def _walking_ns(windows: Iterable[TimedWindow]) -> list[tuple[int, int]]:
    """Where windows were mostly walking, overlapping ones made one."""
    intervals: list[tuple[int, int]] = []
    for window in windows:
        if window.motion != "walking":
            continue
        start_ns, stop_ns = round(window.start_s * 1e9), round(window.stop_s * 1e9)
        if intervals and start_ns <= intervals[-1][1]:
            intervals[-1] = (intervals[-1][0], max(intervals[-1][1], stop_ns))
        else:
            intervals.append((start_ns, stop_ns))
    return intervals


def _within(windows: Iterable[TimedWindow], bouts: Sequence[Bout]) -> list[TimedWindow]:
    """Those that lie in a bout with all of their samples."""
    starts_ns = [bout.start_ns for bout in bouts]

    def is_within(window: TimedWindow) -> bool:
        at = bisect_right(starts_ns, round(window.start_s * 1e9)) - 1
        return at >= 0 and round(window.stop_s * 1e9) <= bouts[at].stop_ns

    return [window for window in windows if is_within(window)]


def _n_known(windows: Iterable[TimedWindow]) -> int:
    return sum(window.probabilities is not None for window in windows)
