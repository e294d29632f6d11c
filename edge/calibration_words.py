"""What a person is told of a calibration: the result and the axes that counted as the foot's enter, lines leave.

The axes named are always the sensor's own: set in the configuration, they make the next calibration say "as configured"
wherever axes alone can do so. Nothing is read, written or printed here.
"""

import itertools
import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.config import SensorConfig
from edge.sources.conventions import parse_axes
from edge.stream.mounting import (
    AS_CONFIGURED_DEG,
    MIN_STRIDES,
    MOVED,
    NO_GRAVITY,
    TOO_FEW_STRIDES,
    MountingResult,
)

NO_SIGNAL: Final = "nothing came from the sensor"
PLAIN_AXES: Final = "x,y,z"
ASKED_STRIDES: Final = MIN_STRIDES + 2
"""The first and the last may be half ones."""

_WALK: Final = f"walk straight ahead at your usual pace: at least {ASKED_STRIDES} strides of the foot that wears it"
_ADVICE: Final = {
    NO_SIGNAL: "Switch it on and bring it near; `frailedge doctor` looks at the radio.",
    TOO_FEW_STRIDES: f"Stand still for a moment, then {_WALK}.",
    MOVED: f"Fasten the strap, then {_WALK}.",
    NO_GRAVITY: "The foot's frame is found from gravity: let the sensor send raw acceleration, and check its unit.",
}
_CORRECTED: Final = '`live` takes it out, unless screen.mounting is "trust"'


def _axis_rotations() -> dict[str, NDArray[np.float64]]:
    """All 24 proper rotations that take axes to axes, by their names."""
    found: dict[str, NDArray[np.float64]] = {}
    for order in itertools.permutations("xyz"):
        for signs in itertools.product(("", "-"), repeat=3):
            axes = ",".join(sign + axis for sign, axis in zip(signs, order, strict=True))
            rotation = np.zeros((3, 3))
            for row, (sign, axis) in enumerate(zip(signs, order, strict=True)):
                rotation[row, "xyz".index(axis)] = -1.0 if sign else 1.0
            if np.linalg.det(rotation) > 0:
                found[axes] = rotation
    return found


_AXES: Final = _axis_rotations()


def sensor_axes(result: MountingResult, axes: str) -> tuple[str, float]:
    """The sensor's axes nearest to toe, left and up, and by how many degrees the foot is turned against them.

    ``result`` was found with ``axes`` (as `parse_axes` takes them) counted as the foot's.
    """
    rotation = result.rotation @ parse_axes(axes)
    # The nearest of whole rotations: axis by axis, a tilt near 45 degrees may name one axis twice.
    name, nearest = max(_AXES.items(), key=lambda item: float((rotation * item[1]).sum()))
    cosine = ((rotation * nearest).sum() - 1) / 2
    return name, float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def calibration_words(result: MountingResult, axes: str, *, turns_itself: bool = False) -> list[str]:
    """A result, a sentence a line; ``axes`` are those in force, which a sensor that ``turns_itself`` does not heed."""
    if result.state == "cannot tell":
        seen = f" ({result.n_strides} strides)" if result.n_strides else ""
        advice = _ADVICE.get(result.reason, f"Fasten the strap and {_WALK}.")
        return [f"How the sensor sits cannot be told: {result.reason}{seen}.", advice]
    axes = _canonical(PLAIN_AXES if turns_itself else axes)
    found, left_deg = sensor_axes(result, axes)
    side = "" if result.side == "unknown" else f"; by its swing this is the {result.side} foot"
    words = [f"The sensor's axes {found} point to toe, left and up ({result.n_strides} strides){side}."]
    if found == axes:
        if result.state == "as configured":
            return [*words, f"It is worn as configured, but for {left_deg:.0f} degrees."]
        return [
            *words,
            f"These are configured, but the foot is tilted by {left_deg:.0f} degrees against them. No choice of axes "
            f"takes that away; {_CORRECTED}.",
        ]
    turned = f"It is worn otherwise than configured ({axes}): the foot is turned by {result.tilt_deg:.0f} degrees."
    if turns_itself:
        return [
            *words,
            turned,
            f"This sensor turns its axes itself and heeds none that are configured. Wear it the other way round; else "
            f"{_CORRECTED}.",
        ]
    if left_deg > AS_CONFIGURED_DEG:
        turned += f" With {found} {left_deg:.0f} degrees are left; {_CORRECTED}."
    return [*words, turned]


def needs_other_axes(result: MountingResult, axes: str, *, turns_itself: bool = False) -> str:
    """The axes to configure in the place of those in force; empty where these are right, or none would help."""
    if result.state == "cannot tell" or turns_itself:
        return ""
    found, _ = sensor_axes(result, axes)
    return "" if found == _canonical(axes) else found


def toml_lines(sensor: SensorConfig, axes: str) -> list[str]:
    """What a configuration file has to say of a sensor."""
    given = {"name": sensor.name, "match": sensor.match, "kind": sensor.kind, "axes": axes}
    return ["[[ble.sensors]]", *(f"{key} = {_quoted(value)}" for key, value in given.items() if value)]


def _canonical(axes: str) -> str:
    """Axes as they are printed, however they were typed."""
    given = parse_axes(axes)
    return next(name for name, rotation in _AXES.items() if np.array_equal(rotation, given))


def _quoted(text: str) -> str:
    # TOML's strings escape as JSON's do, but for one character more.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
