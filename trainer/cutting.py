"""A recording cut into the windows of a training run: all of them, or those that the edge would classify.

A recording goes in; stretches of samples at the bundle's rate come out, with where windows begin in them. What is
judged is judged by the edge's own signal path; nothing that is learned is in here, so nothing is judged by it.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.sources.recording import Gravity, Recording
from edge.stream.path import SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.quality import Flag
from edge.stream.resample import resample_all
from edge.stream.screen import ScreenSpec
from edge.stream.windows import Window
from firmware_bridge.channels import N_CHANNELS, Samples
from trainer.train_config import SignalConfig

_PIECE_SAMPLES: Final = 1024
"""So many are handed to the signal path at a time, as a stream would: what it remembers is made for that."""


@dataclass(frozen=True, slots=True)
class Cut:
    """``pieces`` ``(n, 6)`` each: SI units, at the bundle's rate, without a long gap inside.

    ``starts``, an int64 array a piece: where its windows begin. ``refused`` counts windows that were judged and
    refused, by reason; empty where none is judged.
    """

    pieces: tuple[Samples, ...]
    starts: tuple[NDArray[np.int64], ...]
    refused: Counter[str]


def screen_of(signal: SignalConfig, gravity: Gravity) -> ScreenSpec | None:
    """How the windows of signals with gravity ``included`` or ``removed`` are judged; None where all are taken.

    As the edge does, but for the flag "out of range": that one asks for the bundle's scaler, which is learned from
    the windows of each fold only later.
    """
    if signal.windows == "all":
        return None
    edge = ScreenSpec(gravity, mounting=signal.mounting)
    return replace(edge, refused_flags=tuple(flag for flag in edge.refused_flags if flag is not Flag.OUT_OF_RANGE))


def cut(recording: Recording, signal: SignalConfig) -> Cut:
    """The windows of a recording, as the configuration wants them."""
    screen = screen_of(signal, recording.gravity)
    return _cut_all(recording, signal) if screen is None else _cut_judged(recording, signal, screen)


def window_starts(bridged: NDArray[np.bool_], signal: SignalConfig) -> NDArray[np.int64]:
    """Where the windows of a stretch begin: every hop, without those that hold too many bridged samples."""
    starts = np.arange(0, len(bridged) - signal.window_samples + 1, signal.hop_samples, dtype=np.int64)
    total = np.concatenate([[0], np.cumsum(bridged)])
    share = (total[starts + signal.window_samples] - total[starts]) / signal.window_samples
    kept: NDArray[np.int64] = starts[share <= signal.max_bridged_share]
    return kept


def _cut_all(recording: Recording, signal: SignalConfig) -> Cut:
    pieces = resample_all(
        recording.time_ns,
        recording.samples,
        rate_in_hz=recording.rate_hz,
        rate_out_hz=signal.sample_rate_hz,
        max_bridged_gap_ms=signal.max_bridged_gap_ms,
    )
    return Cut(
        tuple(piece.samples for piece in pieces),
        tuple(window_starts(piece.bridged, signal) for piece in pieces),
        Counter(),
    )


def _cut_judged(recording: Recording, signal: SignalConfig, screen: ScreenSpec) -> Cut:
    """Samples that no window holds are left out: limits and scaler are not to be learned from what is not gait."""
    path = SignalPath(_unscaled(signal), recording.rate_hz, screen)
    parts: list[Samples] = []
    used: list[Window] = []
    refused: Counter[str] = Counter()

    def take(windows: list[Window]) -> None:
        parts.extend(part.samples for part in path.latest)
        for window, verdict in zip(windows, path.verdicts, strict=True):
            if verdict.refusal:
                refused[verdict.refusal] += 1
            else:
                used.append(window)

    for first in range(0, len(recording.samples), _PIECE_SAMPLES):
        part = slice(first, first + _PIECE_SAMPLES)
        saturated = None if recording.saturated is None else recording.saturated[part]
        take(path.push(recording.time_ns[part], recording.samples[part], saturated))
    take(path.finish())
    runs = _runs(used)
    samples = np.concatenate(parts) if runs else np.empty((0, N_CHANNELS), np.float32)
    return Cut(
        tuple(samples[run[0].sample_start : run[-1].sample_stop] for run in runs),
        tuple(np.array([window.sample_start - run[0].sample_start for window in run], np.int64) for run in runs),
        refused,
    )


def _runs(windows: list[Window]) -> list[list[Window]]:
    """Windows that follow one another without a sample between them, together."""
    runs: list[list[Window]] = []
    for window in windows:
        last = runs[-1][-1] if runs else None
        if last is None or window.stretch != last.stretch or window.sample_start > last.sample_stop:
            runs.append([])
        runs[-1].append(window)
    return runs


def _unscaled(signal: SignalConfig) -> SignalSpec:
    """A signal path that has learned nothing: no limits, no scaler. Its coefficients are of no use."""
    zeros, ones = np.zeros(N_CHANNELS, np.float32), np.ones(N_CHANNELS, np.float32)
    return SignalSpec(
        rate_hz=signal.sample_rate_hz,
        window_samples=signal.window_samples,
        hop_samples=signal.hop_samples,
        max_bridged_gap_ms=signal.max_bridged_gap_ms,
        max_bridged_share=signal.max_bridged_share,
        outlier_lower=-np.inf * ones,
        outlier_upper=np.inf * ones,
        mean=zeros,
        deviation=ones,
        wavelet_level=1,
    )
