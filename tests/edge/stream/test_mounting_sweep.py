"""Every walk and walker, turned by every axis rotation and tilted: the table of `docs/results.md`."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from edge.stream.mounting import find_mounting
from firmware_bridge.channels import Samples
from tests.edge.stream.test_mounting import (
    FEET,
    RATE_HZ,
    Predictor,
    Rotation,
    apart_deg,
    axis_rotations,
    random_mounts,
    real_foot,
    stretches,
    tilt,
    truong_feet,
    turned,
    virtual_foot,
)


@dataclass
class Sweep:
    """One row of the table: angles in degrees, and mean |Δp| a walk."""

    name: str
    angles: list[float]
    same: list[float]
    ten: list[float]
    n_cannot_tell: int = 0

    def row(self) -> str:
        angles = np.array(self.angles)
        return (
            f"| {self.name} | {len(angles) + self.n_cannot_tell} | {self.n_cannot_tell} | "
            f"{np.count_nonzero(angles <= 10) / (len(angles) + self.n_cannot_tell):.1%} | {np.median(angles):.1f} | "
            f"{angles.max():.1f} | {np.mean(self.same):.4f} | {np.mean(self.ten):.4f} |"
        )


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_whole_sweep_finds_the_axes_and_keeps_the_predictions() -> None:
    predict, rng = Predictor(), np.random.default_rng(11)
    rows: list[Sweep] = []
    classes: set[int] = set()

    def sweep(row: Sweep, samples: Samples, truth: Rotation | None, mounts: list[Rotation]) -> None:
        whole = find_mounting(samples, RATE_HZ)
        pieces = stretches(samples)
        assert pieces, row.name
        for piece, axes in itertools.product(pieces, axis_rotations()):
            mount = tilt(rng) @ axes
            found = find_mounting(turned(piece, mount), RATE_HZ)
            if found.state == "cannot tell":
                row.n_cannot_tell += 1
            else:
                row.angles.append(apart_deg(found.rotation @ mount, whole.rotation if truth is None else truth))
        plain = predict(samples, whole.rotation)
        classes.update(plain.argmax(axis=1).tolist())
        for mount in mounts:
            worn = turned(samples, mount)
            row.same.append(float(np.abs(predict(worn, find_mounting(worn, RATE_HZ).rotation) - plain).mean()))
            of_ten = find_mounting(turned(pieces[0], mount), RATE_HZ).rotation
            row.ten.append(float(np.abs(predict(worn, of_ten) - plain).mean()))

    for file, sensor, side in FEET:
        row = Sweep(f"{file.split('/')[1].removesuffix('.csv')} {side or ''}".strip(), [], [], [])
        sweep(row, real_foot(file, sensor, side), None, [tilt(rng) @ axes for axes in axis_rotations()])
        rows.append(row)
    virtual = Sweep("40 virtual walkers", [], [], [])
    for number in range(40):
        sweep(virtual, virtual_foot(number, 60.0), np.eye(3), list(random_mounts(3, seed=number)))
    rows.append(virtual)
    print("\n| foot | stretches × mountings | not told | within 10° | median | worst | mean abs. Δp | by ten strides |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(row.row())
        assert np.count_nonzero(np.array(row.angles) <= 10) >= 0.99 * (len(row.angles) + row.n_cannot_tell)
        assert np.mean(row.same) <= 0.02
    assert len(classes) >= 2


@pytest.mark.soak
def test_the_side_over_every_trial_not_used_to_choose_its_threshold() -> None:
    told = [(find_mounting(samples, 100.0).side, side) for side, samples in truong_feet(None, with_gravity=True)]
    known = [(found, side) for found, side in told if found != "unknown"]
    wrong = sum(found != side for found, side in known)
    print(f"\nside: {len(told)} feet, told of {len(known) / len(told):.1%}, wrong of told {wrong / len(known):.1%}")
    assert wrong <= 0.02 * len(known)
