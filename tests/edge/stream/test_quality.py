"""Each flag is raised in every window that a fault affects and in no other; sound walks have none at all."""

import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
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
from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import Flag, InputQuality, QualityThresholds
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
Expected = Callable[[Window, NDArray[np.bool_]], bool]
"""Whether a window is affected, by itself and ``(n,)``: which input samples lie in its span."""


@cache
def spec() -> SignalSpec:
    return spec_of(load_bundle(default_bundle_dir()).manifest)


@dataclass
class Input:
    rate_hz: float
    time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]

    def faulty(self) -> NDArray[np.bool_]:
        """The input samples in which the fault lies."""
        first, stop = (self.time_ns[0] + at * 1e9 for at in FAULT_S)
        return np.asarray((self.time_ns >= first) & (self.time_ns < stop))


def virtual_input(number: int, rate_hz: float, duration_s: float = 25.0) -> Input:
    gait = PEOPLE[number].gait
    assert gait is not None
    samples = walk(gait, duration_s=duration_s, rate_hz=rate_hz, seed=number)
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / rate_hz).astype(np.int64)
    return Input(rate_hz, time_ns, samples, np.zeros(len(samples), dtype=np.bool_))


def real_input(file: str, sensor: str, side: str | None) -> Input:
    recording = read_described(shared(f"walks/{file}"), sensor, side)
    n_samples = len(recording.samples)
    return Input(recording.rate_hz, recording.time_ns, recording.samples.copy(), np.zeros(n_samples, dtype=np.bool_))


def input_quality(rate_hz: float, gravity: str = "included") -> InputQuality:
    return InputQuality(
        rate_hz,
        mean=spec().mean,
        deviation=spec().deviation,
        gravity="included" if gravity == "included" else "removed",
    )


def flagged(
    given_input: Input, cuts: list[int] | None = None, gravity: str = "included"
) -> list[tuple[Window, list[Flag]]]:
    """Each window with its flags, the input pushed in pieces."""
    quality, path = input_quality(given_input.rate_hz, gravity), SignalPath(spec(), given_input.rate_hz)
    grid: list[Samples] = []
    out: list[tuple[Window, list[Flag]]] = []
    borders = sorted({0, len(given_input.time_ns), *(cuts or [])})
    for begin, end in [*itertools.pairwise(borders), (0, 0)]:
        inside = slice(begin, end)
        if begin == end:
            windows = path.finish()
        else:
            quality.push(given_input.time_ns[inside], given_input.samples[inside], given_input.saturated[inside])
            windows = path.push(given_input.time_ns[inside], given_input.samples[inside])
        grid += [piece.samples for piece in path.latest]
        signal = np.concatenate(grid) if grid else np.empty((0, 6), np.float32)
        for window in windows:
            samples = signal[window.sample_start : window.sample_stop]
            flags = quality.window_flags(window.start_ns, window.stop_ns, samples, window.bridged_share)
            out.append((window, list(flags)))
    return out


def check(given_input: Input, flag: Flag, is_affected: Expected) -> None:
    """The flag alone, in every affected window; there are affected ones and others."""
    seen = {True: 0, False: 0}
    for window, flags in flagged(given_input):
        inside = (given_input.time_ns >= window.start_ns) & (given_input.time_ns < window.stop_ns)
        affected = bool(is_affected(window, inside))
        seen[affected] += 1
        assert flags == ([flag] if affected else []), (window.start_ns / 1e9, affected)
    assert min(seen.values()) >= 5


@pytest.mark.parametrize(("file", "sensor", "side"), FEET)
def test_a_real_walk_has_no_flag(file: str, sensor: str, side: str | None) -> None:
    windows = flagged(real_input(file, sensor, side))
    assert len(windows) > 30
    assert [flags for _, flags in windows if flags] == []


def test_forty_virtual_walkers_have_no_flag() -> None:
    for number in range(40):
        windows = flagged(virtual_input(number, (104.0, 128.0)[number % 2], duration_s=8.0))
        assert len(windows) >= 12
        assert [flags for _, flags in windows if flags] == []


BASES: list[Callable[[], Input]] = [
    lambda: virtual_input(3, 104.0),
    lambda: virtual_input(12, 128.0),
    lambda: real_input(*FEET[0]),
]
each_base = pytest.mark.parametrize("base", BASES, ids=["virtual 104 Hz", "virtual 128 Hz", "real 204.8 Hz"])


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
        for first in range(0, 2000, 200):
            start_ns, stop_ns = data.time_ns[[first, first + 200]].tolist()
            flags = quality.window_flags(start_ns, stop_ns, data.samples[first : first + 200], 0.0)
            assert flags == (Flag.RATE_OFF,)


@each_base
def test_gaps_are_flagged_where_more_than_a_twentieth_is_bridged(base: Callable[[], Input]) -> None:
    data = base()
    n_lost = int(0.03 * data.rate_hz)
    lost = data.faulty() & (np.arange(len(data.time_ns)) % (12 * n_lost) < n_lost)
    kept = Input(data.rate_hz, data.time_ns[~lost], data.samples[~lost], data.saturated[~lost])
    affected = {w.start_ns for w, _ in flagged(kept) if w.bridged_share > 0.05}
    share = {
        w.start_ns: lost[(data.time_ns >= w.start_ns) & (data.time_ns < w.stop_ns)].mean() for w, _ in flagged(kept)
    }
    assert all(share[start] > 0.04 for start in affected)
    assert all(share[start] < 0.06 for start in share.keys() - affected)
    check(kept, Flag.GAPS, lambda window, _: window.start_ns in affected)


@each_base
@pytest.mark.parametrize("channel", [0, 2, 4])
def test_a_channel_that_stands_still_for_a_second_is_flagged(base: Callable[[], Input], channel: int) -> None:
    data = base()
    faulty = data.faulty()
    if channel == 2:
        data.samples[faulty, channel] = STANDARD_GRAVITY_M_S2  # so that nothing else is wrong
    else:
        data.samples[faulty, channel] = data.samples[np.argmax(faulty), channel]
    at_least = int(np.ceil(data.rate_hz))
    flags = flagged(data)
    for window, raised in flags:
        inside = (data.time_ns >= window.start_ns) & (data.time_ns < window.stop_ns)
        # A dead acceleration channel may also leave less than 1 g in stance: that flag is tested by itself.
        assert (Flag.FLAT in raised) == (np.count_nonzero(faulty & inside) >= at_least)
        assert set(raised) <= {Flag.FLAT, Flag.GRAVITY_OFF}
    assert sum(Flag.FLAT in raised for _, raised in flags) >= 5


@each_base
def test_samples_held_for_two_are_flagged_where_the_foot_turns(base: Callable[[], Input]) -> None:
    data = base()
    held = np.flatnonzero(data.faulty())[1::2]
    data.samples[held] = data.samples[held - 1]
    is_repeat = np.zeros(len(data.samples), dtype=np.bool_)
    is_repeat[held] = np.linalg.norm(data.samples[held, 3:], axis=1) > 0.3
    check(data, Flag.REPEATED, lambda _, inside: is_repeat[inside].mean() > 0.05)


def test_a_rate_in_degrees_is_flagged_as_out_of_range() -> None:
    data = virtual_input(3, 104.0)
    faulty = data.faulty()
    data.samples[faulty, 3:] = np.degrees(data.samples[faulty, 3:])
    beyond = np.any(np.abs(data.samples - spec().mean) > 10 * spec().deviation, axis=1)
    check(data, Flag.OUT_OF_RANGE, lambda _, inside: beyond[inside].mean() > 0.2)
    whole = [raised for window, raised in flagged(data) if window.start_ns >= 8e9 and window.stop_ns <= 15e9]
    assert len(whole) >= 8
    assert all(raised == [Flag.OUT_OF_RANGE] for raised in whole)


@pytest.mark.parametrize("gain", [0.8, 1.25])
@pytest.mark.parametrize("number", [3, 25])
def test_gravity_that_is_not_one_g_is_flagged_where_most_calm_samples_say_so(number: int, gain: float) -> None:
    data = virtual_input(number, 104.0)
    faulty = data.faulty()
    data.samples[faulty, :3] *= gain
    calm = np.linalg.norm(data.samples[:, 3:], axis=1) < 0.6
    n_flagged = n_between = 0
    for window, flags in flagged(data):
        inside = calm & (data.time_ns >= window.start_ns) & (data.time_ns < window.stop_ns)
        share = np.count_nonzero(inside & faulty) / np.count_nonzero(inside)
        if 0.25 < share < 0.75:
            n_between += 1  # a median of two kinds of samples may say the one or the other
            assert set(flags) <= {Flag.GRAVITY_OFF}
        else:
            assert flags == ([Flag.GRAVITY_OFF] if share > 0.5 else [])
            n_flagged += len(flags)
    assert n_flagged >= 10
    assert n_between <= 6


def test_acceleration_in_g_is_flagged_in_every_window() -> None:
    data = virtual_input(3, 104.0)
    data.samples[:, :3] /= STANDARD_GRAVITY_M_S2
    assert all(raised == [Flag.GRAVITY_OFF] for _, raised in flagged(data))


def test_gravity_left_where_it_should_be_removed_is_flagged_and_its_absence_is_not() -> None:
    data = virtual_input(3, 104.0)
    assert all(raised == [Flag.GRAVITY_OFF] for _, raised in flagged(data, gravity="removed"))
    signals = np.load(shared("truong/signals.npz"))
    n_windows = n_flagged = 0
    for trial in sorted(signals.files)[::80]:
        values = signals[trial].astype(np.float64)
        acc, gyr = values[:, :3] / 1000 * STANDARD_GRAVITY_M_S2, np.radians(values[:, 3:6] / 10)
        samples = np.concatenate([acc, gyr], axis=1).astype(np.float32)
        time_ns = np.arange(len(samples), dtype=np.int64) * 10_000_000
        windows = flagged(Input(100.0, time_ns, samples, np.zeros(len(samples), dtype=np.bool_)), gravity="removed")
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
