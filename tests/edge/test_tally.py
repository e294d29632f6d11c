"""What a live run says at its end: right or wrong where the truth is known, and why there was no class."""

import msgspec

from edge.bundle import load_bundle
from edge.config import VirtualConfig
from edge.messages import Decision, Health
from edge.paths import default_bundle_dir
from edge.tally import Tally
from tests.edge.test_messages import EXAMPLES

MANIFEST = load_bundle(default_bundle_dir()).manifest


def decision(stop_s: float, label: str | None, reason: str = "") -> Decision:
    example = next(message for message in EXAMPLES if isinstance(message, Decision))
    return msgspec.structs.replace(example, sensor="virtual", window_stop_s=stop_s, label=label, reason=reason)


def health(boot_id: str, n_told: int, n_received: int, **more: int) -> Health:
    """Of a publisher that told of so many windows and of 50 samples each."""
    example = next(message for message in EXAMPLES if isinstance(message, Health))
    told = {"n_windows": n_told, "n_decisions": n_told, "n_samples": 50 * n_told, "n_samples_received": n_received}
    return msgspec.structs.replace(example, sensor="virtual", boot_id=boot_id, **{**told, **more})


def killed(n_received: int, **more: int) -> list[str]:
    """What is said after inference was killed one window after its last health, with what the last one said."""
    tally = Tally.of_virtual(VirtualConfig())
    for boot_id, n_told in (("a", 2), ("b", 3)):
        for _ in range(3):
            tally.take(msgspec.structs.replace(decision(9.0, "robust"), boot_id=boot_id))
        told = more if boot_id == "b" else {"n_packets": 30, "n_restarts": 2}
        tally.take(health(boot_id, n_told, n_received, **{"n_packets": 40, **told}))
    return tally.summary(MANIFEST, took_s=60.0, n_restarts=1)


def test_after_inference_was_killed_each_line_counts_the_same_decisions_and_no_sample_is_neither_come_nor_lost() -> (
    None
):
    said = killed(320, n_restarts=1, n_restarts_before=1, n_lost_samples=4, n_gaps=1)
    assert said[1].endswith("over the time robust in 6 of 6")
    assert said[2] == "  6 windows, 6 decisions, 0 windows refused for gaps"
    assert said[3].startswith(
        "  40 packets, 320 samples, 4 lost in 1 gaps, all counted exactly (at least 0 bridged), "
    ), "the second publisher cannot know what the first one bridged"
    assert "0 records lost in the ring, 3 restarts," in said[3], "two of the sensor, and inference's own"


def test_a_count_that_nobody_has_in_full_is_said_to_be_a_least() -> None:
    assert killed(0)[3].startswith("  40 packets, at least 250 samples, 0 lost (0 bridged), ")
    both_died = killed(320, n_packets=3, n_lost_samples=4, n_gaps=1)[3]
    assert both_died.startswith(
        "  at least 33 packets, at least 640 samples, at least 4 lost in at least 1 gaps, "
        "and nobody knows whether in more (at least 0 bridged), "
    )


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
