"""All benchmarks, one after the other: ``make bench``. Ratios of one run; absolute times differ."""

import subprocess
import sys

from tests.benchmarks import footprint, live_latency, replay, ring, screen_cost

is_met = replay.main()
is_met = screen_cost.main() and is_met
ring.main()
footprint.main()
live_latency.main()
# In a process of its own: TensorFlow, and the runtime that `replay` has loaded here, can't share one.
trained = subprocess.run([sys.executable, "-m", "tests.benchmarks.input_pipeline"], check=False)
sys.exit(not is_met or trained.returncode != 0)
