"""Walks for the tests of the readers: from the virtual walker, written by the writer of the twins."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.sources.register import Person
from firmware_bridge.gait import Figure, GaitParameters
from trainer.register_file import write_register
from trainer.twins import Layout, format_samples, walk_of

GAIT = GaitParameters(
    stride_time_s=Figure(1.10, 0.04),
    load_percent=Figure(11.0, 1.5),
    foot_flat_percent=Figure(40.0, 2.5),
    push_percent=Figure(18.0, 1.5),
    swing_percent=Figure(31.0, 1.5),
    toe_off_angle_deg=Figure(-60.0, 4.0),
    heel_strike_angle_deg=Figure(18.0, 3.0),
    stride_length_m=Figure(1.10, 0.06),
    clearance_m=Figure(0.12, 0.03),
)


def person(device: str = "CSIC", frailty_index: int = 0, person_id: str = "V007", notes: str = "synthetic") -> Person:
    return Person(
        id=person_id,
        notes=notes,
        device=device,
        device_id="45C9",
        surface="Plane",
        frailty_index=frailty_index,
        stated_index=frailty_index,
        cadence_strides_min=60.0 / GAIT.stride_time_s.mean,
        walking_time_s=60.0,
        gait=GAIT,
    )


@cache
def walked(rate_hz: float = 104.0, duration_s: float = 60.0) -> NDArray[np.float64]:
    """The walk of `person`, the same in every test; treat as read-only."""
    return walk_of(person(), duration_s=duration_s, rate_hz=rate_hz, seed=5)


def write_walk(
    folder: Path, layout: Layout, *, rate_hz: float = 104.0, register: bool = True, name: str = "V007.txt"
) -> Path:
    """One recording in a layout, with a register above it."""
    if register:
        write_register(folder / "Database_register.csv", [person("Gaitup" if rate_hz == 128.0 else "CSIC")])
    path = folder / "Test_recordings" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(format_samples(walked(rate_hz), rate_hz, layout), encoding="utf-8")
    return path
