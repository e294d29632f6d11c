"""What a whole recorded session says: a class, how sure it is, and what it rests on.

What live published enters (`edge.sources.session.Session.messages`), one `SessionResult` leaves. The class is that of
the mean log-probability over all used windows, floored as in `edge.stream.decision` but without its forgetting: at the
end, the first minute counts as much as the last. Nothing is read or drawn here, and no class ever follows from a
single window.

The interval is a block bootstrap. Windows overlap and neighbouring strides resemble each other, so not windows are
drawn with replacement but blocks of `BLOCK_S`, which hold all windows that begin in them. With few blocks its plain
percentiles are too narrow; they are widened as a t-interval is (Hesterberg 2015, The American Statistician 69:371).
It says how far another walk like this one would move the figure, and nothing of how often the model is wrong.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.messages import Decision, Gait, Health, Message, Prediction, WindowMessage
from edge.stream.bouts import Bout, find_bouts
from edge.stream.decision import PROBABILITY_FLOOR
from edge.stream.screen import Refusal

KINDS: Final = (Prediction, Decision, Gait, Health)
"""The messages to ask `edge.sources.session.read_session` for."""
BLOCK_S: Final = 20.0
"""Ten windows of the default bundle end to end: blocks of 10 s still resemble their neighbours, and their interval held
the truth of simulated walks in 88 to 92 % instead of the 92 to 95 % of these."""
MIN_BLOCKS: Final = 6
N_RESAMPLES: Final = 4000
_SEED: Final = 5
_CONFIDENCE: Final = 0.95
_FEWEST_WINDOWS: Final = 2
_REFUSALS: Final = frozenset(get_args(Refusal)) - {""}
# Two publishers whose mapping from device time to wall time differs by less heard the same clock of one sensor.
_SAME_CLOCK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class TimedWindow:
    """One window at ``[start_s, stop_s)`` of the session: ``refusal`` says why it was not used, empty where it was.

    ``probabilities`` by class, None where it was refused or its prediction is lost; ``label`` is the rolling decision
    after it.
    """

    start_s: float
    stop_s: float
    motion: str
    flags: tuple[str, ...]
    refusal: str
    label: str | None
    probabilities: Mapping[str, float] | None


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
    """One foot. ``n_refused`` and ``n_flags`` count windows by reason and by what is wrong with the signal.

    ``walked_s`` is the time in ``bouts`` without their breaks. ``gait`` is the message with the most strides,
    ``health`` the last one; None where none was recorded.
    """

    sensor: str
    result: ClassResult
    windows: tuple[TimedWindow, ...]
    n_refused: Mapping[str, int]
    n_flags: Mapping[str, int]
    bouts: tuple[Bout, ...]
    walked_s: float
    gait: Gait | None
    health: Health | None


@dataclass(frozen=True, slots=True)
class SessionResult:
    """All sensors of a session, and the class of the person by all of them together."""

    together: ClassResult
    sensors: tuple[SensorResult, ...]


def session_result(
    messages: Iterable[Message], *, min_windows: int, least_confidence: float = 0.0, sensors: Sequence[str] = ()
) -> SessionResult:
    """The result of one person's messages of `KINDS`, each sensor's in the order in which live published them.

    ``min_windows`` and ``least_confidence`` are the bundle's; never fewer than two windows. ``sensors`` are listed
    even if nothing was published of them. `RecordingError` where windows name different classes.
    """
    by_sensor: dict[str, list[Message]] = {sensor: [] for sensor in sensors}
    for message in messages:
        by_sensor.setdefault(message.sensor, []).append(message)
    placed = {sensor: _placed(own) for sensor, own in by_sensor.items()}
    origin_s = min((window.start_s for windows, _ in placed.values() for window in windows), default=0.0)
    found = []
    for sensor, own in by_sensor.items():
        windows, strides_s = placed[sensor]
        shifted = tuple(replace(one, start_s=one.start_s - origin_s, stop_s=one.stop_s - origin_s) for one in windows)
        bouts = tuple(find_bouts(_walking_ns(shifted), [round((s - origin_s) * 1e9) for s in strides_s]))
        found.append(
            SensorResult(
                sensor=sensor,
                result=classify(shifted, min_windows=min_windows, least_confidence=least_confidence),
                windows=shifted,
                n_refused=Counter(window.refusal for window in shifted if window.refusal),
                n_flags=Counter(flag for window in shifted for flag in window.flags),
                bouts=bouts,
                walked_s=sum(bout.stop_ns - bout.start_ns - bout.break_ns for bout in bouts) / 1e9,
                gait=max((m for m in own if isinstance(m, Gait)), key=lambda m: m.session.n_strides, default=None),
                health=next((m for m in reversed(own) if isinstance(m, Health)), None),
            )
        )
    every = [window for one in found for window in one.windows]
    return SessionResult(classify(every, min_windows=min_windows, least_confidence=least_confidence), tuple(found))


def classify(windows: Iterable[TimedWindow], *, min_windows: int, least_confidence: float = 0.0) -> ClassResult:
    """The class of all used windows together, in any order; of several sensors where they share the session's time."""
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
        reason = f"too few windows: {len(used)} of at least {n_needed}"
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


def _placed(messages: Sequence[Message]) -> tuple[list[TimedWindow], list[float]]:
    """One sensor's windows in order, and when strides were found (to a window), in seconds of one clock.

    That clock is the sensor's while neither it nor the publisher began anew, and follows the wall clock from one such
    life to the next; it never goes back.
    """
    windows: list[TimedWindow] = []
    strides_s: list[float] = []
    offset_s = first_s = -math.inf
    told = ("", 0)  # by which publisher, how many strides
    for life in _lives(messages):
        about = {_key(message): message for message in life if isinstance(message, WindowMessage)}
        if not about:
            continue
        predictions = {_key(message): message for message in life if isinstance(message, Prediction)}
        wall_s = min(message.time_s - message.window_stop_s for message in about.values())
        if abs(wall_s - offset_s) > _SAME_CLOCK_S:
            begin_s = min(message.window_start_s for message in about.values())
            offset_s = max(wall_s, windows[-1].stop_s - begin_s) if windows else wall_s
        newest: WindowMessage | None = None
        for message in life:
            if isinstance(message, Gait):
                # The ring gives what was not yet committed again to a publisher that began anew; so do its windows.
                if newest is not None and newest.window_start_s + offset_s >= first_s:
                    middle_s = offset_s + (newest.window_start_s + newest.window_stop_s) / 2
                    n_before = told[1] if message.boot_id == told[0] else 0
                    strides_s += [middle_s] * (message.session.n_strides - n_before)
                told = (message.boot_id, message.session.n_strides)
            elif isinstance(message, WindowMessage):
                newest = message
        for key, message in about.items():
            if message.window_start_s + offset_s >= first_s:
                windows.append(_window(message, predictions.get(key), offset_s))
        first_s = windows[-1].stop_s if windows else first_s
    return windows, strides_s


def _window(message: WindowMessage, prediction: Prediction | None, offset_s: float) -> TimedWindow:
    decision = message if isinstance(message, Decision) else None
    return TimedWindow(
        start_s=message.window_start_s + offset_s,
        stop_s=message.window_stop_s + offset_s,
        motion=message.motion,
        flags=message.flags,
        refusal=decision.reason if decision is not None and decision.reason in _REFUSALS else "",
        label=None if decision is None else decision.label,
        probabilities=None if prediction is None else prediction.probabilities,
    )


def _key(message: WindowMessage) -> tuple[int, int]:
    return message.sample_start, message.sample_stop


def _lives(messages: Sequence[Message]) -> list[list[Message]]:
    """Cut where another publisher begins, and where the sensor's time goes back; health says nothing of windows."""
    lives: list[list[Message]] = []
    boot_id, newest_s = "", -math.inf
    for message in messages:
        if isinstance(message, Health):
            continue
        start_s = message.window_start_s if isinstance(message, WindowMessage) else newest_s
        if not lives or message.boot_id != boot_id or start_s < newest_s:
            lives.append([])
            boot_id, newest_s = message.boot_id, -math.inf
        newest_s = max(newest_s, start_s) if isinstance(message, WindowMessage) else newest_s
        lives[-1].append(message)
    return lives


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
