"""When a sample was taken, on the host's monotonic clock: from its device time, or from its number where there is none.

Pairs of (device time or sample index, arrival time) enter, one a packet, in their order; host times leave. Radio links
are late by a varying amount and never early, so single arrivals say little; memory is bounded however long it runs.
These times stand beside the samples and measure latency; they must never decide a sample's value. An instance belongs
to one run of the counters: make a new one after a `Restart`.
"""

import math
from collections import deque
from typing import Final

WINDOW_S: Final = 30.0
"""Long enough for some packets to meet their connection event at once, short enough to follow."""
MAX_DRIFT: Final = 200e-6
"""Two crystals stray less from each other; more is a jump."""
HALF_TIME_S: Final = 90.0
"""As in the Lab Streaming Layer's dejittering."""

_BUCKET_NS: Final = 1_000_000_000
_SPANS_KEPT: Final = 20
_SPANS_FOR_DRIFT: Final = 4
_PRIOR_XX: Final = 100.0
"""In s²: the nominal rate weighs like five seconds of ten packets a second, and soon nothing beside the arrivals."""


class LowerEnvelopeClock:
    """Device time to host time by the lowest (arrival − device time) of the last 30 s: the packets that waited least.

    A packet cannot leave before its last sample is taken, so that one's device time is what its arrival is compared
    with, however many samples it has. What remains is the shortest delay of the link, about 1 ms.

    Kept are the lowest offset of each second, and the lowest of each of the last 20 windows: their slope is the drift
    between the clocks, by which older seconds are carried forward. Without that the lowest offset of a window would be
    its oldest or its newest by rule, up to 1.5 ms off at 50 ppm.
    """

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque()
        self._spans: deque[tuple[int, int]] = deque(maxlen=_SPANS_KEPT)
        self._span_start_ns = 0
        self._drift = 0.0
        self._offset_ns: int | None = None
        self._newest_ns = 0

    def update(self, device_time_ns: int, received_ns: int) -> None:
        """Take one packet: the device time of its last sample and the host's time of its arrival."""
        offset_ns = received_ns - device_time_ns
        buckets = self._buckets
        if self._offset_ns is None:
            self._span_start_ns = device_time_ns
        if buckets and device_time_ns - buckets[-1][0] < _BUCKET_NS:
            if offset_ns < buckets[-1][1]:
                # The time stays the bucket's own, so that each bucket ends: a second of drift is nothing.
                buckets[-1] = (buckets[-1][0], offset_ns)
        else:
            buckets.append((device_time_ns, offset_ns))
        while device_time_ns - buckets[0][0] > WINDOW_S * 1e9:
            buckets.popleft()
        self._newest_ns = device_time_ns
        self._offset_ns = min(round(offset + self._drift * (device_time_ns - then)) for then, offset in buckets)
        if device_time_ns - self._span_start_ns >= WINDOW_S * 1e9:
            self._end_span(device_time_ns)

    def host_ns(self, device_time_ns: int) -> int:
        """The host's monotonic time at which this device time was; `ValueError` before the first update."""
        if self._offset_ns is None:
            raise ValueError("no packet came yet: there is nothing to map by")
        return device_time_ns + self._offset_ns + round(self._drift * (device_time_ns - self._newest_ns))

    def _end_span(self, device_time_ns: int) -> None:
        self._span_start_ns = device_time_ns
        # The lowest as seen with the drift known so far, at its own time.
        lowest = min(self._buckets, key=lambda bucket: bucket[1] - self._drift * bucket[0])
        self._spans.append(lowest)
        if len(self._spans) < _SPANS_FOR_DRIFT:
            return
        mean_time = sum(time for time, _ in self._spans) / len(self._spans)
        mean_offset = sum(offset for _, offset in self._spans) / len(self._spans)
        products = sum((time - mean_time) * (offset - mean_offset) for time, offset in self._spans)
        squares = sum((time - mean_time) ** 2 for time, _ in self._spans)
        self._drift = max(-MAX_DRIFT, min(MAX_DRIFT, products / squares))


class LeastSquaresClock:
    """Sample index to host time by a line through the arrivals, older ones forgotten with a half-time of 90 s.

    For sensors without a clock. The line goes through the mean arrival: it is late by the link's mean delay, about
    19 ms at an interval of 30 ms. Until the arrivals say better, its slope is that of the nominal rate.

    The sums of the fit are carried relative to the newest sample, which keeps them small however long it runs.
    """

    def __init__(self, rate_hz: float) -> None:
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        self._rate_hz = rate_hz
        self._first_index = 0
        self._first_ns = 0
        self._newest_s = 0.0
        self._weight = 0.0
        self._x = self._xx = self._y = self._xy = 0.0
        self._level_s = 0.0
        self._slope = 0.0

    def update(self, sample_index: int, received_ns: int) -> None:
        """Take one packet: the index of its last sample and the host's time of its arrival; indices may not fall."""
        if self._weight == 0.0:
            self._first_index, self._first_ns = sample_index, received_ns
        now_s = (sample_index - self._first_index) / self._rate_hz
        step_s = now_s - self._newest_s
        if step_s < 0:
            raise ValueError(f"sample index {sample_index} is older than the last one")
        late_s = (received_ns - self._first_ns) / 1e9 - now_s
        # Move the origin to the newest sample, then forget.
        self._xx += step_s * (step_s * self._weight - 2 * self._x)
        self._x -= step_s * self._weight
        self._xy -= step_s * self._y
        keep = math.exp2(-step_s / HALF_TIME_S)
        self._weight = keep * self._weight + 1.0
        self._x *= keep
        self._xx *= keep
        self._y = keep * self._y + late_s
        self._xy *= keep
        self._newest_s = now_s
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        spread = self._xx - mean_x * self._x + _PRIOR_XX
        self._slope = (self._xy - mean_x * self._y) / spread
        self._level_s = mean_y - self._slope * mean_x

    def host_ns(self, sample_index: int) -> int:
        """The host's monotonic time of this sample, late by the link's mean delay; `ValueError` before any update."""
        if self._weight == 0.0:
            raise ValueError("no packet came yet: there is nothing to map by")
        after_s = (sample_index - self._first_index) / self._rate_hz
        late_s = self._level_s + self._slope * (after_s - self._newest_s)
        return self._first_ns + round((after_s + late_s) * 1e9)
