"""What a walking foot's samples tell of themselves: which columns are acceleration, units, stride time, gyro scale.

Arrays go in, findings come out, None where the samples do not settle it; the caller refuses then. No file is read
here. Facts used: a foot on the floor feels gravity and does not turn; a walking foot turns at 300 to 700 degrees a
second in swing, a slow one's at 100 or more; its motion repeats once a stride, and its speed is zero at each stance.
"""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

REST_SHARE: Final = 0.1
"""The calmest tenth of a walk counts as rest: the foot is flat for 27 to 70 % of the stride (register)."""
_STANCE_SHARE: Final = 0.2
_REST_ROWS: Final = 13
"""Rows over which calm is measured: an eighth of a second at 104 Hz."""
_PEAK_ROWS: Final = 256
RATES_HZ: Final = (104.0, 128.0)
RATE_TOLERANCE: Final = 0.06
_MIN_COUNTED_STRIDES: Final = 5
_MAX_STRIDE_ERROR: Final = 0.04
_MIN_STRIDES: Final = 12
_SCALE_AGREEMENT: Final = 0.05
_SAME_WALK: Final = 0.02


def rest_rows(values: NDArray[np.float64], share: float = REST_SHARE) -> NDArray[np.bool_]:
    """The calmest ``share`` of the rows of ``(n, 6)`` values in any units, as flags of shape ``(n,)``."""
    n_rows = len(values)
    if n_rows < 2 * _REST_ROWS:
        return np.ones(n_rows, dtype=np.bool_)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    change = _moving_mean(scaled**2) - _moving_mean(scaled) ** 2
    # The noisier of the two sensors decides: a foot can turn without pushing, and be pushed without turning.
    unrest = np.maximum(change[:, :3].sum(axis=1), change[:, 3:].sum(axis=1))
    rest: NDArray[np.bool_] = unrest <= np.quantile(unrest, share)
    return rest


def _moving_mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    half = _REST_ROWS // 2
    padded = np.concatenate([np.repeat(x[:1], half + 1, axis=0), x, np.repeat(x[-1:], half, axis=0)])
    total = np.cumsum(padded, axis=0)
    mean: NDArray[np.float64] = (total[_REST_ROWS:] - total[:-_REST_ROWS]) / _REST_ROWS
    return mean


def acc_comes_first(values: NDArray[np.float64], rest: NDArray[np.bool_]) -> bool | None:
    """Whether columns 0-2 feel gravity at rest and 3-5 nothing; False: the other way round; None: not clear."""
    shares = []
    for block in (values[:, :3], values[:, 3:]):
        norms = np.linalg.norm(block, axis=1)
        top = float(np.percentile(norms, 99))
        shares.append(float(np.median(norms[rest])) / top if top > 0 else 0.0)
    first, second = shares
    if first > 3 * second:
        return True
    return False if second > 3 * first else None


def acc_at_rest(values: NDArray[np.float64], rest: NDArray[np.bool_]) -> float:
    """Median of |acc| over the rows at rest, in the file's units."""
    return float(np.median(np.linalg.norm(values[rest, :3], axis=1)))


def acc_unit(at_rest: float) -> str | None:
    """The unit in which gravity has this size."""
    if 8.0 < at_rest < 12.0:
        return "m/s^2"
    return "g" if 0.8 < at_rest < 1.2 else None


def gyr_peak(values: NDArray[np.float64], rest: NDArray[np.bool_]) -> float:
    """How fast the foot turns in a usual swing, in the file's units: upper quartile of the peaks, one in 256 rows."""
    turning = np.linalg.norm(values[:, 3:] - np.median(values[rest, 3:], axis=0), axis=1)
    starts = range(0, max(len(turning) - _PEAK_ROWS // 2, 1), _PEAK_ROWS)
    return float(np.percentile([turning[i : i + _PEAK_ROWS].max() for i in starts], 75))


def gyr_unit(peak: float) -> str | None:
    """The unit in which a walking foot peaks at this rate."""
    if 60.0 < peak < 1500.0:
        return "deg/s"
    return "rad/s" if 1.0 < peak < 25.0 else None


def samples_per_stride(values: NDArray[np.float64], expected_s: float) -> float | None:
    """The number of samples from one push-off to the next: median over the recording, for any rate near `RATES_HZ`.

    ``expected_s`` is the stride time, which tells a stride from two; None where there are fewer than 5 strides or they
    vary so much that the median is uncertain by more than 4 % (one standard error).
    """
    gyr = values[:, 3:] - np.median(values[:, 3:], axis=0)
    _, vectors = np.linalg.eigh(gyr.T @ gyr)
    turning = gyr @ vectors[:, -1]
    # Push-off and landing turn the foot one way, sharply; swing turns it back, for longer: the sharp side is up.
    turning = turning if (turning**3).mean() >= 0 else -turning
    shortest, longest = 0.7 * RATES_HZ[0] * expected_s, 1.45 * RATES_HZ[-1] * expected_s
    smooth = np.hanning(int(0.06 * shortest) + 4)
    turning = np.convolve(turning, smooth / smooth.sum(), mode="same")
    tops = np.flatnonzero((turning[1:-1] >= turning[:-2]) & (turning[1:-1] > turning[2:])) + 1
    if not len(tops):
        return None
    tops = tops[turning[tops] > 0.4 * np.percentile(turning[tops], 97)]
    # The landing follows the push-off by 0.4 strides, and is weaker: too near to count.
    push_offs = _highest_apart(tops, turning[tops], int(shortest))
    strides = np.diff(push_offs)
    strides = strides[(strides > shortest) & (strides < longest)]
    if len(strides) < _MIN_COUNTED_STRIDES:
        return None
    error = 1.25 * strides.std() / strides.mean() / np.sqrt(len(strides))
    return float(np.median(strides)) if error <= _MAX_STRIDE_ERROR else None


def _highest_apart(places: NDArray[np.int64], heights: NDArray[np.float64], distance: int) -> NDArray[np.int64]:
    """The places that have no higher one within ``distance``, from the highest down."""
    open_places = np.ones(len(places), dtype=np.bool_)
    kept: list[int] = []
    for k in np.argsort(-heights, kind="stable"):
        if open_places[k]:
            kept.append(int(places[k]))
            first, end = np.searchsorted(places, [places[k] - distance, places[k] + distance + 1])
            open_places[first:end] = False
    return np.sort(np.array(kept, dtype=np.int64))


def nearest_rate(estimate_hz: float) -> float | None:
    """The rate of a GSTRIDE device within 6 % of an estimate."""
    near = min(RATES_HZ, key=lambda rate_hz: abs(rate_hz - estimate_hz))
    return near if abs(near / estimate_hz - 1) <= RATE_TOLERANCE else None


def scale_like(gyr: NDArray[np.float64], known_rad_s: NDArray[np.float64]) -> float | None:
    """What one count is worth in rad/s, by a calibrated recording ``(n, 3)`` of the same walk.

    None where the two differ in length by more than 2 %, or their quantiles in ratio by more than 2 %.
    """
    if abs(len(gyr) / len(known_rad_s) - 1) > _SAME_WALK:
        return None
    levels = (75, 90, 95, 99)
    counts, known = (
        np.percentile(np.linalg.norm(x - np.median(x, axis=0), axis=1), levels) for x in (gyr, known_rad_s)
    )
    if not np.all(counts > 0):
        return None
    ratios = known / counts
    return float(ratios.mean()) if np.ptp(ratios) <= _SAME_WALK * ratios.mean() else None


def gyr_scale(
    acc_m_s2: NDArray[np.float64], gyr: NDArray[np.float64], rest: NDArray[np.bool_], rate_hz: float
) -> float | None:
    """What one count of the gyro is worth in rad/s, from zero velocity at both ends of a stride.

    Only with the right scale does acceleration, turned by the integrated rate, bring the foot back to rest. The even
    and the odd strides must agree within 5 %, else None.
    """
    # Standing takes up much of the calmest tenth; a fifth reaches the stance of every stride.
    centres = _rest_centres(rest_rows(np.concatenate([acc_m_s2, gyr], axis=1), _STANCE_SHARE))
    gyr = gyr - np.median(gyr[rest], axis=0)
    peak = float(np.percentile(np.linalg.norm(gyr, axis=1), 98))
    if peak <= 0:
        return None
    scales = np.geomspace(1.0, 16.0, 57) / peak
    pairs = [(i, j) for i, j in pairwise(centres) if 0.6 < (j - i) / rate_hz < 3.0]
    if len(pairs) < _MIN_STRIDES:
        return None
    chosen = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, 60).astype(int))]
    speeds = np.array([_speed_left(acc_m_s2[i : j + 1], gyr[i : j + 1], scales, rate_hz) for i, j in chosen])
    even, odd, both = (_lowest(scales, np.median(part, axis=0)) for part in (speeds[::2], speeds[1::2], speeds))
    if even is None or odd is None or both is None or abs(even - odd) > _SCALE_AGREEMENT * both:
        return None
    return both


def _rest_centres(rest: NDArray[np.bool_]) -> list[int]:
    edges = np.diff(np.concatenate([[0], rest.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [int(a + b) // 2 for a, b in zip(starts, ends, strict=True)]


def _speed_left(
    acc: NDArray[np.float64], gyr: NDArray[np.float64], scales: NDArray[np.float64], rate_hz: float
) -> NDArray[np.float64]:
    """Speed in m/s that is left at the end of one stride, shape ``(n_scales,)``."""
    up = acc[:3].mean(axis=0)
    orientation = np.tile(np.eye(3), (len(scales), 1, 1))
    velocity = np.zeros((len(scales), 3))
    for a, w in zip(acc, gyr, strict=True):
        velocity += (orientation @ a - up) / rate_hz
        angle = np.linalg.norm(w)
        if angle > 0:
            x, y, z = w / angle
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            turn = (angle * scales / rate_hz)[:, None, None]
            orientation = orientation @ (np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * (cross @ cross))
    return np.asarray(np.linalg.norm(velocity, axis=1))


def _lowest(scales: NDArray[np.float64], speed: NDArray[np.float64]) -> float | None:
    """The scale of the lowest speed between the grid's points, None where it lies at an end of the grid."""
    k = int(np.argmin(speed))
    if k in {0, len(scales) - 1}:
        return None
    left, low, right = speed[k - 1 : k + 2]
    bend = left - 2 * low + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(scales[k] * (scales[1] / scales[0]) ** shift)
