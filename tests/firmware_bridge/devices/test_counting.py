"""Numbering without counter and clock: what silence proves, and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.devices.counting import SILENCE_NS, SampleCounter
from firmware_bridge.events import Block, Gap

MS = 1_000_000


def test_samples_without_silence_are_numbered_in_a_row_at_the_nominal_rate() -> None:
    counter = SampleCounter(100.0)
    placed = [counter.place(n, at_ms * MS) for n, at_ms in ((2, 0), (3, 900), (1, 901))]
    assert [(p.gap, p.first_sample_index) for p in placed] == [(None, 0), (None, 2), (None, 5)]
    assert placed[1].device_time_ns.tolist() == [20 * MS, 30 * MS, 40 * MS]


def test_a_silence_is_an_estimated_gap_of_as_many_samples_as_it_is_long() -> None:
    counter = SampleCounter(100.0)
    counter.place(1, 0)
    gap, first, _ = counter.place(4, 2_000 * MS)
    assert gap == Gap(1, 196, 2_000 * MS, is_estimated=True)
    assert first == 197


def test_a_lost_link_is_a_gap_however_short_and_only_once() -> None:
    counter = SampleCounter(100.0)
    counter.place(1, 0)
    counter.interrupted()
    assert counter.place(1, 1 * MS).gap == Gap(1, 1, 1 * MS, is_estimated=True)
    assert counter.place(1, 11 * MS).gap is None


def test_what_is_lost_before_the_first_packet_is_nobodys_gap() -> None:
    counter = SampleCounter(100.0)
    counter.interrupted()
    counter.missed(3)
    assert counter.place(1, 10**15)[:2] == (None, 0)
    assert counter.place(1, 10**15 + 10 * MS)[:2] == (None, 1)


def test_what_was_seen_to_be_lost_is_a_gap_and_is_not_counted_twice_in_a_silence() -> None:
    counter = SampleCounter(100.0)
    counter.place(1, 0)
    counter.missed(2)
    counter.missed(1)
    assert counter.place(1, 40 * MS).gap == Gap(1, 3, 40 * MS, is_estimated=True)
    counter.missed(2)
    gap = counter.place(1, 2_040 * MS).gap
    assert gap is not None
    assert gap.n_samples == 199


def test_delivering_gives_the_gap_before_its_block() -> None:
    counter = SampleCounter(100.0)
    samples, saturated = np.zeros((2, 6), np.float32), np.array([False, True])
    counter.deliver(samples, saturated, 0)
    counter.missed(1)
    gap, block = counter.deliver(samples, saturated, 30 * MS)
    assert gap == Gap(2, 1, 30 * MS, is_estimated=True)
    assert isinstance(block, Block)
    assert block.first_sample_index == 3
    assert block.saturated.tolist() == [False, True]


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 20), st.integers(0, 3 * SILENCE_NS), st.integers(0, 5), st.booleans()), max_size=40
    ),
    rate_hz=st.floats(1.0, 400.0),
)
def test_every_number_is_given_once_to_a_sample_or_to_a_gap(
    steps: list[tuple[int, int, int, bool]], rate_hz: float
) -> None:
    counter = SampleCounter(rate_hz)
    expected, now_ns, last_time_ns = 0, 0, -1
    for n_samples, pause_ns, n_missed, is_interrupted in steps:
        now_ns += pause_ns
        counter.missed(n_missed)
        if is_interrupted:
            counter.interrupted()
        gap, first, device_time_ns = counter.place(n_samples, now_ns)
        if gap is not None:
            assert gap.first_sample_index == expected
            assert gap.n_samples >= max(1, n_missed)
            expected += gap.n_samples
        assert first == expected
        expected += n_samples
        assert device_time_ns[0] > last_time_ns
        assert (np.diff(device_time_ns) > 0).all()
        last_time_ns = int(device_time_ns[-1])
