"""How long each stage took, over the last predictions: bounded, so that a week of walking costs no memory."""

from collections import deque
from typing import Final

import numpy as np

_KEPT: Final = 512  # predictions: four minutes of walking at two a second


class StageLatencies:
    """Milliseconds by stage name."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[float]] = {}

    def add(self, latency_ms: dict[str, float]) -> None:
        """One prediction's stages."""
        for stage, value_ms in latency_ms.items():
            self._kept.setdefault(stage, deque(maxlen=_KEPT)).append(value_ms)

    def summary(self) -> tuple[dict[str, float], dict[str, float]]:
        """The median and the 99th percentile of each stage, in milliseconds."""
        values = {stage: np.fromiter(kept, float) for stage, kept in self._kept.items()}
        median_ms = {stage: float(np.median(of_stage)) for stage, of_stage in values.items()}
        p99_ms = {stage: float(np.percentile(of_stage, 99)) for stage, of_stage in values.items()}
        return median_ms, p99_ms
