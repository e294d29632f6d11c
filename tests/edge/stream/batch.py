"""All windows of a whole recording at once, for what is compared with a stream."""

import numpy as np
from numpy.typing import NDArray

from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.windows import Window
from firmware_bridge.channels import Samples


def windows_of(time_ns: NDArray[np.int64], samples: Samples, *, rate_in_hz: float, spec: SignalSpec) -> list[Window]:
    path = SignalPath(spec, rate_in_hz)
    return path.push(time_ns, samples) + path.finish()
