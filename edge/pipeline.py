"""The pipeline of one sensor, in the order in which the data flow: samples → windows → prediction → decision → sink.

`live` and `replay` differ only in what pushes samples in here. Sample values and their device times alone decide what
comes out; the time of arrival is used for latencies, and for nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.latency import StageLatencies
from edge.manifest import Manifest
from edge.messages import (
    Coefficients,
    Decision,
    EarlierCounts,
    Figure,
    Gait,
    GaitSummary,
    Health,
    Message,
    Prediction,
    Signal,
    StrideFigures,
)
from edge.model import Classifier
from edge.stream.counted import TimedStride
from edge.stream.decision import DecisionMaker, RollingDecision
from edge.stream.gait_figures import FigureSet, RunningFigure
from edge.stream.path import PathCounts, SignalPath
from edge.stream.preprocess import SignalSpec
from edge.stream.screen import ScreenSpec, Verdict
from edge.stream.windows import Window
from firmware_bridge.channels import Samples

# Points a signal message carries: about four messages a second at 104 Hz and a decimation of 4.
_SIGNAL_POINTS: Final = 6

Sink = Callable[[Message], object]
"""Takes each message as it is made."""


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """What the side that receives knows and the samples do not say."""

    link: str
    n_packets: int = 0
    n_corrupt: int = 0
    n_duplicates: int = 0
    n_lost_samples: int | None = None  # None where only the samples themselves can tell
    n_lost_estimated: int = 0
    n_gaps: int | None = None  # likewise
    n_reconnects: int = 0
    n_restarts: int = 0
    ring_lost: int = 0
    packet_rate_hz: float = 0.0
    packet_rate_expected_hz: float = 0.0
    battery_percent: int | None = None
    rssi_dbm: int | None = None
    earlier: EarlierCounts = field(default_factory=EarlierCounts)


def spec_of(manifest: Manifest) -> SignalSpec:
    """What the signal path needs of a bundle's manifest."""
    return SignalSpec(
        rate_hz=manifest.sample_rate_hz,
        window_samples=manifest.window_samples,
        hop_samples=manifest.hop_samples,
        max_bridged_gap_ms=manifest.max_bridged_gap_ms,
        max_bridged_share=manifest.max_bridged_share,
        outlier_lower=np.array(manifest.outlier_limits.lower, dtype=np.float32),
        outlier_upper=np.array(manifest.outlier_limits.upper, dtype=np.float32),
        mean=np.array(manifest.scaler.mean, dtype=np.float32),
        deviation=np.array(manifest.scaler.deviation, dtype=np.float32),
        wavelet_level=manifest.wavelet.level,
    )


def _summary(figures: FigureSet) -> GaitSummary:
    def told(figure: RunningFigure) -> Figure:
        return Figure(figure.mean, figure.deviation, figure.n)

    return GaitSummary(
        n_strides=figures.n_strides,
        stride_time_s=told(figures.stride_time_s),
        cadence_strides_min=told(figures.cadence_strides_min),
        stance_percent=told(figures.stance_percent),
        swing_percent=told(figures.swing_percent),
        stride_length_m=told(figures.stride_length_m),
        gait_speed_m_s=told(figures.gait_speed_m_s),
    )


def _told_stride(timed: TimedStride) -> StrideFigures:
    stride = timed.stride
    return StrideFigures(
        start_s=timed.start_ns / 1e9,
        stride_time_s=stride.stride_time_s,
        stance_percent=100.0 * stride.stance_share,
        swing_percent=100.0 * stride.swing_share,
        stride_length_m=stride.stride_length_m,
        gait_speed_m_s=stride.gait_speed_m_s,
    )


class Pipeline:
    """One sensor's samples to messages.

    ``sink`` takes the messages; ``rate_in_hz`` is the sensor's nominal rate; ``screen`` says which windows may be
    used. ``coefficients`` switches the large ``window/`` messages on.
    """

    def __init__(
        self,
        manifest: Manifest,
        classifier: Classifier,
        *,
        sensor: str,
        rate_in_hz: float,
        sink: Sink,
        model_sha256: str,
        screen: ScreenSpec,
        signal_decimation: int = 4,
        coefficients: bool = False,
    ) -> None:
        self._manifest = manifest
        self._classifier = classifier
        self._sensor = sensor
        self._rate_in_hz = rate_in_hz
        self._sink = sink
        self._model_sha256 = model_sha256
        self._send_coefficients = coefficients
        self._path = SignalPath(spec_of(manifest), rate_in_hz, screen)
        self._finds_mounting = screen.finds_mounting
        self._told_mounting: tuple[object, int] | None = None
        self._decide = DecisionMaker(
            len(manifest.labels),
            half_life_windows=manifest.decision.half_life_windows,
            min_windows=manifest.decision.min_windows,
            switch_margin=manifest.decision.switch_margin,
            least_confidence=manifest.decision.least_confidence,
        )
        self._hop_s = manifest.hop_samples / manifest.sample_rate_hz
        self._decimation = signal_decimation
        self._n_resampled = 0
        self._signal_start = 0
        self._signal_stretch = -1
        self._signal: list[list[float]] = []
        self.latencies = StageLatencies()
        self.n_decisions = 0

    @property
    def rate_in_hz(self) -> float:
        """The sensor's nominal rate."""
        return self._rate_in_hz

    @property
    def counts(self) -> PathCounts:
        """Samples, gaps and windows so far."""
        return self._path.counts

    def push(
        self,
        time_ns: NDArray[np.int64],
        samples: Samples,
        received_ns: int,
        *,
        saturated: NDArray[np.bool_] | None = None,
        link_ms: float | None = None,
    ) -> None:
        """``(n,)`` device times and ``(n, 6)`` samples that arrived at ``received_ns`` on the monotonic clock.

        ``saturated`` ``(n,)`` marks samples at the sensor's range, where that is known; ``link_ms`` is how long the
        last of them was on its way to this host, where its clock is known.
        """
        begin_ns = time.monotonic_ns()
        self._process(self._path.push(time_ns, samples, saturated), received_ns, begin_ns, link_ms)

    def finish(self) -> None:
        """The stream ends, or the sensor began anew: what comes next does not connect to what came before."""
        begin_ns = time.monotonic_ns()
        self._process(self._path.finish(), begin_ns, begin_ns, None)
        self._send_signal()

    def _process(self, windows: list[Window], received_ns: int, begin_ns: int, link_ms: float | None) -> None:
        latency_ms = {} if link_ms is None else {"link": link_ms}
        latency_ms["waiting"] = (begin_ns - received_ns) / 1e6
        latency_ms["signal_path"] = (time.monotonic_ns() - begin_ns) / 1e6
        self._draw_signal()
        for window, verdict in zip(windows, self._path.verdicts, strict=True):
            if verdict.refusal:
                self._refuse(window, verdict, latency_ms, received_ns)
            else:
                self._classify(window, verdict, latency_ms, received_ns)
        self._tell_gait()

    def _refuse(self, window: Window, verdict: Verdict, latency_ms: dict[str, float], received_ns: int) -> None:
        """A window that may say nothing of the gait is published with the reason, and the network never sees it."""
        total_ms = (time.monotonic_ns() - received_ns) / 1e6
        self._decided(
            window, verdict, self._decide.refuse(verdict.refusal), {**latency_ms, "total": total_ms}, received_ns
        )

    def _classify(self, window: Window, verdict: Verdict, latency_ms: dict[str, float], received_ns: int) -> None:
        labels = self._manifest.labels
        start_ns = time.monotonic_ns()
        probabilities = self._classifier.predict(window.coefficients)
        now_ns = time.monotonic_ns()
        latency_ms = {
            **latency_ms,
            "inference": (now_ns - start_ns) / 1e6,
            "total": (now_ns - received_ns) / 1e6,
        }
        self.latencies.add(latency_ms)
        about = self._about(window, verdict)
        index = int(np.argmax(probabilities))
        self._sink(
            Prediction(
                **about,
                latency_ms=latency_ms,
                probabilities=dict(zip(labels, probabilities.tolist(), strict=True)),
                label=labels[index],
                class_index=index,
            )
        )
        self._decided(window, verdict, self._decide.add(probabilities), latency_ms, received_ns)
        if self._send_coefficients:
            self._sink(Coefficients(**about, latency_ms=latency_ms, coefficients=window.coefficients.T.tolist()))

    def _decided(
        self,
        window: Window,
        verdict: Verdict,
        rolling: RollingDecision,
        latency_ms: dict[str, float],
        received_ns: int,
    ) -> None:
        labels = self._manifest.labels
        self.n_decisions += 1
        held = rolling.class_index
        self._sink(
            Decision(
                **self._about(window, verdict),
                latency_ms={**latency_ms, "total": (time.monotonic_ns() - received_ns) / 1e6},
                probabilities=dict(zip(labels, rolling.probabilities.tolist(), strict=True)),
                label=None if held is None else labels[held],
                class_index=-1 if held is None else held,
                reason=rolling.reason,
                n_windows=rolling.n_windows,
                n_refused=rolling.n_refused,
                held_windows=rolling.held_windows,
                held_s=rolling.held_windows * self._hop_s,
            )
        )

    def _tell_gait(self) -> None:
        """Strides that are new, and what all so far come to; how far the search for the mounting has come."""
        screen = self._path.screen
        if screen is None:
            return
        mounting = screen.mounting
        is_found = not self._finds_mounting or mounting.state != "cannot tell"
        found = mounting, 0 if is_found else screen.mounting_strides
        has_news = self._finds_mounting and found != self._told_mounting
        if not screen.new_strides and not has_news:
            return
        strides = tuple(map(_told_stride, screen.new_strides))
        screen.new_strides.clear()
        self._told_mounting = found
        self._sink(
            Gait(
                sensor=self._sensor,
                session=_summary(screen.figures.all),
                recent=_summary(screen.figures.recent),
                strides=strides,
                n_implausible=screen.figures.n_implausible,
                mounting=mounting.state if self._finds_mounting else "trusted",
                mounting_reason=mounting.reason if self._finds_mounting else "",
                mounting_strides=screen.mounting_strides,
                side=mounting.side,
                tilt_deg=mounting.tilt_deg,
            )
        )

    def _about(self, window: Window, verdict: Verdict) -> dict[str, Any]:
        return {
            "sensor": self._sensor,
            "stretch": window.stretch,
            "sample_start": window.sample_start,
            "sample_stop": window.sample_stop,
            "window_start_s": window.start_ns / 1e9,
            "window_stop_s": window.stop_ns / 1e9,
            "bridged_share": window.bridged_share,
            "outlier_share": window.outlier_share,
            "motion": verdict.motion.name.lower().replace("_", " "),
            "walking_share": verdict.walking_share,
            "flags": verdict.flags,
            "model": self._manifest.name,
            "model_sha256": self._model_sha256,
            "variant": self._classifier.variant_name,
            "trained_on": self._manifest.training.trained_on,
        }

    def _draw_signal(self) -> None:
        for piece in self._path.latest:
            if piece.stretch != self._signal_stretch:
                self._send_signal()  # a message never reaches over a gap
                self._signal_stretch = piece.stretch
            first = -self._n_resampled % self._decimation
            points = piece.samples[first :: self._decimation].tolist()
            if points and not self._signal:
                self._signal_start = self._n_resampled + first
            self._signal += points
            self._n_resampled += len(piece.samples)
        if len(self._signal) >= _SIGNAL_POINTS:
            self._send_signal()

    def _send_signal(self) -> None:
        if not self._signal:
            return
        self._sink(
            Signal(
                sensor=self._sensor,
                stretch=self._signal_stretch,
                sample_start=self._signal_start,
                decimation=self._decimation,
                rate_hz=self._manifest.sample_rate_hz,
                samples=self._signal,
            )
        )
        self._signal = []

    def health(self, link: LinkCounts) -> Health:
        """How the stream is doing, with what the link says."""
        counts = self._path.counts
        median_ms, p99_ms = self.latencies.summary()
        return Health(
            sensor=self._sensor,
            link=link.link,
            rate_hz=self._rate_in_hz,
            model=self._manifest.name,
            model_sha256=self._model_sha256,
            variant=self._classifier.variant_name,
            runtime=self._classifier.runtime_name,
            trained_on=self._manifest.training.trained_on,
            n_packets=link.n_packets,
            n_corrupt=link.n_corrupt,
            n_duplicates=link.n_duplicates,
            n_reconnects=link.n_reconnects,
            n_restarts=link.n_restarts,
            ring_lost=link.ring_lost,
            n_samples=counts.n_samples,
            n_lost_samples=counts.n_bridged_samples + counts.n_long_gap_samples
            if link.n_lost_samples is None
            else link.n_lost_samples,
            n_lost_estimated=link.n_lost_estimated,
            n_gaps=counts.n_bridged_gaps + counts.n_long_gaps if link.n_gaps is None else link.n_gaps,
            n_bridged_samples=counts.n_bridged_samples,
            n_long_gaps=counts.n_long_gaps,
            n_windows=counts.n_windows,
            n_windows_refused=counts.n_windows_refused,
            n_decisions=self.n_decisions,
            n_outliers=counts.n_outliers,
            packet_rate_hz=link.packet_rate_hz,
            packet_rate_expected_hz=link.packet_rate_expected_hz,
            battery_percent=link.battery_percent,
            rssi_dbm=link.rssi_dbm,
            latency_median_ms=median_ms,
            latency_p99_ms=p99_ms,
            earlier=link.earlier,
        )
