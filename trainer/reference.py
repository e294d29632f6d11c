"""People of a register go in, the ranges of their gait figures by class come out: what a report sets beside a walk.

`derive_reference` of the GSTRIDE register is what `edge.reference.RANGES` holds; a test compares the two. No line of a
person leaves.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.reference import LABELS, Range
from edge.sources.register import Person

_QUANTILES: Final = (0.05, 0.95)


def derive_reference(people: Sequence[Person]) -> dict[str, tuple[Range, ...]]:
    """By figure, for each class: 5 % and 95 % of the people's means, to four digits.

    Of all who have a recording, all gait figures and a cadence. Stance is what swing leaves of the stride. Speed is the
    length of the mean stride over its time, level as the edge's is: the register's own "Step Speed" goes along the
    foot's way through the air, and is 7 % higher in the median.
    """
    values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for person in people:
        gait = person.gait
        if gait is None or person.cadence_strides_min is None or not person.has_recording:
            continue
        means = {
            "stride_time_s": gait.stride_time_s.mean,
            "cadence_strides_min": person.cadence_strides_min,
            "stance_percent": 100.0 - gait.swing_percent.mean,
            "swing_percent": gait.swing_percent.mean,
            "stride_length_m": gait.stride_length_m.mean,
            "gait_speed_m_s": gait.stride_length_m.mean / gait.stride_time_s.mean,
        }
        for name, mean in means.items():
            values[name, person.label].append(mean)
    names = dict.fromkeys(name for name, _ in values)
    return {name: tuple(_range(values[name, label]) for label in LABELS) for name in names}


def _range(values: Sequence[float]) -> Range:
    low, high = (float(f"{value:.4g}") for value in np.quantile(values, _QUANTILES))
    return low, high
