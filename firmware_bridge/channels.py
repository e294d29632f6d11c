"""The six channels, their order, units and frame: defined here and nowhere else.

Right-handed foot frame: x to the toe, y to the left, z up. Acceleration contains gravity (+9.81 m/s² on z at rest).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CHANNELS: Final = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
CHANNEL_UNITS: Final = ("m/s^2", "m/s^2", "m/s^2", "rad/s", "rad/s", "rad/s")
N_CHANNELS: Final = len(CHANNELS)
ACC: Final = slice(0, 3)
GYR: Final = slice(3, 6)
STANDARD_GRAVITY_M_S2: Final = 9.80665

Samples = NDArray[np.float32]
"""``(n_samples, 6)`` in the order and units above."""
