"""Counts of a run whose processes began anew are those of all their lives, none twice."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.bundle import Bundle
from edge.config import ModelConfig
from edge.infer import Inference
from edge.messages import Decision, EarlierCounts, Health, Message
from edge.model import Classifier
from edge.opening import open_model
from edge.records import LinkState, LinkStatus, Record
from edge.totals import HealthTotals
from firmware_bridge.events import Block, Gap, Restart
from tests.edge.recording.made import settings
from tests.edge.test_messages import EXAMPLES

BOOT_ID = 7


@pytest.fixture(scope="module")
def model() -> tuple[Bundle, Classifier]:
    return open_model(ModelConfig(variant="dynamic"))  # the quicker one


class Run:
    """Both processes on one ring, killed and started anew in any order; every second some packets and a gap."""

    def __init__(self, model: tuple[Bundle, Classifier]) -> None:
        self.n_packets = self.n_lost = self.n_gaps = self.n_reconnects = 0
        self.n_restarts = self._n_died = -2  # the first start of either process is none
        self._model = model
        self._records: list[Record] = []
        self._totals = HealthTotals()
        self._inference: Inference | None = None
        self._n_publishers = 0
        self.ingestion_begins()
        self.inference_begins()

    @property
    def counts(self) -> tuple[int, ...]:
        """What ingestion truly counted, over all its lives, and how often anything began anew."""
        return (*self._link, 4 * self.n_packets, self.n_restarts)

    @property
    def _link(self) -> tuple[int, ...]:
        return self.n_packets, self.n_lost, self.n_gaps, self.n_reconnects

    @property
    def told(self) -> tuple[int, ...]:
        """What the healths come to."""
        total = self._totals.health
        assert total is not None
        link = total.n_packets, total.n_lost_samples, total.n_gaps, total.n_reconnects
        return (*link, total.n_samples, total.n_restarts)

    def ingestion_begins(self) -> None:
        self._n_died += 1
        self._began_with = self._link
        self._status()
        self.sensor_boots()

    def sensor_boots(self) -> None:
        """Each ingestion says so too, when it hears of its sensor first."""
        self.n_restarts += 1
        self._records.append(Record(0, Restart(BOOT_ID, 0)))

    def inference_begins(self) -> None:
        self._n_died += 1
        self.n_restarts += 1
        self._n_publishers += 1
        publisher = str(self._n_publishers)

        def sink(message: Message) -> None:
            if isinstance(message, Health):
                self._totals.take(msgspec.structs.replace(message, boot_id=publisher))

        is_first = self._n_publishers == 1
        given = msgspec.structs.replace(settings(Path(), "left"), n_restarts=self._n_died)
        self._inference = Inference(given, "left", *self._model, sink, is_first_life=is_first)
        self._read()

    def inference_dies(self) -> None:
        self._inference = None

    def second(self, n_packets: int = 6) -> None:
        """Told with a status, and by inference with a health."""
        self.packets(n_packets)
        self.n_lost += 3
        self.n_gaps += 1
        self.n_reconnects += n_packets % 2
        self._records.append(Record(0, Gap(4 * self.n_packets, 3, 0)))
        self._status()

    def packets(self, n: int) -> None:
        """Without a status: ingestion may die before the next one."""
        for _ in range(n):
            time_ns = (np.arange(4 * self.n_packets, 4 * self.n_packets + 4) + 1) * round(1e9 / 104)
            samples, saturated = np.zeros((4, 6), np.float32), np.zeros(4, bool)
            block = Block(4 * self.n_packets, time_ns, samples, saturated, received_ns=self.n_packets)
            self._records.append(Record(0, block, host_time_ns=0))
            self.n_packets += 1

    def _status(self) -> None:
        packets, lost, gaps, reconnects = (now - then for now, then in zip(self._link, self._began_with, strict=True))
        status = LinkStatus(
            LinkState.STREAMING,
            "left",
            104.0,
            packets,
            0,
            0,
            4 * packets,
            lost,
            reconnects,
            0,
            gaps=gaps,
            boot_id=BOOT_ID,
        )
        self._records.append(Record(0, status))
        self._read()

    def _read(self) -> None:
        if self._inference is not None:
            while self._records:
                self._inference.take(self._records.pop(0))
            self._inference.publish_health(0)


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


def test_what_a_killed_inference_saw_end_counts_once_and_the_ingestion_that_ran_on_too() -> None:
    """Packets: 239 of the first ingestion, 564 of the second when inference died, 1685 of it at the end."""
    first = EarlierCounts(n_packets=239, n_lost_samples=24, n_gaps=6)
    total = total_of(
        health(boot_id="a", n_packets=239, n_lost_samples=24, n_gaps=6),
        health(boot_id="a", n_packets=239 + 564, n_lost_samples=24 + 44, n_gaps=6 + 11, earlier=first),
        health(boot_id="b", n_packets=615, n_lost_samples=48, n_gaps=12),
        health(boot_id="b", n_packets=1685, n_lost_samples=124, n_gaps=31),
    )
    assert (total.n_packets, total.n_lost_samples, total.n_gaps) == (1924, 148, 37)
    assert total.earlier == first


def test_a_killed_inference_is_one_restart_more_and_the_sensor_s_reboots_before_it_stay() -> None:
    """The second publisher begins with the supervisor's count of dead processes, and knows of no reboot before it."""
    a = health(boot_id="a", n_restarts=2, n_restarts_before=0)
    assert total_of(a, health(boot_id="b", n_restarts=1, n_restarts_before=1)).n_restarts == 3
    assert total_of(a, health(boot_id="b", n_restarts=2, n_restarts_before=1)).n_restarts == 4
    both_died = health(boot_id="b", n_restarts=3, n_restarts_before=2)
    assert total_of(a, both_died).n_restarts == 4, "ingestion's death stands in the ring, where it is counted"


def test_in_an_old_recording_a_publisher_s_first_message_says_what_was_before_it() -> None:
    a, b = health(boot_id="a", n_restarts=2), health(boot_id="b", n_restarts=1)
    assert total_of(a, b, msgspec.structs.replace(b, n_restarts=2)).n_restarts == 4


def test_records_that_a_killed_inference_could_not_use_stay_lost() -> None:
    total = total_of(
        health(boot_id="a", ring_lost=5 + 2, n_forgotten=2),
        health(boot_id="b", ring_lost=6, n_forgotten=0),
    )
    assert total.ring_lost == 6 + 2


def test_what_was_published_after_the_last_health_of_a_killed_inference_counts_and_what_was_missed_too() -> None:
    totals = HealthTotals()
    decided = next(message for message in EXAMPLES if isinstance(message, Decision))
    for boot_id, n_told, reasons in (("a", 2, ("", "", "standing", "gaps")), ("b", 9, ("",))):
        for reason in reasons:
            totals.take_decision(msgspec.structs.replace(decided, boot_id=boot_id, reason=reason))
        totals.take(health(boot_id=boot_id, n_windows=n_told, n_windows_refused=0, n_decisions=n_told))
    total = totals.health
    assert total is not None
    assert (total.n_windows, total.n_windows_refused, total.n_decisions) == (3 + 9, 1, 4 + 9)


def test_of_samples_ingestion_knows_what_a_killed_inference_did_not_tell() -> None:
    total = total_of(
        health(boot_id="a", n_samples=100, n_samples_received=100),
        health(boot_id="b", n_samples=300, n_samples_received=552),
    )
    assert total.n_samples == 552


def test_a_count_that_nobody_knows_in_full_is_a_least() -> None:
    def least_of(*told: Health) -> frozenset[str]:
        totals = HealthTotals()
        for one in told:
            totals.take(one)
        return totals.at_least

    old = [health(boot_id=boot_id, n_samples=75, n_packets=9, n_lost_samples=1) for boot_id in "ab"]
    new = [msgspec.structs.replace(one, n_samples_received=150) for one in old]
    assert least_of() == least_of(old[0]) == least_of(*new[:1]) == frozenset()
    assert {"n_samples", "n_windows", "n_bridged_samples"} <= least_of(*old)
    assert {"n_windows", "n_bridged_samples"} <= least_of(*new)
    assert not {"n_samples", "n_packets", "n_lost_samples"} & least_of(*new)
    assert "n_bridged_samples" not in least_of(*(msgspec.structs.replace(one, n_lost_samples=0) for one in new))
    both_died = msgspec.structs.replace(new[1], n_packets=3)
    assert {"n_samples", "n_packets", "n_lost_samples"} <= least_of(new[0], both_died)


def ingestion_restarts(run: Run) -> None:
    run.ingestion_begins()


def inference_restarts(run: Run) -> None:
    run.inference_dies()
    run.packets(2)
    run.inference_begins()


def both_restart(run: Run) -> None:
    run.inference_dies()
    run.ingestion_begins()
    run.inference_begins()


def ingestion_dies_while_inference_is_dead(run: Run) -> None:
    run.inference_dies()
    run.second()
    run.packets(3)
    run.ingestion_begins()
    run.second(1)
    run.inference_begins()


def ingestion_dies_within_a_second_of_inference(run: Run) -> None:
    run.inference_dies()
    run.packets(3)
    run.ingestion_begins()
    run.inference_begins()


def sensor_boots_while_inference_is_dead(run: Run) -> None:
    run.inference_dies()
    run.sensor_boots()
    run.inference_begins()
    run.sensor_boots()


def ingestion_dies_between_two_statuses(run: Run) -> None:
    run.packets(3)
    run.ingestion_begins()


DEATHS = (
    ingestion_restarts,
    inference_restarts,
    both_restart,
    ingestion_dies_while_inference_is_dead,
    ingestion_dies_within_a_second_of_inference,
    ingestion_dies_between_two_statuses,
    sensor_boots_while_inference_is_dead,
)


@pytest.mark.parametrize(("n_deaths", "every"), [(1, 1), (2, 1), (3, 5)])
def test_whoever_dies_and_in_whatever_order_the_sums_are_what_ingestion_counted(
    model: tuple[Bundle, Classifier], n_deaths: int, every: int
) -> None:
    for deaths in itertools.islice(itertools.product(DEATHS, repeat=n_deaths), 0, None, every):
        run = Run(model)
        for n_packets, death in zip((7, 10, 3), deaths, strict=False):
            run.second(n_packets)
            run.second()
            death(run)
        run.second(2)
        assert run.told == run.counts, [death.__name__ for death in deaths]


def test_an_ingestion_that_got_nothing_counts_for_its_reconnects(model: tuple[Bundle, Classifier]) -> None:
    run = Run(model)
    run.n_reconnects += 3
    run.second(0)
    run.ingestion_begins()
    run.second()
    assert run.told == run.counts
