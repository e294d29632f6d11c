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
    windows = raw
    if config.mirror:
        is_mirrored = rng.random(n) < config.mirror
        windows = np.where(is_mirrored[:, np.newaxis, np.newaxis], windows * MIRROR, windows)
    if config.time_stretch:
        drawn = np.clip(rng.standard_normal(n), -MOST_DEVIATIONS, MOST_DEVIATIONS)
        factors = np.exp(config.time_stretch * drawn)
        windows = stretch(windows, factors, window_samples=window_samples, rate_hz=rate_hz, gravity=gravity)
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
    moved = wide.astype(np.float64)
    slower = factors[:, np.newaxis, np.newaxis]
    still = gravity_part(moved, rate_hz) if gravity == "included" else 0.0
    moved[:, :, ACC] = still + (moved[:, :, ACC] - still) / slower**2
    moved[:, :, GYR] /= slower
    at = (n_wide - 1) / 2 + (np.arange(window_samples) - (window_samples - 1) / 2) / factors[:, np.newaxis]
    at = np.clip(at, 0, n_wide - 1)
    before = np.minimum(at.astype(np.int64), n_wide - 2)
    share = (at - before)[:, :, np.newaxis]
    row = np.arange(n)[:, np.newaxis]
    between = moved[row, before] * (1 - share) + moved[row, before + 1] * share
    windows: Samples = between.astype(np.float32)
    return windows


def gravity_part(windows: Floats, rate_hz: float) -> Floats:
    """What gravity alone would let the accelerometer feel, ``(n, n_samples, 3)``.

    The rates give each sample's orientation relative to the first. Seen from there gravity is constant, while what the
    foot does beside it cancels over a window: its mean is the change of velocity through the window's length, under
    2 m/s² in walking. Thus the mean's direction, within some 10 degrees, and the known length.
    """
    # Windows last: numpy then works through long rows, which is several times faster than products of small matrices.
    acc, rate = (np.ascontiguousarray(windows[:, :, part].transpose(1, 2, 0)) for part in (ACC, GYR))
    n_samples, _, n = acc.shape
    turns = _matrices(*(rate / rate_hz).transpose(1, 0, 2))
    # Of the sensor's axes now, column by column, seen from those at the first sample.
    orientations = np.empty((n_samples, 3, 3, n))
    orientations[0] = np.eye(3)[:, :, np.newaxis]
    for step in range(1, n_samples):
        before = orientations[step - 1][:, :, np.newaxis]
        np.sum(before * turns[:, :, step - 1], axis=1, out=orientations[step])
    mean = (orientations * acc[:, np.newaxis]).sum(axis=2).mean(axis=0)
    gravity = STANDARD_GRAVITY_M_S2 * mean / np.maximum(np.linalg.norm(mean, axis=0), 1e-9)
    part: Floats = (orientations * gravity[:, np.newaxis]).sum(axis=1).transpose(2, 0, 1)
    return part


def _random_rotations(n: int, deviation_rad: float, rng: np.random.Generator) -> Floats:
    axes = rng.standard_normal((3, n))
    axes /= np.linalg.norm(axes, axis=0)
    return _matrices(*(axes * (deviation_rad * rng.standard_normal(n)))).transpose(2, 0, 1)


def _matrices(x: Floats, y: Floats, z: Floats) -> Floats:
    """Rotation vectors in rad, by component, to matrices ``(3, 3, ...)``, by Rodrigues' formula."""
    angle = np.sqrt(x * x + y * y + z * z)
    x, y, z = (component / np.maximum(angle, 1e-12) for component in (x, y, z))
    sine, cosine = np.sin(angle), np.cos(angle)
    xy, xz, yz = ((1 - cosine) * product for product in (x * y, x * z, y * z))
    xx, yy, zz = (cosine + (1 - cosine) * component * component for component in (x, y, z))
    x, y, z = (sine * component for component in (x, y, z))
    return np.array([[xx, xy - z, xz + y], [xy + z, yy, yz - x], [xz - y, yz + x, zz]])


def _with_normal(
    windows: Samples, shape: tuple[int, ...], acc_m_s2: float, gyr_rad_s: float, rng: np.random.Generator
) -> Samples:
    if not (acc_m_s2 or gyr_rad_s):
        return windows
    deviation = np.repeat(np.array([acc_m_s2, gyr_rad_s], np.float32), 3)
    return windows + deviation * rng.standard_normal(shape, np.float32)
