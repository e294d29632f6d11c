"""The arithmetic behind the benchmark of a live run: nothing here is about speed."""

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edge.messages import Decision
from firmware_bridge.devices.v1 import DeviceV1
from firmware_bridge.peripheral import rehearse
from tests.benchmarks.live_latency import NotedFoot, cpu_s, sent_by_window, stages_of

HOP, WINDOW, RATE_HZ = 50, 200, 104.0


def test_processor_time_of_this_process_is_what_python_says() -> None:
    before_s = time.process_time()
    told_s = cpu_s(Path("/proc/self/stat").read_text(encoding="ascii"))
    assert before_s - 0.02 <= told_s <= time.process_time()  # user and system are cut to 10 ms each


def test_a_program_name_with_spaces_and_brackets_moves_no_field() -> None:
    rest = "S 1 " + "7 " * 9 + "250 100 " + "0 " * 30
    assert cpu_s(f"12 (a) b (c d) {rest}") == 350 / os.sysconf("SC_CLK_TCK")


def test_the_stages_add_up_to_the_total() -> None:
    decision = Decision(
        sensor="left",
        stretch=0,
        sample_start=0,
        sample_stop=WINDOW,
        window_start_s=0.0,
        window_stop_s=2.0,
        bridged_share=0.0,
        outlier_share=0.0,
        motion="walking",
        walking_share=1.0,
        flags=(),
        model="m",
        model_sha256="",
        variant="int8",
        trained_on="",
        probabilities={},
        label=None,
        class_index=-1,
        reason="too few windows",
        n_windows=1,
        n_refused=0,
        held_windows=0,
        held_s=0.0,
        latency_ms={"link": 9.0, "waiting": 1.0, "signal_path": 2.0, "inference": 30.0, "total": 33.5},
    )
    stages_ms = stages_of(decision)
    assert stages_ms["publishing"] == pytest.approx(0.5)
    assert sum(value for stage, value in stages_ms.items() if stage != "total") == pytest.approx(stages_ms["total"])


def test_each_window_is_laid_to_the_notification_that_completed_it() -> None:
    foot = NotedFoot("FE-left", seed=1)
    rehearse(DeviceV1().start(0), foot)
    for until_us in range(0, 5_000_000, 10_000):
        list(foot.notifications(until_us))
    sent_ns = sent_by_window(foot)
    n_samples = foot.n_to_account_for
    assert len(sent_ns) == (n_samples - WINDOW) // HOP + 1
    stops_s, times_ns = list(sent_ns), list(sent_ns.values())
    assert [b - a for a, b in pairwise(stops_s)] == pytest.approx([HOP / RATE_HZ] * (len(stops_s) - 1))
    assert times_ns == sorted(times_ns)
    places = [[at_ns for at_ns, _ in foot.sent].index(at_ns) for at_ns in times_ns]
    per_notification = n_samples / len(foot.sent)
    for number, place in enumerate(places):
        assert place == pytest.approx((WINDOW + number * HOP) / per_notification, abs=1.5)
