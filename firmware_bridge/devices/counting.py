"""Sample numbers for a sensor that has neither counter nor clock: from what arrived, its rate, and its silences.

Numbers of samples with their time of arrival enter, a place for them and perhaps an estimated gap leave. Single packets
that a firmware drops cannot be seen this way; what is claimed here is only what silence proves, and what a decoder saw
arrive in pieces.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import Samples
from firmware_bridge.events import Block, Event, Gap

SILENCE_NS: Final = 1_000_000_000
"""While connected, the link layer repeats until it gets through: shorter pauses are late packets, not lost ones."""


class Placed(NamedTuple):
    """Where samples stand: the gap before them, the first one's number, and ``(n,)`` times at the nominal rate."""

    gap: Gap | None
    first_sample_index: int
    device_time_ns: NDArray[np.int64]


class SampleCounter:
    """One sensor's samples, numbered from its first packet on."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._next_index = 0
        self._last_ns: int | None = None
        self._was_interrupted = False
        self._n_missed = 0

    def interrupted(self) -> None:
        """The link was lost: what was taken until the next packet is missing, however short the silence."""
        self._was_interrupted = True

    def missed(self, n_samples: int) -> None:
        """So many more were seen to be lost before the next packet, as in a notification that came cut."""
        self._n_missed += n_samples

    def place(self, n_samples: int, received_ns: int) -> Placed:
        """Number ``n_samples`` more that arrived at ``received_ns``."""
        gap = None
        if self._last_ns is not None:
            silence_ns = received_ns - self._last_ns
            n_missing = self._n_missed
            if self._was_interrupted or silence_ns > SILENCE_NS:
                n_missing = max(1, n_missing, round(silence_ns * self._rate_hz / 1e9) - n_samples)
            if n_missing > 0:
                gap = Gap(self._next_index, n_missing, received_ns, is_estimated=True)
                self._next_index += n_missing
        self._was_interrupted = False
        self._n_missed = 0
        self._last_ns = received_ns
        first = self._next_index
        self._next_index += n_samples
        index = np.arange(first, self._next_index)
        return Placed(gap, first, np.rint(index * (1e9 / self._rate_hz)).astype(np.int64))

    def deliver(self, samples: Samples, saturated: NDArray[np.bool_], received_ns: int) -> list[Event]:
        """The block of ``(n, 6)`` SI samples that arrived at ``received_ns``, after the gap before it, if any."""
        gap, first, device_time_ns = self.place(len(samples), received_ns)
        block = Block(first, device_time_ns, samples, saturated, received_ns)
        return [block] if gap is None else [gap, block]
