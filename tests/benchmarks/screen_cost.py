"""What judging a window costs beside classifying it: the screen, as a whole and by its parts, and bare inference.

A second of signal at a time, in one process and in turns: the signal path without a screen, the same with all of it on
(gate, strides, mounting, quality), each of these by itself, and `predict` of the shipped default on the windows that
came. In processor time, so that other programs count little; a ratio each round, the median over rounds.
"""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from edge.config import ModelConfig
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import spec_of
from edge.sources.conventions import parse_axes, to_foot_frame
from edge.sources.walkers import read_walker, walker_path
from edge.stream.gait_figures import GaitFigures
from edge.stream.gate import GaitGate
from edge.stream.mounting import MountingWatch
from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import InputQuality
from edge.stream.screen import ScreenSpec
from edge.stream.strides import StrideDetector
from firmware_bridge.channels import Samples
from firmware_bridge.walker import walk

ROUNDS, WALK_S, RATE_HZ = 5, 64.0, 104.0
PACKET_SAMPLES = (4, 25)
TURN_SAMPLES = 100
"""Whole packets of both sizes, and two windows."""
WORN = parse_axes("y,-x,z")
"""Not as configured, so that the screen has every sample to turn as well."""
SCREEN = ScreenSpec(mounting="correct")
BAR = 0.10
PARTS = ("gate", "strides", "mounting", "quality")


class Lap:
    """One walk through all that is compared; what each took, by name."""

    def __init__(self, spec: SignalSpec, classifier: Classifier) -> None:
        self.spent_s = defaultdict[str, float](float)
        self.n_windows = 0
        self._spec, self._classifier = spec, classifier
        self._plain, self._screened = SignalPath(spec, RATE_HZ), SignalPath(spec, RATE_HZ, SCREEN)
        self._gate, self._watch = GaitGate(spec.rate_hz), MountingWatch(spec.rate_hz)
        self._strides, self._figures = StrideDetector(spec.rate_hz, gravity_included=True), GaitFigures()
        self._quality = InputQuality(RATE_HZ, mean=spec.mean, deviation=spec.deviation, gravity=SCREEN.gravity)
        self._seen = np.empty((0, 6), np.float32)
        self._unmarked = np.zeros(TURN_SAMPLES, np.bool_)

    @contextmanager
    def _spent_on(self, name: str) -> Iterator[None]:
        begin_s = time.process_time()
        yield
        self.spent_s[name] += time.process_time() - begin_s

    def advance(self, time_ns: NDArray[np.int64], samples: Samples, n_packet: int) -> None:
        """A turn of signal through everything, in packets of ``n_packet`` samples."""
        packets = [slice(first, first + n_packet) for first in range(0, len(samples), n_packet)]
        as_worn, in_foot_frame, windows = [], [], []
        with self._spent_on("plain"):
            for packet in packets:
                windows += self._plain.push(time_ns[packet], samples[packet])
                as_worn += self._plain.latest
        with self._spent_on("screened"):
            for packet in packets:
                self._screened.push(time_ns[packet], samples[packet])
                in_foot_frame += self._screened.latest
        with self._spent_on("gate"):
            for piece in in_foot_frame:
                self._gate.push(piece.samples)
        with self._spent_on("strides"):
            for piece in in_foot_frame:
                for stride in self._strides.push(piece.samples):
                    self._figures.add(stride)
        with self._spent_on("mounting"):
            for piece in as_worn:
                self._watch.push(piece.samples)
        self._seen = np.concatenate([self._seen, *(piece.samples for piece in as_worn)])[-self._spec.window_samples :]
        with self._spent_on("quality"):
            for packet in packets:
                self._quality.push(time_ns[packet], samples[packet], self._unmarked[packet])
            for window in windows:
                self._quality.window_flags(window.start_ns, window.stop_ns, self._seen, window.bridged_share)
        with self._spent_on("inference"):
            for window in windows:
                self._classifier.predict(window.coefficients)
        self.n_windows += len(windows)


def main() -> bool:
    """Print a line for each size of packet; whether both meet the bar."""
    bundle, classifier = open_model(ModelConfig())
    spec = spec_of(bundle.manifest)
    samples = walk(read_walker(walker_path("robust")), duration_s=WALK_S, rate_hz=RATE_HZ, seed=1)
    samples = to_foot_frame(samples.astype(np.float64), WORN).astype(np.float32)
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / RATE_HZ).astype(np.int64)
    ratios = defaultdict[tuple[int, str], list[float]](list)
    for _ in range(ROUNDS):
        for n_packet in PACKET_SAMPLES:
            lap = Lap(spec, classifier)
            for first in range(0, len(samples) - TURN_SAMPLES + 1, TURN_SAMPLES):
                turn = slice(first, first + TURN_SAMPLES)
                lap.advance(time_ns[turn], samples[turn], n_packet)
            spent_s = lap.spent_s
            added_s = spent_s["screened"] - spent_s["plain"]
            rest_s = added_s - sum(spent_s[part] for part in PARTS)
            for name, part_s in (("all", added_s), *((part, spent_s[part]) for part in PARTS), ("rest", rest_s)):
                ratios[n_packet, name].append(part_s / spent_s["inference"])
    is_met = True
    for n_packet in PACKET_SAMPLES:
        percent = {name: 100 * statistics.median(ratios[n_packet, name]) for name in ("all", *PARTS, "rest")}
        whole = [100 * ratio for ratio in ratios[n_packet, "all"]]
        is_met = is_met and percent["all"] < 100 * BAR
        print(
            f"screen, {n_packet} samples a packet: {percent['all']:.1f} % of {bundle.variant_name} inference "
            f"({min(whole):.1f} to {max(whole):.1f}; bar {100 * BAR:.0f}: "
            f"{'met' if percent['all'] < 100 * BAR else 'MISSED'}); "
            + ", ".join(f"{name} {percent[name]:.1f}" for name in (*PARTS, "rest"))
        )
    return is_met


if __name__ == "__main__":
    sys.exit(not main())
