"""Windows of a fixed number of samples at a fixed hop, from stretches; none reaches over a long gap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.stream.preprocess import SignalSpec, clean_and_scale, coefficients
from edge.stream.resample import Resampled
from firmware_bridge.channels import N_CHANNELS


@dataclass(frozen=True, slots=True)
class Window:
    """One window, ready for the network.

    ``[sample_start, sample_stop)`` counts samples at the bundle's rate since the stream began, gaps not counted;
    ``[start_ns, stop_ns)`` is device time. ``bridged_share`` and ``outlier_share`` are shares of the window's samples.
    ``coefficients`` has shape ``(n_coefficients, 6)``. ``has_gaps``: more samples are bridged than the network may see.
    """

    stretch: int
    sample_start: int
    sample_stop: int
    start_ns: int
    stop_ns: int
    bridged_share: float
    outlier_share: float
    coefficients: NDArray[np.float32]
    has_gaps: bool = False


class Windower:
    """Collects samples of one stream and cuts windows of them."""

    def __init__(self, spec: SignalSpec) -> None:
        self._spec = spec
        # Room for one window plus a generous piece; grows only if a single piece is longer than that.
        self._samples = np.empty((4 * spec.window_samples, N_CHANNELS), dtype=np.float32)
        self._bridged = np.empty(len(self._samples), dtype=np.bool_)
        self._outlier = np.empty(len(self._samples), dtype=np.bool_)
        self._n_held = 0
        self._held_from = 0  # index within the stretch of the first held sample
        self._stretch = -1
        self._stretch_offset = 0  # samples of the stream before this stretch
        self.n_samples = 0
        self.n_outliers = 0

    def push(self, piece: Resampled) -> list[Window]:
        """Add a piece of a stretch; give the windows that are complete now."""
        if piece.stretch != self._stretch:
            self._stretch, self._stretch_offset = piece.stretch, self.n_samples
            self._n_held = self._held_from = 0
        scaled, outlier = clean_and_scale(piece.samples, self._spec)
        self.n_samples += len(scaled)
        self.n_outliers += int(np.count_nonzero(outlier))
        windows: list[Window] = []
        taken = 0
        while taken < len(scaled):
            n_new = min(len(scaled) - taken, len(self._samples) - self._n_held)
            held = slice(self._n_held, self._n_held + n_new)
            new = slice(taken, taken + n_new)
            self._samples[held] = scaled[new]
            self._bridged[held] = piece.bridged[new]
            self._outlier[held] = outlier[new]
            self._n_held += n_new
            taken += n_new
            windows += self._cut(piece.start_ns)
        return windows

    def _cut(self, start_ns: int) -> list[Window]:
        spec, windows, first = self._spec, [], 0
        while first + spec.window_samples <= self._n_held:
            inside = slice(first, first + spec.window_samples)
            bridged_share = float(np.count_nonzero(self._bridged[inside])) / spec.window_samples
            index = self._held_from + first
            stop = index + spec.window_samples
            windows.append(
                Window(
                    stretch=self._stretch,
                    sample_start=self._stretch_offset + index,
                    sample_stop=self._stretch_offset + stop,
                    start_ns=start_ns + round(index * 1e9 / spec.rate_hz),
                    stop_ns=start_ns + round(stop * 1e9 / spec.rate_hz),
                    bridged_share=bridged_share,
                    outlier_share=float(np.count_nonzero(self._outlier[inside])) / spec.window_samples,
                    coefficients=coefficients(self._samples[inside], spec.wavelet_level),
                    has_gaps=bridged_share > spec.max_bridged_share,
                )
            )
            first += spec.hop_samples
        left = self._n_held - first
        for held in (self._samples, self._bridged, self._outlier):
            held[:left] = held[first : first + left].copy()
        self._n_held, self._held_from = left, self._held_from + first
        return windows
