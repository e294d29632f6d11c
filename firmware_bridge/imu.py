"""The faults of a real IMU: ideal samples enter, samples with its mounting, gain, bias, noise and range leave.

The result depends on the seed and the order of the samples alone, not on how they are cut into calls. No gait is known
here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, STANDARD_GRAVITY_M_S2, Samples

BIAS_KNOT_S: Final = 10.0
"""The bias walks from knot to knot this far apart, straight in between."""


@dataclass(frozen=True, slots=True)
class ImuModel:
    """How good a sensor is; the defaults are those of a MEMS sensor of the class that the real walks were taken with.

    Noise is white, in units per root hertz over the band up to half the rate. ``*_bias`` is the standard deviation of
    the bias over sensors, ``*_bias_drift`` that of its change in `BIAS_KNOT_S`. ``gain_error`` is the standard
    deviation of each channel's gain about 1, ``misalignment_rad`` that of the small turn about each axis with which the
    sensor sits on the foot. Raises ValueError where a figure is negative or a range is not positive.
    """

    acc_noise_m_s2_rt_hz: float = 0.004
    gyr_noise_rad_s_rt_hz: float = 0.0004
    acc_bias_m_s2: float = 0.05
    gyr_bias_rad_s: float = 0.002
    acc_bias_drift_m_s2: float = 0.002
    gyr_bias_drift_rad_s: float = 0.0003
    gain_error: float = 0.005
    misalignment_rad: float = float(np.deg2rad(1.0))
    acc_range_m_s2: float = 16 * STANDARD_GRAVITY_M_S2
    gyr_range_rad_s: float = float(np.deg2rad(2000))

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value >= 0 or (name.endswith(("range_m_s2", "range_rad_s")) and value == 0):
                raise ValueError(f"{name} must not be negative, and a range not 0, got {value}")


class Imu:
    """One sensor of an `ImuModel`, with its own gain and bias, measuring sample after sample."""

    def __init__(self, model: ImuModel, *, rate_hz: float, seed: int) -> None:
        self._noise, self._walk = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))

        def channels(acc: float, gyr: float) -> NDArray[np.float64]:
            return np.repeat([acc, gyr], 3)

        root_band = np.sqrt(rate_hz / 2)
        self._noise_std = channels(model.acc_noise_m_s2_rt_hz, model.gyr_noise_rad_s_rt_hz) * root_band
        self._drift_std = channels(model.acc_bias_drift_m_s2, model.gyr_bias_drift_rad_s)
        self._limit = channels(model.acc_range_m_s2, model.gyr_range_rad_s)
        self._gain = 1 + model.gain_error * self._walk.standard_normal(N_CHANNELS)
        yaw, pitch, roll = model.misalignment_rad * self._walk.standard_normal(3)
        turn = np.eye(3) + np.array([[0, -yaw, pitch], [yaw, 0, -roll], [-pitch, roll, 0]])
        # The nearest rotation to a small turn, so that lengths stay as they are.
        left, _, right = np.linalg.svd(turn)
        self._mounting = np.kron(np.eye(2), left @ right)
        self._offset = channels(model.acc_bias_m_s2, model.gyr_bias_rad_s) * self._walk.standard_normal(N_CHANNELS)
        self._samples_per_knot = max(1, round(BIAS_KNOT_S * rate_hz))
        self._drift = np.zeros((2, N_CHANNELS))
        self._drift[1] = self._next_knot(self._drift[0])
        self._since_knot = 0

    def _next_knot(self, drift: NDArray[np.float64]) -> NDArray[np.float64]:
        # Pulled back a little each time, so that an endless walk does not drift away.
        return 0.95 * drift + self._drift_std * self._walk.standard_normal(N_CHANNELS)

    def measure(self, ideal: NDArray[np.float64]) -> Samples:
        """``(n, 6)`` ideal samples as this sensor reports them, float32."""
        bias = np.empty_like(ideal)
        done = 0
        while done < len(ideal):
            n = min(len(ideal) - done, self._samples_per_knot - self._since_knot)
            share = (self._since_knot + np.arange(n))[:, None] / self._samples_per_knot
            bias[done : done + n] = self._offset + (1 - share) * self._drift[0] + share * self._drift[1]
            done += n
            self._since_knot += n
            if self._since_knot == self._samples_per_knot:
                self._since_knot = 0
                self._drift[0] = self._drift[1]
                self._drift[1] = self._next_knot(self._drift[1])
        noise = self._noise.standard_normal(ideal.shape) * self._noise_std
        # Not `@`: a matrix product's last bit may change with the number of rows.
        turned = np.einsum("nc,cd->nd", ideal, self._mounting)
        measured: Samples = np.clip(turned * self._gain + bias + noise, -self._limit, self._limit).astype(np.float32)
        return measured
