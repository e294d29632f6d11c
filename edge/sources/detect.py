"""What a walking foot's samples tell of themselves: which columns are acceleration, units, stride time.

Arrays go in, findings come out, None where the samples do not settle it; the caller refuses then. No file is read
here. Facts used: a foot on the floor feels gravity and does not turn; a walking foot turns at 300 to 700 degrees a
second in swing, a slow one's at 100 or more; its motion repeats once a stride.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

REST_SHARE: Final = 0.1
"""The calmest tenth of a walk counts as rest: the foot is flat for 27 to 70 % of the stride (register)."""
REST_ROWS: Final = 13
"""Rows over which calm is measured: an eighth of a second at 104 Hz."""
_PEAK_ROWS: Final = 256
RATES_HZ: Final = (104.0, 128.0)
RATE_TOLERANCE: Final = 0.06
_MIN_COUNTED_STRIDES: Final = 5
_MAX_STRIDE_ERROR: Final = 0.04
_SAME_WALK: Final = 0.02


def rest_rows(values: NDArray[np.float64], share: float = REST_SHARE) -> NDArray[np.bool_]:
    """The calmest ``share`` of the rows of ``(n, 6)`` values in any units, as flags of shape ``(n,)``."""
    n_rows = len(values)
    if n_rows < 2 * REST_ROWS:
        return np.ones(n_rows, dtype=np.bool_)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    change = moving_mean(scaled**2) - moving_mean(scaled) ** 2
    # The noisier of the two sensors decides: a foot can turn without pushing, and be pushed without turning.
    unrest = np.maximum(change[:, :3].sum(axis=1), change[:, 3:].sum(axis=1))
    rest: NDArray[np.bool_] = unrest <= np.quantile(unrest, share)
    return rest


def moving_mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of ``(n, k)`` values over `REST_ROWS` rows about each row, of the same shape."""
    half = REST_ROWS // 2
    padded = np.concatenate([np.repeat(x[:1], half + 1, axis=0), x, np.repeat(x[-1:], half, axis=0)])
    total = np.cumsum(padded, axis=0)
    mean: NDArray[np.float64] = (total[REST_ROWS:] - total[:-REST_ROWS]) / REST_ROWS
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
    push_offs = highest_apart(tops, turning[tops], int(shortest))
    strides = np.diff(push_offs)
    strides = strides[(strides > shortest) & (strides < longest)]
    if len(strides) < _MIN_COUNTED_STRIDES:
        return None
    error = 1.25 * strides.std() / strides.mean() / np.sqrt(len(strides))
    return float(np.median(strides)) if error <= _MAX_STRIDE_ERROR else None


def highest_apart(places: NDArray[np.int64], heights: NDArray[np.float64], distance: int) -> NDArray[np.int64]:
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
