"""All benchmarks, one after the other: ``make bench``. Ratios of one run; absolute times differ."""

import sys

from tests.benchmarks import footprint, replay, ring

is_met = replay.main()
ring.main()
footprint.main()
sys.exit(not is_met)
