"""What the inference process costs beside `import tensorflow`: peak memory and time to start, in alternating rounds.

The first is a whole process that loads the shipped bundle, opens its socket and classifies ten windows; the second only
imports TensorFlow. Where TensorFlow is not installed there is nothing to compare with, and it says so.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time

from tests.edge.cli.run import free_endpoint

ROUNDS = 3
EDGE = """
import numpy as np
import edge.infer
from edge.config import ModelConfig
from edge.bus import Publisher
from edge.opening import open_model
publisher = Publisher({endpoint!r})
bundle, classifier = open_model(ModelConfig())
for _ in range(10):
    classifier.predict(np.zeros((bundle.manifest.wavelet.n_coefficients, 6), np.float32))
"""


def measure(code: str) -> tuple[float, float]:
    """Seconds and MiB of a process that runs ``code``."""
    begin_s = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"the measured process ended with status {status}")
    return time.perf_counter() - begin_s, usage.ru_maxrss / 1024


def main() -> None:
    """Print the ratios."""
    if importlib.util.find_spec("tensorflow") is None:
        print("footprint: TensorFlow is not installed, nothing to compare with")
        return
    edge_code = EDGE.format(endpoint=free_endpoint())
    pairs = [(measure(edge_code), measure("import tensorflow")) for _ in range(ROUNDS)]
    memory = statistics.median(tf[1] / edge[1] for edge, tf in pairs)
    start = statistics.median(tf[0] / edge[0] for edge, tf in pairs)
    edge_mib = statistics.median(edge[1] for edge, _ in pairs)
    print(
        f"footprint: `import tensorflow` takes {memory:.1f} × the memory and {start:.1f} × the time of the whole "
        f"inference process with ten windows classified ({edge_mib:.0f} MiB at its peak)"
    )


if __name__ == "__main__":
    main()
