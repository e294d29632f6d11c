"""How much of the time goes to anything but inference: `replay --speed max` beside bare ``invoke()`` calls.

Both run the same variant on the same runtime in alternating rounds of one process; the ratio is of classified windows a
second, so what the screen costs, and the windows that it refuses, count against the replay.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

from edge.bus import Publisher
from edge.config import ModelConfig, ScreenConfig
from edge.messages import Message, Prediction
from edge.opening import open_model
from edge.replay import replay
from edge.sources.recording import Recording
from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.walker import walk
from tests.edge.cli.run import free_endpoint

ROUNDS, WALK_S, RATE_HZ = 5, 60.0, 104.0
BAR = 0.85


def main() -> bool:
    """Print one line a variant; whether the shipped default meets the bar."""
    is_met = True
    samples = walk(read_walker(walker_path("robust")), duration_s=WALK_S, rate_hz=RATE_HZ, seed=1)
    time_ns = np.rint(np.arange(len(samples)) * 1e9 / RATE_HZ).astype(np.int64)
    recording = Recording(Path("virtual"), RATE_HZ, time_ns, samples, "included")
    publisher = Publisher(free_endpoint())
    n_classified = 0

    def sink(message: Message) -> None:
        nonlocal n_classified
        n_classified += isinstance(message, Prediction)
        publisher.send(message)

    for variant in ("int8", "dynamic"):
        bundle, classifier = open_model(ModelConfig(variant=variant))
        ratios, times_real = [], []
        for _ in range(ROUNDS):
            n_classified = 0
            result = replay(
                recording,
                bundle,
                classifier,
                sensor="virtual",
                speed=None,
                screen=ScreenConfig().spec("included"),
                sink=sink,
                wait=publisher.serve,
            )
            begin_s = time.perf_counter()
            for _ in range(n_classified):
                classifier.invoke()
            bare_s = time.perf_counter() - begin_s
            ratios.append(bare_s / result.took_s)
            times_real.append(result.signal_s / result.took_s)
        ratio = statistics.median(ratios)
        is_default = variant == bundle.manifest.default_variant
        bar = f"; bar {BAR}: {'met' if ratio >= BAR else 'MISSED'}" if is_default else ""
        print(
            f"replay, {variant} on {classifier.runtime_name}: {ratio:.2f} of the rate of bare invoke() "
            f"({min(ratios):.2f} to {max(ratios):.2f}{bar}), "
            f"{statistics.median(times_real):.0f} × real time"
        )
        is_met = is_met and (not is_default or ratio >= BAR)
    publisher.close()
    return is_met


if __name__ == "__main__":
    sys.exit(not main())
