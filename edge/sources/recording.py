"""A recording as every source hands it on: SI units, foot frame, one device time a sample, and how that was decided."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples

Gravity = Literal["included", "removed"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples of one sensor on one foot.

    ``samples`` has shape ``(n, 6)``, see `firmware_bridge.channels`. ``time_ns`` has shape ``(n,)``: device time from
    the first sample on, strictly increasing; missing samples show as steps. ``rate_hz`` is the sensor's nominal
    rate, ``n_duplicates`` counts rows dropped because their time stamp had been seen. ``statements`` are the lines
    that tell a user what was found, and how. ``frame`` is ``foot`` where the axes count as turned into the foot frame;
    ``axes`` are those of the sensor that were taken for toe, left and up. ``saturated`` ``(n,)`` marks samples at the
    sensor's range; None where nothing is known of that.
    """

    path: Path
    rate_hz: float
    time_ns: NDArray[np.int64]
    samples: Samples
    gravity: Gravity
    frame: str = "foot"
    axes: str = "x,y,z"
    n_duplicates: int = 0
    saturated: NDArray[np.bool_] | None = None
    statements: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[1] != N_CHANNELS:
            raise ValueError(f"samples must have shape (n, {N_CHANNELS}), got {self.samples.shape}")
        if self.time_ns.shape != (len(self.samples),):
            raise ValueError("time_ns must have one value a sample")
        if self.saturated is not None and self.saturated.shape != (len(self.samples),):
            raise ValueError("saturated must have one value a sample")
