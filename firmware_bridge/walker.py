"""A walking foot: from gait parameters to 6-axis samples. (Contract only; replaced by the real model.)"""

from dataclasses import dataclass

from firmware_bridge.channels import Samples


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean and standard deviation over strides."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class GaitParameters:
    """One person's gait, in the figures that GSTRIDE's register lists."""

    stride_time_s: Figure
    load_percent: Figure
    foot_flat_percent: Figure
    push_percent: Figure
    swing_percent: Figure
    toe_off_angle_deg: Figure
    heel_strike_angle_deg: Figure
    stride_length_m: Figure
    clearance_m: Figure


def walk(parameters: GaitParameters, *, duration_s: float, rate_hz: float, seed: int) -> Samples:
    """``(n, 6)`` samples in SI units in the foot frame."""
    raise ValueError((parameters, duration_s, rate_hz, seed))
