"""One sensor's windows and strides in one time: what live published enters, message by message, placed values leave.

The sensor's own clock counts while neither it nor the publisher began anew; from one such clock to the next the host's
monotonic clock tells how far they lie apart. Neither goes back, and no correction of the wall clock enters. What a
publisher that was killed had told, and the next one told again, is placed once. No message is kept.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, get_args

import msgspec

from edge.messages import Decision, Gait, Message, Prediction, StrideFigures, WindowMessage
from edge.stream.screen import Refusal

_REFUSALS: Final = frozenset(get_args(Refusal)) - {""}
# Where the mapping from device time to the host's differs by less, the same clock of one sensor was heard: by two
# publishers, or by one before a gap and after it.
_SAME_CLOCK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class TimedWindow:
    """One window at ``[start_s, stop_s)``: ``refusal`` says why it was not used, empty where it was.

    ``probabilities`` by class, None where it was refused, or its prediction is lost; ``label`` is the rolling decision
    after it.
    """

    start_s: float
    stop_s: float
    motion: str
    flags: tuple[str, ...]
    refusal: str
    label: str | None
    probabilities: Mapping[str, float] | None

    @property
    def is_lost(self) -> bool:
        """Whether it was used at the time, and nobody knows any longer what came out."""
        return not self.refusal and self.probabilities is None


@dataclass(slots=True, eq=False)
class _Clock:
    """Times on the sensor's clock while it and its publisher lived; ``offset_s`` makes them session time."""

    boot_id: str
    windows: list[TimedWindow] = field(default_factory=list)
    strides: list[StrideFigures] = field(default_factory=list)
    oldest_start_s: float = math.inf
    newest_start_s: float = -math.inf
    newest_stop_s: float = -math.inf
    stretch: int | None = None
    arrival_s: float = math.inf  # the least time on the host's clock less that on the sensor's
    offset_s: float = 0.0


class SensorTime:
    """Places one sensor's messages, taken in the order in which they were published; `finish` ends it.

    ``windows`` and ``strides`` are in order then, their times in seconds of the host's monotonic clock.
    """

    def __init__(self) -> None:
        self.windows: list[TimedWindow] = []
        self.strides: list[StrideFigures] = []
        self._clocks: list[_Clock] = []
        self._prediction: Prediction | None = None

    def take(self, message: Message, received_ns: int) -> None:
        """The next message; those that tell neither of windows nor of strides are passed over."""
        if isinstance(message, WindowMessage):
            arrival_s = received_ns / 1e9 - message.window_stop_s
            clock = self._clock(message, arrival_s)
            if message.window_start_s > clock.newest_start_s:
                self._end_window()  # of the one before, no decision was recorded
            clock.oldest_start_s = min(clock.oldest_start_s, message.window_start_s)
            clock.newest_start_s = message.window_start_s
            clock.newest_stop_s = message.window_stop_s
            clock.stretch = message.stretch
            clock.arrival_s = min(clock.arrival_s, arrival_s)
            if isinstance(message, Prediction):
                self._prediction = message
            elif isinstance(message, Decision):
                is_of_it = self._prediction is not None and _key(self._prediction) == _key(message)
                clock.windows.append(_window(message, self._prediction if is_of_it else None))
                self._prediction = None
        elif isinstance(message, Gait):
            if not self._clocks or self._clocks[-1].boot_id != message.boot_id:
                self._begin_clock(message.boot_id)
            self._take_strides(message.strides)

    def finish(self) -> None:
        """No more messages: `windows` and `strides` are complete."""
        self._end_window()
        offset_s, until_s = 0.0, -math.inf
        for clock in self._clocks:
            if not clock.windows:
                clock.offset_s = offset_s
                continue
            if not self.windows:
                offset_s = clock.arrival_s
            elif abs(clock.arrival_s - offset_s) > _SAME_CLOCK_S:
                offset_s = max(clock.arrival_s, until_s - clock.windows[0].start_s)
            clock.offset_s = offset_s
            # The ring gives what was not yet committed again to a publisher that began anew.
            self.windows += [
                replace(window, start_s=window.start_s + offset_s, stop_s=window.stop_s + offset_s)
                for window in clock.windows
                if window.start_s + offset_s >= until_s
            ]
            clock.windows.clear()
            until_s = self.windows[-1].stop_s
        self.strides = self._placed_strides()

    def _clock(self, message: WindowMessage, arrival_s: float) -> _Clock:
        """Another begins with a publisher, and where time goes back, or leaps beside the host's over a gap.

        Within a stretch it is the message that was late, as is the last one of a stretch that a boot ended.
        """
        newest = self._clocks[-1] if self._clocks else None
        if newest is None or newest.boot_id != message.boot_id or message.window_start_s < newest.newest_start_s:
            return self._begin_clock(message.boot_id)
        is_over_gap = newest.stretch not in {None, message.stretch}
        if is_over_gap and abs(arrival_s - newest.arrival_s) > _SAME_CLOCK_S:
            return self._begin_clock(message.boot_id)
        return newest

    def _begin_clock(self, boot_id: str) -> _Clock:
        self._end_window()
        self._clocks.append(_Clock(boot_id))
        return self._clocks[-1]

    def _end_window(self) -> None:
        """What was predicted counts, also where no decision on it was recorded."""
        if self._prediction is not None:
            self._clocks[-1].windows.append(_window(self._prediction, self._prediction))
            self._prediction = None

    def _take_strides(self, strides: tuple[StrideFigures, ...]) -> None:
        """Those told once the mounting is found may be of the clocks before: in order, and each on its clock's time."""
        own = [clock for clock in self._clocks if clock.boot_id == self._clocks[-1].boot_id]
        i = len(own) - 1
        not_after_s = own[i].newest_stop_s
        for stride in reversed(strides):
            if i and stride.start_s > not_after_s:
                i -= 1
            while i and stride.start_s < own[i - 1].newest_stop_s <= own[i].oldest_start_s:
                i -= 1  # a clock that began ahead of the one before
            own[i].strides.append(stride)
            not_after_s = stride.start_s

    def _placed_strides(self) -> list[StrideFigures]:
        by_boot: dict[str, list[StrideFigures]] = {}
        for clock in self._clocks:
            by_boot.setdefault(clock.boot_id, []).extend(
                msgspec.structs.replace(stride, start_s=stride.start_s + clock.offset_s) for stride in clock.strides
            )
        placed: list[StrideFigures] = []
        for strides in by_boot.values():
            strides.sort(key=lambda stride: stride.start_s)
            # Told again, a stride begins about where it did before; the next one begins a stride later.
            until_s = placed[-1].start_s + placed[-1].stride_time_s / 2 if placed else -math.inf
            placed += [stride for stride in strides if stride.start_s >= until_s]
        return placed


def _window(message: Prediction | Decision, prediction: Prediction | None) -> TimedWindow:
    decision = message if isinstance(message, Decision) else None
    refusal = decision.reason if decision is not None and decision.reason in _REFUSALS else ""
    return TimedWindow(
        start_s=message.window_start_s,
        stop_s=message.window_stop_s,
        # The same few words in every message: kept once.
        motion=sys.intern(message.motion),
        flags=tuple(sys.intern(str(flag)) for flag in message.flags),
        refusal=sys.intern(str(refusal)),
        label=None if decision is None or decision.label is None else sys.intern(decision.label),
        probabilities=None if prediction is None else prediction.probabilities,
    )


def _key(message: WindowMessage) -> tuple[int, int]:
    return message.sample_start, message.sample_stop
