"""The ranges of gait figures that a report sets beside a walk, by class, derived from a public register.

Constants only, and no line of a person: `trainer.reference.derive_reference` computes them anew from the register.
"""

from collections.abc import Mapping
from typing import Final

Range = tuple[float, float]

LABELS: Final = ("robust", "pre-frail", "frail")
N_PEOPLE: Final = (65, 73, 20)
"""Of each class: those of the register who have a recording."""
RANGES: Final[Mapping[str, tuple[Range, ...]]] = {
    "stride_time_s": ((0.9818, 1.449), (1.021, 1.561), (1.052, 2.448)),
    "cadence_strides_min": ((41.69, 61.24), (38.59, 58.89), (24.69, 56.79)),
    "stance_percent": ((66.52, 75.5), (68.06, 76.31), (69.95, 84.3)),
    "swing_percent": ((24.5, 33.48), (23.69, 31.94), (15.7, 30.05)),
    "stride_length_m": ((0.6188, 1.427), (0.5848, 1.223), (0.366, 0.9423)),
    "gait_speed_m_s": ((0.5025, 1.383), (0.4294, 1.141), (0.1593, 0.7736)),
}
"""5 % and 95 % quantiles of the people's means, by the names and in the units of `edge.messages.GaitSummary`."""
SOURCE: Final = (
    "García-de-Villa et al., A database of frailty and functional assessments with inertial gait data, Scientific Data "
    "10:566 (2023), doi 10.1038/s41597-023-02428-0, CC BY 4.0"
)
"""Whose data it is; ours are the quantiles."""
