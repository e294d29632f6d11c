"""Each flag is raised in every window that a fault affects and in no other; sound walks have none at all."""

import itertools
import math
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundle import load_bundle
from edge.paths import default_bundle_dir
from edge.pipeline import spec_of
from edge.sources.described import read_described
from edge.sources.recording import Recording
from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import Flag, InputQuality, QualityThresholds
from edge.stream.screen import Gravity, ScreenSpec
from edge.stream.windows import Window
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2, Samples
from firmware_bridge.walker import walk
from tests.shared_data import shared
from trainer.class_figures import draw_people

PEOPLE = draw_people(40, seed=5)
FEET = (
    ("gaitmap/imu_sample.csv", "gaitmap", "left"),
    ("gaitmap/imu_sample.csv", "gaitmap", "right"),
    ("gaitmap/imu_sample_ms_left.csv", "gaitmap", None),
    ("gaitmap/imu_sample_healthy_stair_down.csv", "gaitmap", "left"),
    ("gaitmap/imu_sample_healthy_stair_down.csv", "gaitmap", "right"),
    ("xio/short_walk.csv", "xio", None),
)
FAULT_S = (8.0, 15.0)
Expected = Callable[[Window, NDArray[np.bool_]], bool | None]
"""Whether a window is affected, by itself and ``(n,)``: which input samples lie in its span; None: on the border."""


@cache
def spec(gravity: Gravity = "included") -> SignalSpec:
    """The default bundle's, its scaler's mean without 1 g where gravity is removed."""
    shipped = spec_of(load_bundle(default_bundle_dir()).manifest)
    rest = [0, 0, STANDARD_GRAVITY_M_S2 if gravity == "removed" else 0, 0, 0, 0]
    return replace(shipped, mean=shipped.mean - np.array(rest, np.float32))


@dataclass
class Input:
    rate_hz: float
    time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]
    gravity: Gravity = "included"

    def faulty(self) -> NDArray[np.bool_]:
        """The input samples in which the fault lies."""
        first, stop = (self.time_ns[0] + at * 1e9 for at in FAULT_S)
        return np.asarray((self.time_ns >= first) & (self.time_ns < stop))

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """The input samples in the window's span."""
        return np.asarray((self.time_ns >= window.start_ns) & (self.time_ns < window.stop_ns))


@cache
def virtual_walk(number: int, rate_hz: float, duration_s: float) -> Samples:
    gait = PEOPLE[number].gait
    assert gait is not None
    return walk(gait, duration_s=duration_s, rate_hz=rate_hz, seed=number)


@cache
def gravity_of(number: int, rate_hz: float, duration_s: float) -> NDArray[np.float64]:
    """Gravity in the sensor's axes ``(n, 3)``, as sensors find it that remove it: turned along, set right in stance."""
    samples = virtual_walk(number, rate_hz, duration_s).astype(np.float64)
    found = np.empty((len(samples), 3))
    x, y, z = samples[0, :3].tolist()
    for at, (ax, ay, az, rx, ry, rz) in enumerate(samples.tolist()):
        pull = 0.1 if rx * rx + ry * ry + rz * rz < 0.3 else 0.0
        dx, dy, dz = ((y * rz - z * ry) / rate_hz, (z * rx - x * rz) / rate_hz, (x * ry - y * rx) / rate_hz)
        x, y, z = x + dx + pull * (ax - x), y + dy + pull * (ay - y), z + dz + pull * (az - z)
        length = math.sqrt(x * x + y * y + z * z) / STANDARD_GRAVITY_M_S2
        x, y, z = x / length, y / length, z / length
        found[at] = x, y, z
    return found


def virtual_input(number: int, rate_hz: float, duration_s: float = 20.0, gravity: Gravity = "included") -> Input:
    samples = virtual_walk(number, rate_hz, duration_s).copy()
    if gravity == "removed":
        samples[:, :3] -= gravity_of(number, rate_hz, duration_s)
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / rate_hz).astype(np.int64)
    return Input(rate_hz, time_ns, samples, np.zeros(len(samples), dtype=np.bool_), gravity)


@cache
def _recording(file: str, sensor: str, side: str | None) -> Recording:
    return read_described(shared(f"walks/{file}"), sensor, side)


def real_input(file: str, sensor: str, side: str | None) -> Input:
    recording = _recording(file, sensor, side)
    n_samples = len(recording.samples)
    return Input(recording.rate_hz, recording.time_ns, recording.samples.copy(), np.zeros(n_samples, dtype=np.bool_))


def input_quality(rate_hz: float) -> InputQuality:
    return InputQuality(rate_hz, mean=spec().mean, deviation=spec().deviation, gravity="included")


def flagged(given_input: Input, cuts: list[int] | None = None) -> list[tuple[Window, list[Flag]]]:
    """Each window with the flags of its verdict, the input pushed through the signal path in pieces."""
    screen = ScreenSpec(gravity=given_input.gravity, mounting="trust")
    path = SignalPath(spec(given_input.gravity), given_input.rate_hz, screen)
    out: list[tuple[Window, list[Flag]]] = []
    for begin, end in itertools.pairwise(sorted({0, len(given_input.time_ns), *(cuts or [])})):
        inside = slice(begin, end)
        windows = path.push(given_input.time_ns[inside], given_input.samples[inside], given_input.saturated[inside])
        out += [(window, list(verdict.flags)) for window, verdict in zip(windows, path.verdicts, strict=True)]
    windows = path.finish()
    return out + [(window, list(verdict.flags)) for window, verdict in zip(windows, path.verdicts, strict=True)]


def check(given_input: Input, flag: Flag, is_affected: Expected, most_on_the_border: int = 0) -> None:
    """The flag alone, in every affected window, and no flag in any other; there are enough of both kinds."""
    seen: Counter[bool | None] = Counter()
    for window, flags in flagged(given_input):
        affected = is_affected(window, given_input.inside(window))
        affected = None if affected is None else bool(affected)
        seen[affected] += 1
        allowed: dict[bool | None, list[list[Flag]]] = {True: [[flag]], False: [[]], None: [[flag], []]}
        assert flags in allowed[affected], (window.start_ns / 1e9, affected)
    assert min(seen[True], seen[False]) >= 5
    assert seen[None] <= most_on_the_border


def beyond(share: float, limit: float, margin: float) -> bool | None:
    """Whether the share is above the limit; nearer to it than the margin nobody can tell from the input alone."""
    return None if abs(share - limit) <= margin else share > limit


@pytest.mark.parametrize(("file", "sensor", "side"), FEET)
def test_a_real_walk_has_no_flag(file: str, sensor: str, side: str | None) -> None:
    windows = flagged(real_input(file, sensor, side))
    assert len(windows) > 30
    assert [flags for _, flags in windows if flags] == []


@pytest.mark.parametrize("gravity", ["included", "removed"])
def test_forty_virtual_walkers_have_no_flag(gravity: Gravity) -> None:
    for number in range(40):
        windows = flagged(virtual_input(number, (104.0, 128.0)[number % 2], 8.0, gravity))
        assert len(windows) >= 12
        assert [flags for _, flags in windows if flags] == []


BASES: dict[str, Callable[[], Input]] = {
    "pre-frail 104 Hz": lambda: virtual_input(3, 104.0),
    "frail 128 Hz": lambda: virtual_input(12, 128.0),
    "robust 60 Hz": lambda: virtual_input(25, 60.0),
    "frail 104 Hz without gravity": lambda: virtual_input(5, 104.0, gravity="removed"),
    "robust 200 Hz without gravity": lambda: virtual_input(31, 200.0, gravity="removed"),
    "real 204.8 Hz": lambda: real_input(*FEET[0]),
}
each_base = pytest.mark.parametrize("base", BASES.values(), ids=BASES)
each_with_gravity = pytest.mark.parametrize(
    "base", [BASES[name] for name in BASES if "without" not in name], ids=[n for n in BASES if "without" not in n]
)


@each_base
def test_clipping_is_flagged_where_more_than_one_in_a_hundred_samples_is_saturated(base: Callable[[], Input]) -> None:
    data = base()
    limit = 1.5 * STANDARD_GRAVITY_M_S2
    data.saturated[:] = data.faulty() & np.any(np.abs(data.samples[:, :3]) > limit, axis=1)
    data.samples[data.saturated, :3] = np.clip(data.samples[data.saturated, :3], -limit, limit)
    check(data, Flag.CLIPPING, lambda _, inside: data.saturated[inside].mean() > 0.01)


@each_base
@pytest.mark.parametrize("rate_factor", [0.85, 1.1])
def test_a_rate_off_is_flagged_where_it_differs_by_more_than_a_twentieth(
    base: Callable[[], Input], rate_factor: float
) -> None:
    data = base()
    steps = np.diff(data.time_ns, prepend=0) / np.where(data.faulty(), rate_factor, 1.0)
    data.time_ns = np.cumsum(np.rint(steps)).astype(np.int64)

    def is_off(_: Window, inside: NDArray[np.bool_]) -> bool:
        first, *_others, last = data.time_ns[inside].tolist()
        return bool(abs((np.count_nonzero(inside) - 1) / ((last - first) / 1e9) / data.rate_hz - 1) > 0.05)

    check(data, Flag.RATE_OFF, is_off)


def test_half_and_double_the_nominal_rate_are_flagged_too() -> None:
    data = virtual_input(3, 104.0)
    for nominal_hz in (52.0, 208.0):
        quality = input_quality(nominal_hz)
        quality.push(data.time_ns, data.samples, data.saturated)
        for first in range(0, 1800, 200):
            start_ns, stop_ns = data.time_ns[[first, first + 200]].tolist()
            flags = quality.window_flags(start_ns, stop_ns, data.samples[first : first + 200], 0.0)
            assert flags == (Flag.RATE_OFF,)


@each_base
def test_gaps_are_flagged_where_more_than_a_twentieth_is_bridged(base: Callable[[], Input]) -> None:
    data = base()
    n_lost = max(1, int(0.03 * data.rate_hz))
    # Between grid points of another rate one more step of the input is bridged: 8 % in all, of the 10 that may be.
    every = round((n_lost + (data.rate_hz != spec().rate_hz)) / 0.08)
    lost = data.faulty() & (np.arange(len(data.time_ns)) % every < n_lost)
    kept = replace(data, time_ns=data.time_ns[~lost], samples=data.samples[~lost], saturated=data.saturated[~lost])

    def is_bridged(window: Window, _: NDArray[np.bool_]) -> bool:
        """Grid points strictly between two samples that came, with at least one missing in between."""
        n_grid = spec().window_samples
        grid_ns = window.start_ns + np.rint(np.arange(n_grid) * 1e9 / spec().rate_hz).astype(np.int64)
        after = np.searchsorted(kept.time_ns, grid_ns - 2)
        before = np.maximum(np.searchsorted(kept.time_ns, grid_ns + 2) - 1, 0)
        step_ns = kept.time_ns[np.minimum(after, len(kept.time_ns) - 1)] - kept.time_ns[before]
        return np.count_nonzero(step_ns > 1.5e9 / data.rate_hz) > 0.05 * n_grid

    check(kept, Flag.GAPS, is_bridged)


@each_base
@pytest.mark.parametrize("channel", [1, 2, 5])
def test_a_channel_that_stands_still_for_a_second_is_flagged(base: Callable[[], Input], channel: int) -> None:
    data = base()
    faulty = data.faulty()
    # As of a foot at rest, so that nothing else is wrong.
    data.samples[faulty, channel] = STANDARD_GRAVITY_M_S2 if channel == 2 and data.gravity == "included" else 0.0
    at_least = int(np.ceil(data.rate_hz))
    check(data, Flag.FLAT, lambda _, inside: np.count_nonzero(faulty & inside) >= at_least)


@each_base
@pytest.mark.parametrize("channel", [0, 4])
def test_a_dead_channel_is_flat_whatever_else_it_makes_of_stance(base: Callable[[], Input], channel: int) -> None:
    data = base()
    faulty = data.faulty()
    data.samples[faulty, channel] = data.samples[np.argmax(faulty), channel]
    at_least = int(np.ceil(data.rate_hz))
    for window, raised in flagged(data):
        assert (Flag.FLAT in raised) == (np.count_nonzero(faulty & data.inside(window)) >= at_least)
        # Less than 1 g may be left in stance, or what is calm be another: that flag is tested by itself.
        assert set(raised) <= {Flag.FLAT, Flag.GRAVITY_OFF}


@each_base
def test_samples_held_for_two_are_flagged_where_the_foot_turns(base: Callable[[], Input]) -> None:
    data = base()
    held = np.flatnonzero(data.faulty())[1::2]
    data.samples[held] = data.samples[held - 1]
    is_repeat = np.zeros(len(data.samples), dtype=np.bool_)
    is_repeat[held] = np.linalg.norm(data.samples[held, 3:], axis=1) > 0.3
    check(data, Flag.REPEATED, lambda _, inside: is_repeat[inside].mean() > 0.05)


@each_base
def test_a_rate_in_degrees_is_flagged_as_out_of_range(base: Callable[[], Input]) -> None:
    data = base()
    faulty = data.faulty()
    data.samples[faulty, 3:] = np.degrees(data.samples[faulty, 3:])
    far = np.any(np.abs(data.samples - spec(data.gravity).mean) > 10 * spec().deviation, axis=1)
    # At another rate than the grid's, interpolation moves a few samples over the limit.
    margin = 0.0 if data.rate_hz == spec().rate_hz else 0.03
    check(data, Flag.OUT_OF_RANGE, lambda _, inside: beyond(far[inside].mean(), 0.2, margin), most_on_the_border=4)
    whole = [raised for window, raised in flagged(data) if window.start_ns >= 8e9 and window.stop_ns <= 15e9]
    assert len(whole) >= 8
    assert all(raised == [Flag.OUT_OF_RANGE] for raised in whole)


def is_calm(data: Input) -> NDArray[np.bool_]:
    return np.asarray((data.samples[:, 3:] ** 2).sum(axis=1) < 0.6**2)


@each_with_gravity
@pytest.mark.parametrize("gain", [0.8, 1.25])
def test_gravity_that_is_not_one_g_is_flagged_where_most_calm_samples_say_so(
    base: Callable[[], Input], gain: float
) -> None:
    data = base()
    faulty = data.faulty()
    data.samples[faulty, :3] *= gain
    calm = is_calm(data)

    def is_off(_: Window, inside: NDArray[np.bool_]) -> bool | None:
        return beyond(float(faulty[inside & calm].mean()), 0.5, 0.1)

    check(data, Flag.GRAVITY_OFF, is_off, most_on_the_border=4)


@pytest.mark.parametrize(("number", "rate_hz"), [(5, 104.0), (31, 200.0)])
def test_gravity_that_comes_back_is_flagged_where_most_calm_samples_hold_it(number: int, rate_hz: float) -> None:
    data = virtual_input(number, rate_hz, gravity="removed")
    faulty = data.faulty()
    data.samples[faulty, :3] += gravity_of(number, rate_hz, 20.0)[faulty]
    calm = is_calm(data)

    def is_off(_: Window, inside: NDArray[np.bool_]) -> bool | None:
        return beyond(float(faulty[inside & calm].mean()), 0.5, 0.1)

    check(data, Flag.GRAVITY_OFF, is_off, most_on_the_border=4)


def test_acceleration_in_g_is_flagged_in_every_window() -> None:
    data = virtual_input(3, 104.0)
    data.samples[:, :3] /= STANDARD_GRAVITY_M_S2
    assert all(raised == [Flag.GRAVITY_OFF] for _, raised in flagged(data))


def test_gravity_left_where_it_should_be_removed_is_flagged_and_its_absence_is_not() -> None:
    left = replace(virtual_input(3, 104.0), gravity="removed")
    assert all(raised == [Flag.GRAVITY_OFF] for _, raised in flagged(left))
    signals = np.load(shared("truong/signals.npz"))
    n_windows = n_flagged = 0
    for trial in sorted(signals.files)[::80]:
        values = signals[trial].astype(np.float64)
        acc, gyr = values[:, :3] / 1000 * STANDARD_GRAVITY_M_S2, np.radians(values[:, 3:6] / 10)
        samples = np.concatenate([acc, gyr], axis=1).astype(np.float32)
        time_ns = np.arange(len(samples), dtype=np.int64) * 10_000_000
        windows = flagged(Input(100.0, time_ns, samples, np.zeros(len(samples), dtype=np.bool_), "removed"))
        n_windows += len(windows)
        n_flagged += sum(Flag.GRAVITY_OFF in raised for _, raised in windows)
    assert n_windows > 100
    assert n_flagged <= 0.01 * n_windows


@cache
def many_faults() -> Input:
    data = virtual_input(8, 128.0, 18.0)
    rng = np.random.default_rng(1)
    data.saturated[rng.random(len(data.samples)) < 0.01] = True
    data.samples[600:760, 1] = 0.25
    data.samples[1001:1200:2] = data.samples[1000:1199:2]
    kept = np.ones(len(data.samples), dtype=np.bool_)
    kept[1500:1900:20] = kept[1501:1900:20] = kept[2000:2060] = False
    return Input(128.0, data.time_ns[kept], data.samples[kept], data.saturated[kept])


@settings(max_examples=5)
@given(cuts=st.lists(st.integers(0, 2300), max_size=50))
def test_a_stream_cut_anywhere_gets_the_flags_of_the_batch(cuts: list[int]) -> None:
    def rows(cuts: list[int]) -> list[tuple[int, list[Flag]]]:
        return [(window.start_ns, flags) for window, flags in flagged(many_faults(), cuts)]

    batch = rows([])
    assert {flag for _, flags in batch for flag in flags} >= {Flag.CLIPPING, Flag.FLAT, Flag.REPEATED, Flag.GAPS}
    assert rows(cuts) == batch


def test_what_is_remembered_does_not_grow() -> None:
    quality, sizes = input_quality(104.0), []
    samples = np.random.default_rng(0).normal(size=(104, 6)).astype(np.float32)
    for second in range(200):
        time_ns = np.rint((second * 104 + np.arange(104)) * 1e9 / 104).astype(np.int64)
        quality.push(time_ns, samples, np.zeros(104, dtype=np.bool_))
        sizes.append(len(pickle.dumps(quality)))
    assert max(sizes) - min(sizes) < 100


def test_after_a_restart_device_time_may_begin_again() -> None:
    data = virtual_input(3, 104.0, 4.0)
    quality = input_quality(104.0)
    quality.push(data.time_ns, data.samples, np.ones(len(data.samples), dtype=np.bool_))
    window = (0, int(data.time_ns[200]), data.samples[:200], 0.0)
    assert Flag.CLIPPING in quality.window_flags(*window)
    quality.restart()
    quality.push(data.time_ns, data.samples, data.saturated)
    assert quality.window_flags(*window) == ()


def test_a_window_without_input_has_no_flag_of_its_input() -> None:
    data = virtual_input(3, 104.0, 4.0)
    assert input_quality(104.0).window_flags(0, int(data.time_ns[200]), data.samples[:200], 0.0) == ()


@pytest.mark.parametrize("name", QualityThresholds.__slots__)
def test_a_threshold_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        QualityThresholds(**{name: 0})
