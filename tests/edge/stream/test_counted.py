"""Which strides count: walked ones, in a known frame, the same however the stream was cut."""

import itertools
from collections.abc import Iterable
from functools import cache
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundle import load_bundle
from edge.config import VirtualConfig
from edge.paths import default_bundle_dir
from edge.pipeline import spec_of
from edge.sources.conventions import parse_axes, to_foot_frame
from edge.sources.virtual import walk_source
from edge.stream.counted import HELD_S, TimedStride
from edge.stream.path import SignalPath
from edge.stream.screen import ScreenSpec
from firmware_bridge.channels import Samples
from firmware_bridge.movements import MovementKind, Mover

RATE_HZ = 104.0
CORRECT, TRUST = ScreenSpec(), ScreenSpec(mounting="trust")


@cache
def walk(seconds: int = 60) -> Samples:
    chunks = iter(walk_source(VirtualConfig())(RATE_HZ))
    return np.concatenate([next(chunks) for _ in range(4 * seconds)])


def turned(samples: Samples, axes: str) -> Samples:
    return to_foot_frame(samples.astype(np.float64), parse_axes(axes)).astype(np.float32)


def times(n: int) -> NDArray[np.int64]:
    rounded: NDArray[np.int64] = np.rint(np.arange(n) * 1e9 / RATE_HZ).astype(np.int64)
    return rounded


def counted(
    samples: Samples, screen: ScreenSpec, cuts: Iterable[int] = (), time_ns: NDArray[np.int64] | None = None
) -> list[TimedStride]:
    path = SignalPath(spec_of(load_bundle(default_bundle_dir()).manifest), RATE_HZ, screen)
    time_ns = times(len(samples)) if time_ns is None else time_ns
    for begin, end in itertools.pairwise([0, *sorted(set(cuts)), len(samples)]):
        path.push(time_ns[begin:end], samples[begin:end])
    path.finish()
    assert path.screen is not None
    assert path.screen.figures.n_strides == len(path.screen.new_strides)
    return list(path.screen.new_strides)


def test_the_strides_of_the_search_for_the_frame_are_counted_once_it_is_found() -> None:
    trusted, corrected = counted(walk(), TRUST), counted(turned(walk(), "y,-x,z"), CORRECT)
    assert len(trusted) > 35
    assert [one.start_ns / 1e9 for one in corrected] == pytest.approx([one.start_ns / 1e9 for one in trusted], abs=0.05)
    for one, other in zip(corrected, trusted, strict=True):
        assert one.stride.stride_time_s == pytest.approx(other.stride.stride_time_s, abs=0.05)
        if other.stride.stride_length_m is not None and one.stride.stride_length_m is not None:
            assert one.stride.stride_length_m == pytest.approx(other.stride.stride_length_m, rel=0.1)


def test_a_stride_begins_when_the_foot_came_down_in_device_time_behind_a_gap_too() -> None:
    time_ns = times(len(walk()))
    plain = counted(walk(), TRUST, time_ns=time_ns)
    late_ns = 3_600_000_000_000
    gap = time_ns + np.where(np.arange(len(time_ns)) < 30 * 104, 0, 20_000_000_000) + late_ns
    with_gap = counted(walk(), TRUST, time_ns=gap)
    found = {round((one.start_ns - late_ns) / 1e8) for one in with_gap}
    for one in plain:
        if not 26e9 < one.start_ns < 34e9:
            at = (one.start_ns + (20_000_000_000 if one.start_ns > 30e9 else 0)) / 1e8
            assert any(abs(at - other) <= 1 for other in found)


@settings(max_examples=5)
@given(st.lists(st.integers(1, 60 * 104 - 1), max_size=40), st.sampled_from([TRUST, CORRECT]))
def test_strides_do_not_depend_on_how_the_stream_was_cut(cuts: list[int], screen: ScreenSpec) -> None:
    # Worn sideways, turned round in mid-walk, and with a long gap on the way.
    samples = turned(walk(), "y,-x,z").copy()
    samples[40 * 104 :] = turned(samples[40 * 104 :], "-x,-y,z")
    time_ns = times(len(samples)) + np.where(np.arange(len(samples)) < 12 * 104, 0, 5_000_000_000)
    batch, stream = (counted(samples, screen, at, time_ns) for at in ((), cuts))
    assert batch == stream


def test_only_the_last_minute_is_held_while_the_frame_is_unknown() -> None:
    rest = np.tile(walk()[:104], (200, 1))  # stands for 200 s
    samples = np.concatenate([walk(12), rest, walk(40)])
    found = counted(turned(samples, "y,-x,z"), CORRECT)
    # The five or so strides of the first walk are counted only where the frame was told within the time held.
    resumed_s = 12 + 200
    assert all(one.start_ns / 1e9 > resumed_s - HELD_S for one in found)
    assert len(found) > 10


@pytest.mark.parametrize("kind", get_args(MovementKind))
def test_what_is_no_walking_has_no_strides(kind: MovementKind) -> None:
    samples = Mover(kind, rate_hz=RATE_HZ, seed=1).advance(round(60 * RATE_HZ))
    assert len(counted(samples, TRUST)) <= 1


def test_without_the_gate_every_stride_counts() -> None:
    samples = Mover("cycling", rate_hz=RATE_HZ, seed=1).advance(round(60 * RATE_HZ))
    assert len(counted(samples, ScreenSpec(gate=False, mounting="trust"))) > 20
