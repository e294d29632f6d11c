"""From single windows to a rolling decision that one odd window does not flip.

Probabilities in, a class or the reason for none out. The decision is the class of the exponentially weighted mean of
the windows' log-probabilities: the weight halves every ``half_life_windows``, so overlapping windows of the same few
strides cannot outvote the last half minute. A new class must lead the held one by ``switch_margin``. While the held
class's own probability is below ``least_confidence``, it is not told: that hides an answer and never changes which one
is held, so a threshold found on the decisions of an unhidden run holds for a hidden one, window for window.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.stream.screen import Refusal

# An int8 output knows steps of 1/256: what it calls 0 is anything below half of one. Without a floor its logarithm
# would rule every later window.
PROBABILITY_FLOOR: Final = 1 / 512

Reason = Literal["", "too few windows", "low confidence"] | Refusal
"""Why there is no class; empty where there is one."""


@dataclass(frozen=True, slots=True)
class RollingDecision:
    """``class_index`` is None with a ``reason``, or the held class; ``probabilities`` has shape ``(n_labels,)``.

    ``n_windows`` windows were used since the start and ``n_refused`` were not; ``class_index`` was told in the last
    ``held_windows`` of the used ones.
    """

    class_index: int | None
    reason: Reason
    probabilities: NDArray[np.float64]
    n_windows: int
    held_windows: int
    n_refused: int


class DecisionMaker:
    """The rolling decision of one sensor."""

    def __init__(
        self,
        n_labels: int,
        *,
        half_life_windows: float,
        min_windows: int,
        switch_margin: float,
        least_confidence: float,
    ) -> None:
        self._decay = 0.5 ** (1.0 / half_life_windows)
        self._min_windows = min_windows
        self._switch_margin = switch_margin
        self._least_confidence = least_confidence
        self._log_sum = np.zeros(n_labels)
        self._weight_sum = 0.0
        self._n_windows = 0
        self._class_index: int | None = None
        self._held_windows = 0
        self._n_refused = 0

    def refuse(self, reason: Refusal) -> RollingDecision:
        """A window that may not be used: no class while it lasts, and what was learned before stays."""
        self._n_refused += 1
        self._held_windows = 0
        return self._give(None, reason)

    def add(self, probabilities: NDArray[np.float32]) -> RollingDecision:
        """Take one window's ``(n_labels,)`` probabilities; give the decision that holds now."""
        log_p = np.log(np.maximum(probabilities.astype(np.float64), PROBABILITY_FLOOR))
        self._log_sum = self._decay * self._log_sum + log_p
        self._weight_sum = self._decay * self._weight_sum + 1.0
        self._n_windows += 1
        if self._n_windows < self._min_windows:
            return self._give(None, "too few windows")
        smoothed = self._smoothed()
        leader = int(np.argmax(smoothed))
        held = self._class_index
        if held is None or (leader != held and smoothed[leader] - smoothed[held] >= self._switch_margin):
            self._class_index, self._held_windows = leader, 0
        if smoothed[self._class_index] < self._least_confidence:
            self._held_windows = 0
            return self._give(None, "low confidence")
        self._held_windows += 1
        return self._give(self._class_index, "")

    def _smoothed(self) -> NDArray[np.float64]:
        mean = self._log_sum / max(self._weight_sum, 1.0)  # of no window at all: every class alike
        smoothed = np.exp(mean - mean.max())
        probabilities: NDArray[np.float64] = smoothed / smoothed.sum()
        return probabilities

    def _give(self, class_index: int | None, reason: Reason) -> RollingDecision:
        return RollingDecision(
            class_index, reason, self._smoothed(), self._n_windows, self._held_windows, self._n_refused
        )
