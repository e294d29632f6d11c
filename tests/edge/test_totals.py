"""Counts of a run whose processes began anew are those of all their lives, none twice."""

from typing import Any

import msgspec

from edge.messages import Health
from edge.totals import HealthTotals
from tests.edge.test_messages import EXAMPLES


def health(**fields: Any) -> Health:
    example = next(message for message in EXAMPLES if isinstance(message, Health))
    return msgspec.structs.replace(example, **fields)


def total_of(*told: Health) -> Health:
    totals = HealthTotals()
    for one in told:
        totals.take(one)
    assert totals.health is not None
    return totals.health


def test_nothing_told_has_no_total() -> None:
    assert HealthTotals().health is None


def test_the_last_message_of_a_life_counts_and_those_before_it_do_not() -> None:
    total = total_of(health(boot_id="a", n_samples=10, n_packets=5), health(boot_id="a", n_samples=30, n_packets=9))
    assert (total.n_samples, total.n_packets) == (30, 9)


def test_a_killed_inference_adds_its_own_counts_and_none_of_the_link() -> None:
    total = total_of(
        health(boot_id="a", n_samples=100, n_windows=4, n_windows_refused=1, n_packets=25, n_lost_samples=3),
        health(boot_id="b", n_samples=0, n_windows=0, n_windows_refused=0, n_packets=25, n_lost_samples=3),
        health(boot_id="b", n_samples=40, n_windows=2, n_windows_refused=2, n_packets=40, n_lost_samples=5),
    )
    assert (total.n_samples, total.n_windows, total.n_windows_refused) == (140, 6, 3)
    assert (total.n_packets, total.n_lost_samples, total.boot_id) == (40, 5, "b")


def test_where_both_processes_were_killed_the_counts_of_the_link_add_up_too() -> None:
    total = total_of(
        health(boot_id="a", n_packets=25, n_gaps=2),
        health(boot_id="b", n_packets=7, n_gaps=1),
        health(boot_id="c", n_packets=3, n_gaps=0),
    )
    assert (total.n_packets, total.n_gaps) == (35, 3)
