"""A recording as a simulated stream: read, paced like the sensor or as fast as it goes, through the one pipeline."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from edge.bundle import Bundle
from edge.errors import RecordingError
from edge.messages import Decision, Health, Message, determined
from edge.model import Classifier
from edge.opening import check_screen
from edge.pipeline import LinkCounts, Pipeline
from edge.sources.recording import Recording
from edge.stream.resample import MAX_RATE_HZ, MIN_RATE_HZ, RELIABLE_RATE_HZ
from edge.stream.screen import ScreenSpec

# Pieces in which a recording is handed on: short enough that a view moves smoothly, long enough to cost little.
_PIECE_S: Final = 0.05
_LONGEST_PIECE_S: Final = 2.0
_HEALTH_EVERY_S: Final = 1.0

Wait = Callable[[float], object]
"""Waits so many seconds, 0 too, doing what has to be done meanwhile, such as answering new subscribers."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to; times in seconds."""

    health: Health
    decision: Decision | None
    signal_s: float
    took_s: float

    def summary(self, what: str, rate_hz: float, n_duplicates: int = 0) -> list[str]:
        """Lines for the end of a replay of ``what``; ``n_duplicates`` rows of it were dropped."""
        health, decision = self.health, self.decision
        times_real = self.signal_s / self.took_s if self.took_s > 0 else 0.0
        stages = ", ".join(
            f"{stage} {median:.2f} (p99 {health.latency_p99_ms[stage]:.2f})"
            for stage, median in health.latency_median_ms.items()
        )
        last = "no decision" if decision is None else f"last decision {decision.label or f'none ({decision.reason})'}"
        return [
            f"{what}: {self.signal_s:.1f} s of signal at {rate_hz:g} Hz, "
            f"replayed in {self.took_s:.1f} s ({times_real:.1f} × real time)",
            f"  {health.n_windows} windows, {health.n_decisions} decisions, {last}; "
            f"{health.n_windows_refused} windows refused for gaps, {health.n_outliers} outliers set to limit",
            f"  {health.n_samples} samples; {health.n_bridged_samples} missing ones bridged, "
            f"{health.n_long_gaps} long gaps; {n_duplicates} duplicate rows dropped",
            f"  latency in ms, median: {stages or 'no window, no latency'}",
        ]


def check_rate(recording: Recording, *, low_rate: bool = False) -> None:
    """`RecordingError` for a rate at which strides cannot be seen; ``low_rate`` insists on a low one."""
    if not MIN_RATE_HZ <= recording.rate_hz <= MAX_RATE_HZ:
        raise RecordingError(
            f"{recording.path}: {recording.rate_hz:g} Hz cannot be resampled: {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g} Hz can"
        )
    if recording.rate_hz < RELIABLE_RATE_HZ and not low_rate:
        raise RecordingError(
            f"{recording.path}: at {recording.rate_hz:g} Hz, below {RELIABLE_RATE_HZ:g}, foot strikes are lost: record "
            "faster, or insist with --low-rate"
        )


def check_fits(recording: Recording, bundle: Bundle, screen: ScreenSpec, *, low_rate: bool = False) -> None:
    """`RecordingError` where the recording is none that the bundle's model may see; ``low_rate`` insists on one.

    `BundleError` where the ``screen`` could not judge the model's windows.
    """
    manifest = bundle.manifest
    check_screen(manifest, screen)
    check_rate(recording, low_rate=low_rate)
    if recording.frame != manifest.frame:
        raise RecordingError(
            f"{recording.path}: its axes are in the frame {recording.frame!r}, the bundle {manifest.name} needs "
            f"{manifest.frame!r}: turn them with --axes"
        )
    if recording.gravity != manifest.gravity:
        raise RecordingError(
            f"{recording.path}: gravity is {recording.gravity} in this recording, but {manifest.gravity} in what the "
            f"bundle {manifest.name} was trained on: use a bundle trained on signals like these (--bundle)"
        )


def replay(
    recording: Recording,
    bundle: Bundle,
    classifier: Classifier,
    *,
    sensor: str,
    speed: float | None,
    screen: ScreenSpec,
    sink: Callable[[Message], object],
    wait: Wait,
    on_progress: Callable[[float], object] = lambda _: None,
    coefficients: bool = False,
    signal_decimation: int = 4,
    low_rate: bool = False,
) -> ReplayResult:
    """Stream a recording through the pipeline at ``speed`` × real time, or, with None, as fast as it goes.

    ``screen`` says which windows may be used, ``sink`` takes every message; ``wait(seconds)`` passes the time between
    pieces; ``on_progress`` is told the seconds of signal done.
    """
    check_fits(recording, bundle, screen, low_rate=low_rate)
    last_decision: list[Decision] = []

    def keep_last(message: Message) -> None:
        if isinstance(message, Decision):
            last_decision[:] = [message]
        sink(message)

    pipeline = Pipeline(
        bundle.manifest,
        classifier,
        sensor=sensor,
        rate_in_hz=recording.rate_hz,
        sink=keep_last,
        model_sha256=bundle.variant.sha256,
        screen=screen,
        signal_decimation=signal_decimation,
        coefficients=coefficients,
    )
    piece_s = _LONGEST_PIECE_S if speed is None else min(_PIECE_S * max(speed, 1.0), _LONGEST_PIECE_S)
    time_ns = recording.time_ns
    signal_s = (int(time_ns[-1]) - int(time_ns[0])) / 1e9
    borders = _borders(recording, piece_s)
    begin_s = next_health_s = time.monotonic()
    for begin, end in itertools.pairwise(borders):
        done_s = (int(time_ns[end - 1]) - int(time_ns[0])) / 1e9
        wait(0.0 if speed is None else max(0.0, begin_s + done_s / speed - time.monotonic()))
        now_ns = time.monotonic_ns()
        saturated = None if recording.saturated is None else recording.saturated[begin:end]
        pipeline.push(time_ns[begin:end], recording.samples[begin:end], now_ns, saturated=saturated)
        on_progress(done_s)
        if now_ns / 1e9 >= next_health_s:
            sink(pipeline.health(LinkCounts("replaying", n_duplicates=recording.n_duplicates)))
            next_health_s = now_ns / 1e9 + _HEALTH_EVERY_S
    pipeline.finish()
    took_s = time.monotonic() - begin_s
    health = pipeline.health(LinkCounts("ended", n_duplicates=recording.n_duplicates))
    sink(health)
    return ReplayResult(health, last_decision[0] if last_decision else None, signal_s, took_s)


def _borders(recording: Recording, piece_s: float) -> list[int]:
    """Row numbers at which a recording is cut into pieces of about ``piece_s`` seconds; no piece is empty."""
    time_ns = recording.time_ns
    marks = np.arange(int(time_ns[0]), int(time_ns[-1]) + 1, max(1, round(piece_s * 1e9)))
    inner = np.searchsorted(time_ns, marks[1:]).tolist()
    return sorted({0, *inner, len(time_ns)})


def decision_line(decision: Decision) -> str:
    """A decision as one line of JSON that holds what the recording determines, and nothing else."""
    return msgspec.json.encode(determined(decision)).decode()
