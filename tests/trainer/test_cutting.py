"""Judged windows to train on: those that the edge's pipeline classifies of the same files, no other, bit for bit."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import DatasetError
from edge.messages import Coefficients, Message
from edge.model import Classifier
from edge.pipeline import spec_of
from edge.replay import replay
from edge.sources.conventions import nominal_time_ns, parse_axes, to_foot_frame
from edge.sources.recording import Recording
from edge.sources.walkers import read_walker, walker_path
from edge.stream.path import SignalPath
from edge.stream.screen import Mounting, ScreenSpec
from firmware_bridge.channels import Samples
from firmware_bridge.movements import Mover
from firmware_bridge.walker import walk
from tests.tiny_bundle import write_tiny_bundle
from tests.trainer.made import made_dataset, made_recording
from trainer.cutting import cut
from trainer.datasets import open_dataset
from trainer.datasets.dataset import Dataset, Walk
from trainer.scaling import learn_scaling
from trainer.store import build_store, capped, coefficients_of
from trainer.train_config import SignalConfig

RATE_HZ = 104.0
WALKS_S, SITS_S = 25.0, 8.0
SENSOR = """\
description = "virtual"
acc_unit = "m/s^2"
gyr_unit = "rad/s"
gravity = "included"
frame = "foot"
[[layouts]]
name = "plain"
starts_with = "t,"
header_lines = 1
time_column = 0
time_unit = "s"
rate_hz = 104.0
saturated_column = "full"
[layouts.sensor]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
"""


@cache
def stands_walks_sits(walker: str, seed: int) -> Samples:
    """Five seconds of standing, then walking, sitting, and the same walk again."""
    walked = walk(read_walker(walker_path(walker)), duration_s=5 + WALKS_S, rate_hz=RATE_HZ, seed=seed)
    sat = Mover("sitting", rate_hz=RATE_HZ, seed=seed).advance(round(SITS_S * RATE_HZ))
    return np.concatenate([walked, sat, walked])


def recorded(folder: Path, axes: str) -> Dataset:
    """Two people as CSV files that lack some samples, and of which some are saturated: the dataset read from them."""
    (folder / "foot.toml").write_text(SENSOR, encoding="utf-8")
    (folder / "people.csv").write_text(
        "# labels: robust, frail\nperson,label,file\nA,robust,a.csv\nB,frail,b.csv\n", encoding="utf-8"
    )
    for name, walker, seed in (("a", "robust", 1), ("b", "frail", 2)):
        samples = to_foot_frame(stands_walks_sits(walker, seed).astype(np.float64), parse_axes(axes))
        is_full = (np.arange(len(samples)) // 10 == 230) | (np.arange(len(samples)) // 10 == 580)
        rows = np.column_stack([np.arange(len(samples)) / RATE_HZ, samples, is_full])
        # A gap to bridge and one that ends the stretch, both in mid-walk.
        rows = np.delete(rows, [*range(1500, 1503), *range(4800, 4860)], axis=0)
        np.savetxt(
            folder / f"{name}.csv", rows, fmt="%.6f", delimiter=",", header="t,ax,ay,az,gx,gy,gz,full", comments=""
        )
    return open_dataset(folder)


def classified(recording: Recording, bundle: Bundle, mounting: Mounting) -> NDArray[np.float32]:
    """The coefficients ``(n, 203, 6)`` of the windows that the edge's pipeline gives to the network."""
    sent: list[Message] = []
    replay(
        recording,
        bundle,
        Classifier(bundle),
        sensor="foot",
        speed=None,
        screen=ScreenSpec(mounting=mounting),
        sink=sent.append,
        wait=lambda _: None,
        coefficients=True,
    )
    return np.array([m.coefficients for m in sent if isinstance(m, Coefficients)], np.float32).swapaxes(1, 2)


def passed(recording: Recording, signal: SignalConfig, screen: ScreenSpec, bundle: Bundle) -> Samples:
    """The samples ``(n, 200, 6)`` of the windows that the edge's signal path does not refuse, SI units, foot frame."""
    path = SignalPath(spec_of(bundle.manifest), recording.rate_hz, screen)
    windows = path.push(recording.time_ns, recording.samples, recording.saturated)
    verdicts, parts = path.verdicts, path.latest
    windows += path.finish()
    verdicts, parts = verdicts + path.verdicts, parts + path.latest
    samples = np.concatenate([part.samples for part in parts])
    kept = [w for w, verdict in zip(windows, verdicts, strict=True) if not verdict.refusal]
    return np.stack([samples[w.sample_start : w.sample_start + signal.window_samples] for w in kept])


@pytest.mark.parametrize(("mounting", "axes"), [("trust", "x,y,z"), ("correct", "-x,-y,z"), ("correct", "y,x,-z")])
def test_the_store_holds_the_windows_that_the_edge_classifies_of_the_same_file(
    mounting: Mounting, axes: str, tmp_path: Path
) -> None:
    """Worn as configured, back to front, or upside down and turned to the side."""
    dataset = recorded(tmp_path, axes)
    bundle = write_tiny_bundle(tmp_path / "bundle")
    signal = SignalConfig(windows="judged", mounting=mounting)
    store, everything = build_store(dataset, signal), build_store(dataset, SignalConfig())
    for index, subject in enumerate(dataset.subjects):
        recording = subject.walks[0].recording
        own = np.flatnonzero(store.subject == index)
        raw = store.raw(own)
        np.testing.assert_array_equal(raw, passed(recording, signal, ScreenSpec(mounting=mounting), bundle))
        expected = classified(recording, bundle, mounting)
        np.testing.assert_array_equal(coefficients_of(raw, spec_of(bundle.manifest)), expected)
        assert 30 < len(own) < np.count_nonzero(everything.subject == index) - 20
    assert sum(store.refused.values()) == len(everything) - len(store)
    assert {"standing", "not walking", "poor quality"} <= set(store.refused)
    assert ("mounting unknown" in store.refused) == (mounting == "correct")
    assert np.bincount(store.subject[capped(store, np.arange(2), 10)]).tolist() == [10, 10]


def test_limits_and_scaler_are_those_of_judged_windows_in_the_foot_frame(tmp_path: Path) -> None:
    """Neither what was sampled before the frame was known teaches them anything, nor standing and sitting."""
    scalings = []
    for number, axes in enumerate(("x,y,z", "-x,-y,z")):
        folder = tmp_path / str(number)
        folder.mkdir()
        store = build_store(recorded(folder, axes), SignalConfig(windows="judged", mounting="correct"))
        held = np.zeros(len(store.samples), np.bool_)
        for start in store.start:
            held[start : start + store.window_samples] = True
        assert held.all()
        pieces = np.searchsorted(store.piece_start, store.start, side="right") - 1
        assert (store.start + store.window_samples <= store.piece_stop[pieces]).all()
        scalings.append(learn_scaling((store.samples_of_subject(i) for i in range(2)), seed=1))
    for learned in ("lower", "upper", "mean", "deviation"):
        np.testing.assert_allclose(getattr(scalings[1], learned), getattr(scalings[0], learned), atol=1e-3)


def still(n_samples: int) -> Samples:
    samples = np.random.default_rng(1).normal(scale=0.01, size=(n_samples, 6))
    samples[:, 2] += 9.81
    return samples.astype(np.float32)


def test_somebody_of_whom_every_window_is_refused_is_named_with_the_reasons() -> None:
    dataset = made_dataset(3)
    standing = replace(made_recording(0, 0.0), samples=still(1200), path=Path("stands.csv"))
    people = tuple(replace(subject, walks=(Walk("w", standing, "A"),)) for subject in dataset.subjects)
    with pytest.raises(DatasetError) as refused:
        build_store(replace(dataset, subjects=people), SignalConfig(windows="judged"), for_training=False)
    n_windows = (1200 - 200) // 50 + 1
    assert str(refused.value) == (
        f"stands.csv: not one window of P000 that the edge would classify; all {n_windows} were refused (standing: "
        f'{n_windows}): leave P000 out, or train on all windows (signal.windows = "all")'
    )
    too_short = replace(standing, samples=still(150), time_ns=standing.time_ns[:150])
    people = tuple(replace(subject, walks=(Walk("w", too_short, "A"),)) for subject in dataset.subjects)
    with pytest.raises(DatasetError, match=r"stands\.csv: not one window; leave P000 out"):
        build_store(replace(dataset, subjects=people), SignalConfig(windows="judged"), for_training=False)


def test_a_walk_without_a_judged_window_is_left_out_and_the_person_stays(tmp_path: Path) -> None:
    dataset = recorded(tmp_path, "x,y,z")
    standing = replace(made_recording(0, 0.0), samples=still(1200))
    first, second = dataset.subjects
    both = replace(first, walks=(Walk("stands", standing, "A"), *first.walks))
    store = build_store(replace(dataset, subjects=(both, second)), SignalConfig(windows="judged"))
    assert store.walk_names == ("a.csv", "b.csv")
    assert [len(store.pieces_of_walk(walk)) > 0 for walk in range(2)] == [True, True]


def test_without_gravity_the_mounting_is_trusted_and_windows_are_judged() -> None:
    samples = stands_walks_sits("robust", 1).copy()
    # As a program would remove it that knows the foot flat; near enough for the gate, and for nothing else.
    samples[:, 2] -= 9.80665
    time_ns = nominal_time_ns(np.arange(len(samples), dtype=np.int64), RATE_HZ)
    recording = Recording(Path("removed.csv"), RATE_HZ, time_ns, samples, "removed")
    kinds: tuple[Mounting, Mounting] = ("trust", "correct")
    trusted, corrected = (cut(recording, SignalConfig(windows="judged", mounting=kind)) for kind in kinds)
    assert "mounting unknown" not in corrected.refused
    assert corrected.refused == trusted.refused
    assert corrected.refused["standing"] > 0
    np.testing.assert_array_equal(np.concatenate(corrected.pieces), np.concatenate(trusted.pieces))
