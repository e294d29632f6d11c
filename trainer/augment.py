"""Training windows as another foot, sensor or mounting would have measured them, and nothing that no foot can do.

Enters: raw windows in SI units, what may change and by how much, a random generator. Leaves: as many windows, each
changed by its own draw. Validation and test windows never come here.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.sources.recording import Gravity
from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2, Samples
from trainer.train_config import AugmentConfig

# A time stretch is cut off here, so that the samples it needs beside the window are bounded.
MOST_DEVIATIONS: Final = 2.0
# The foot mirrored on its x-z plane. Rates are pseudo-vectors: those about axes in the plane change sign.
MIRROR: Final = np.array([1, -1, 1, -1, 1, -1], np.float32)

Floats = NDArray[np.float64]


def margin_samples(config: AugmentConfig, window_samples: int) -> int:
    """How many samples on each side of a window the fastest time stretch reads."""
    return math.ceil((math.exp(MOST_DEVIATIONS * config.time_stretch) - 1) * window_samples / 2)


def augment(
    raw: Samples,
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    window_samples: int,
    rate_hz: float,
    gravity: Gravity,
) -> Samples:
    """Windows ``(n, window_samples + 2 margin, 6)`` with their surroundings to windows ``(n, window_samples, 6)``.

    In this order, each window by itself: mirrored to the other foot; stretched in time (`stretch`), rate and
    acceleration along; turned about an axis at random, acceleration and rate alike, as a sensor mounted askew; a gain
    for each of the two sensors; a bias for each axis; white noise. What the configuration has at 0 draws nothing and
    changes nothing.
    """
    n = len(raw)
    margin = (raw.shape[1] - window_samples) // 2
    windows = raw
    if config.mirror:
        is_mirrored = rng.random(n) < config.mirror
        windows = np.where(is_mirrored[:, np.newaxis, np.newaxis], windows * MIRROR, windows)
    if config.time_stretch:
        drawn = np.clip(rng.standard_normal(n), -MOST_DEVIATIONS, MOST_DEVIATIONS)
        factors = np.exp(config.time_stretch * drawn)
        windows = stretch(windows, factors, window_samples=window_samples, rate_hz=rate_hz, gravity=gravity)
    elif margin:
        windows = windows[:, margin : margin + window_samples]
    if config.rotation_deg:
        windows = rotate(windows, _random_rotations(n, math.radians(config.rotation_deg), rng))
    if config.gain:
        gains = np.exp(config.gain * rng.standard_normal((n, 1, 2)))
        windows = windows * np.repeat(gains, 3, axis=2)
    windows = _with_normal(windows, (n, 1, 6), config.acc_bias_m_s2, config.gyr_bias_rad_s, rng)
    windows = _with_normal(windows, windows.shape, config.acc_noise_m_s2, config.gyr_noise_rad_s, rng)
    return windows.astype(np.float32, copy=False)


def rotate(windows: Samples, rotations: Floats) -> Samples:
    """Acceleration and rate of each window turned by its own matrix ``(n, 3, 3)``; gravity turns along."""
    across = rotations.transpose(0, 2, 1)
    turned: Samples = np.concatenate(
        [windows[:, :, ACC] @ across, windows[:, :, GYR] @ across], axis=2, dtype=np.float32
    )
    return turned


def stretch(wide: Samples, factors: Floats, *, window_samples: int, rate_hz: float, gravity: Gravity) -> Samples:
    """The middle of each window as if the same movement had taken ``factors`` ``(n,)`` times as long.

    The foot runs through the same angles and places. So rates are divided by the factor (their integral, the angle,
    stays), and the acceleration of the movement by its square (its double integral, the way, stays). Gravity does not
    depend on how fast one walks: its part, found by `gravity_part`, is left as it is, and a foot at rest goes on to
    feel 9.81 m/s². Where gravity has been removed there is no such part. Between samples by straight lines; a factor
    below 1 reads samples beside the window, and holds the outermost where there are none.
    """
    n, n_wide, _ = wide.shape
    moving = wide.astype(np.float64)
    still = gravity_part(moving, rate_hz) if gravity == "included" else np.zeros((n, n_wide, 3))
    middle = (n_wide - 1) / 2
    at = middle + (np.arange(window_samples) - (window_samples - 1) / 2) / factors[:, np.newaxis]
    at = np.clip(at, 0, n_wide - 1)
    before = np.minimum(at.astype(np.int64), n_wide - 2)
    share = (at - before)[:, :, np.newaxis]
    moving[:, :, ACC] -= still
    row = np.arange(n)[:, np.newaxis]

    def read(values: Floats) -> Floats:
        between: Floats = values[row, before] * (1 - share) + values[row, before + 1] * share
        return between

    windows = read(moving)
    windows[:, :, ACC] = windows[:, :, ACC] / factors[:, np.newaxis, np.newaxis] ** 2 + read(still)
    windows[:, :, GYR] /= factors[:, np.newaxis, np.newaxis]
    return windows.astype(np.float32)


def gravity_part(windows: Floats, rate_hz: float) -> Floats:
    """What gravity alone would let the accelerometer feel, ``(n, n_samples, 3)``.

    The rates give each sample's orientation relative to the first. Seen from there gravity is constant, while what the
    foot does beside it cancels over a window: its mean is the change of velocity through the window's length, under
    2 m/s² in walking. Thus the mean's direction, within some 10 degrees, and the known length.
    """
    # Columns: the axes of the first sample's frame as the sensor has them now.
    orientation = np.broadcast_to(np.eye(3), (len(windows), 3, 3))
    orientations = np.empty((len(windows), windows.shape[1], 3, 3))
    turns = _rotation_matrices(windows[:, :, GYR].reshape(-1, 3) / rate_hz).reshape(*windows.shape[:2], 3, 3)
    for step in range(windows.shape[1]):
        orientations[:, step] = orientation
        orientation = orientation @ turns[:, step]
    mean = np.einsum("ntij,ntj->ni", orientations, windows[:, :, ACC]) / windows.shape[1]
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    gravity = STANDARD_GRAVITY_M_S2 * mean / np.maximum(length, 1e-9)
    part: Floats = np.einsum("ntji,nj->nti", orientations, gravity)
    return part


def _random_rotations(n: int, deviation_rad: float, rng: np.random.Generator) -> Floats:
    axes = rng.standard_normal((n, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return _rotation_matrices(axes * (deviation_rad * rng.standard_normal((n, 1))))


def _rotation_matrices(vectors: Floats) -> Floats:
    """Rotation vectors ``(n, 3)`` in rad to matrices ``(n, 3, 3)``, by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angle, 1e-12)[:, np.newaxis]).T
    zero = np.zeros_like(angle)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    sine, cosine = np.sin(angle)[:, np.newaxis, np.newaxis], np.cos(angle)[:, np.newaxis, np.newaxis]
    matrices: Floats = np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return matrices


def _with_normal(
    windows: Samples, shape: tuple[int, ...], acc_m_s2: float, gyr_rad_s: float, rng: np.random.Generator
) -> Samples:
    if not (acc_m_s2 or gyr_rad_s):
        return windows
    deviation = np.repeat(np.array([acc_m_s2, gyr_rad_s], np.float32), 3)
    return windows + deviation * rng.standard_normal(shape, np.float32)
