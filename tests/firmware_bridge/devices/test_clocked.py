"""Numbers from a clock: exact over losses, outages and wraps, and no stamp is believed that nothing supports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.clocked import CLOCK_SLACK_NS, LATE_NS, ClockedCounter, Placed
from firmware_bridge.events import CorruptPacket, DuplicatePacket, Gap, Restart

WRAP_NS = 1000 << 32
PERIOD_NS = 10_000_000
RATE_HZ = 100.0
S = 1_000_000_000


def placed(answer: Placed | CorruptPacket | DuplicatePacket) -> Placed:
    assert isinstance(answer, Placed), answer
    return answer


def running(n_packets: int = 3, wrap_ns: int | None = None) -> ClockedCounter:
    """A counter after packets of one sample at 10, 20, 30 … ms, which arrive at once."""
    counter = ClockedCounter(RATE_HZ, wrap_ns)
    for n in range(1, n_packets + 1):
        placed(counter.place(1, n * PERIOD_NS, n * PERIOD_NS))
    return counter


@settings(max_examples=60)
@given(
    rate_error=st.floats(-0.03, 0.03),
    first_stamp_ns=st.integers(0, WRAP_NS - S),
    packets=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 80_000_000)), min_size=1, max_size=40),
    outages_s=st.lists(st.integers(1, 4 * 3600), max_size=3),
)
def test_each_sample_has_its_true_number_whatever_was_lost(
    rate_error: float, first_stamp_ns: int, packets: list[tuple[int, int]], outages_s: list[int]
) -> None:
    """Packets of 20, of which some are dropped; late by up to 80 ms; outages of hours, over which the clock wraps."""
    true_ns = 1e9 / (RATE_HZ * (1 + rate_error))
    counter = ClockedCounter(RATE_HZ, WRAP_NS)
    n_skipped = 0
    first = 0
    lost = [(0, 0)] * 350 + packets  # 70 s first, by which the rate is known
    for outage_s in outages_s:
        lost += [(round(outage_s * 5), 0), *packets]
    for n_lost_packets, delay_ns in lost:
        if n_lost_packets > 3:
            counter.interrupted()
        first += 20 * n_lost_packets
        n_skipped += 20 * n_lost_packets
        last_ns = round((first + 19) * true_ns)
        place = placed(counter.place(20, (first_stamp_ns + last_ns) % WRAP_NS, last_ns + delay_ns))
        assert not place.is_restart
        assert place.n_missing == n_skipped
        assert place.first_sample_index == first
        assert (np.abs(place.device_time_ns - first_stamp_ns - np.arange(first, first + 20) * true_ns) < true_ns).all()
        n_skipped = 0
        first += 20


def test_samples_of_packets_in_a_row_share_the_time_between_their_stamps() -> None:
    counter = ClockedCounter(RATE_HZ)
    first = placed(counter.place(4, 1_000 * PERIOD_NS, 0))
    second = placed(counter.place(4, 1_004 * PERIOD_NS + 400, 0))
    assert first.device_time_ns.tolist() == [n * PERIOD_NS for n in range(997, 1001)]
    assert second.device_time_ns.tolist() == [n * PERIOD_NS + 100 * (n - 1000) for n in range(1001, 1005)]
    assert (second.first_sample_index, second.n_missing) == (4, 0)


@pytest.mark.parametrize("excess", [-4, 4])
def test_before_the_rate_is_known_a_slow_or_fast_packet_misses_nothing(excess: int) -> None:
    counter = ClockedCounter(RATE_HZ)
    counter.place(50, 50 * PERIOD_NS, 0)
    assert placed(counter.place(50, (100 + excess) * PERIOD_NS, 0)).n_missing == 0


def test_once_the_rate_is_known_two_samples_missing_beside_fifty_are_seen() -> None:
    counter = ClockedCounter(RATE_HZ)
    for end in range(50, 301, 50):
        counter.place(50, end * PERIOD_NS, 0)
    assert placed(counter.place(50, 352 * PERIOD_NS, 0)).n_missing == 2


@pytest.mark.parametrize("back_ns", [0, PERIOD_NS, LATE_NS])
def test_a_stamp_seen_before_is_a_duplicate(back_ns: int) -> None:
    counter = running(200)
    assert counter.place(1, 200 * PERIOD_NS - back_ns, 2 * S) == DuplicatePacket(199, 2 * S)
    assert placed(counter.place(1, 201 * PERIOD_NS, 2 * S)).n_missing == 0


@pytest.mark.parametrize("stamp_ns", [3 * S, 10 * S + 1, 10 * S + CLOCK_SLACK_NS + PERIOD_NS])
def test_one_stamp_that_contradicts_the_last_is_corrupt_and_its_sample_missing(stamp_ns: int) -> None:
    counter = running(1000)
    assert isinstance(counter.place(1, stamp_ns, 10 * S), CorruptPacket)
    after = placed(counter.place(1, 1002 * PERIOD_NS, 10 * S))
    assert after.preceding(10 * S) == [Gap(1000, 1, 10 * S)]
    assert after.first_sample_index == 1001


def test_two_stamps_that_agree_with_each_other_are_a_restart_and_the_first_one_is_missing() -> None:
    counter = running(1000)
    assert isinstance(counter.place(1, 5, 11 * S), CorruptPacket)
    assert counter.place(1, 5, 11 * S) == DuplicatePacket(999, 11 * S)
    after = placed(counter.place(1, 5 + PERIOD_NS, 11 * S))
    assert after.preceding(11 * S) == [Restart(0, 11 * S), Gap(0, 1, 11 * S)]
    assert after.first_sample_index == 1
    assert placed(counter.place(1, 5 + 2 * PERIOD_NS, 11 * S)).first_sample_index == 2


def test_stamps_that_agree_across_a_good_one_are_no_restart() -> None:
    counter = running(1000)
    assert isinstance(counter.place(1, 5, 11 * S), CorruptPacket)
    assert not placed(counter.place(1, 1001 * PERIOD_NS, 11 * S)).is_restart
    assert isinstance(counter.place(1, 5 + PERIOD_NS, 11 * S), CorruptPacket)


@pytest.mark.parametrize(
    ("stamp_ns", "received_s"),
    [(5, 20), (9 * S, 20), (20 * S, 3600)],
    ids=["from 0", "a little back", "forward, but less than the outage"],
)
def test_after_an_outage_a_clock_that_does_not_fit_the_host_is_a_restart_at_once(
    stamp_ns: int, received_s: int
) -> None:
    counter = running(1000)
    counter.interrupted()
    after = placed(counter.place(1, stamp_ns, received_s * S))
    assert after.preceding(0) == [Restart(0, 0)]
    assert after.first_sample_index == 0


def test_a_link_that_stalls_and_catches_up_loses_nothing() -> None:
    counter = running(100)
    assert [placed(counter.place(1, n * PERIOD_NS, 40 * S)).n_missing for n in range(101, 4001)] == [0] * 3900


@settings(max_examples=200)
@given(
    packets=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, WRAP_NS - 1), st.integers(0, 10**14), st.booleans()), max_size=20
    )
)
def test_no_stamp_raises_and_times_increase_from_restart_to_restart(
    packets: list[tuple[int, int, int, bool]],
) -> None:
    counter = ClockedCounter(RATE_HZ, WRAP_NS)
    end_ns, end_index = None, -1
    for n_samples, stamp_ns, received_ns, is_interrupted in packets:
        if is_interrupted:
            counter.interrupted()
        answer = counter.place(n_samples, stamp_ns, received_ns)
        if isinstance(answer, Placed):
            assert len(answer.device_time_ns) == n_samples
            assert (np.diff(answer.device_time_ns) > 0).all()
            if answer.is_restart:
                end_ns, end_index = None, -1
            assert answer.first_sample_index == end_index + 1 + answer.n_missing
            assert end_ns is None or answer.device_time_ns[0] > end_ns
            end_ns, end_index = int(answer.device_time_ns[-1]), counter.next_index - 1
