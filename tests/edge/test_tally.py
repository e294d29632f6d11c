"""What a live run says at its end: right or wrong where the truth is known, and why there was no class."""

import msgspec

from edge.bundle import load_bundle
from edge.config import VirtualConfig
from edge.messages import Decision
from edge.paths import default_bundle_dir
from edge.tally import Tally
from tests.edge.test_messages import EXAMPLES

MANIFEST = load_bundle(default_bundle_dir()).manifest


def decision(stop_s: float, label: str | None, reason: str = "") -> Decision:
    example = next(message for message in EXAMPLES if isinstance(message, Decision))
    return msgspec.structs.replace(example, sensor="virtual", window_stop_s=stop_s, label=label, reason=reason)


def test_each_walker_s_decisions_are_counted_by_class_and_by_reason_and_judged_by_the_last() -> None:
    tally = Tally.of_virtual(VirtualConfig(walker="robust", then="frail", then_after_s=30.0))
    for stop_s, label, reason in (
        (3.0, None, "standing"),
        (8.0, None, "mounting unknown"),
        (9.0, None, "mounting unknown"),
        (20.0, "robust", ""),
        (29.0, "robust", ""),
        (31.0, "robust", ""),
        (59.0, None, "low confidence"),
    ):
        tally.take(decision(stop_s, label, reason))
    said = tally.summary(MANIFEST, took_s=60.0, n_restarts=0)
    assert said[1] == (
        "  walker robust: decision at the end robust: right; over the time robust in 2 of 5, "
        "none in 3 of 5 (mounting unknown 2, standing 1)"
    )
    (frail,) = [line for line in said if line.startswith("  walker frail")]
    assert frail == (
        "  walker frail: decision at the end none (low confidence); over the time robust in 1 of 2, "
        "none in 1 of 2 (low confidence 1)"
    )
    assert said[-1] == "  Research use only. No medical device: not for diagnosis."
