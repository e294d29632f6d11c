"""Whether a walk's axes are those of a foot: gravity at rest must lie on z, and strides must lead along x.

Samples in SI units go in and come out as they are, or turned by the axes given. Nothing is turned on our own guess: a
walk that shows other axes is refused with their names.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import RecordingError
from edge.sources import strides
from edge.sources.conventions import parse_axes, to_foot_frame

_MIN_UPRIGHT: Final = 0.5
"""Cosine of 60 degrees: z of a foot frame is at most that far from gravity at rest; instep mounts tilt by up to 50."""
_MAX_ASTRAY_DEG: Final = 45.0
"""How far strides may lead from x: the nearest axis is the toe. Measured: 2 on twins, 17 on real walks."""


def turn(
    path: Path, si: NDArray[np.float64], rest: NDArray[np.bool_], rate_hz: float, axes: str | None
) -> tuple[NDArray[np.float64], list[str]]:
    """``(n, 6)`` samples in the foot frame: by ``axes`` as given, else as they are, where the walk bears that out."""
    if axes is not None:
        return to_foot_frame(si, parse_axes(axes)), [f"axes {axes} of the sensor count as toe, left, up, as given"]
    gravity = np.median(si[rest, :3], axis=0)
    upright = float(gravity[2] / np.linalg.norm(gravity))
    along = strides.leads_along(si, rate_hz)
    astray_deg = 0.0 if along is None else float(np.degrees(np.arctan2(along[1], along[0])))
    if upright < _MIN_UPRIGHT or abs(astray_deg) > _MAX_ASTRAY_DEG:
        shown = _axes_shown(gravity, along)
        raise RecordingError(
            f"{path}: its axes are not toe, left, up: gravity at rest lies on {shown[2]} of the sensor, strides lead "
            f'along {shown[0]}; name the three in this order by --axes "{",".join(shown)}" (or --axes "x,y,z" to keep '
            "them)"
        )
    tilt_deg = np.degrees(np.arccos(min(upright, 1.0)))
    ahead = "too few strides to tell the toe" if along is None else f"strides lead {abs(astray_deg):.0f}° from x"
    return si, [f"axes as in the file count as toe, left, up (gravity at rest is {tilt_deg:.0f}° from z, {ahead})"]


def _axes_shown(gravity: NDArray[np.float64], along: NDArray[np.float64] | None) -> tuple[str, str, str]:
    """The sensor axes nearest to toe, left and up, as ``--axes`` takes them; ``?`` where strides tell nothing."""

    def nearest(direction: NDArray[np.float64]) -> NDArray[np.float64]:
        k = int(np.argmax(np.abs(direction)))
        axis: NDArray[np.float64] = np.sign(direction[k]) * np.eye(3)[k]
        return axis

    def name(axis: NDArray[np.float64]) -> str:
        return ("-" if axis.sum() < 0 else "") + "xyz"[int(np.argmax(np.abs(axis)))]

    up = nearest(gravity)
    if along is None:
        return "?", "?", name(up)
    toe = nearest(along * (up == 0))
    return name(toe), name(np.cross(up, toe)), name(up)
