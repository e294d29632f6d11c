"""The state machine of a link: what may follow what, how long it waits, and what it says."""

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ble.link import FIRST_BACKOFF_S, MAX_BACKOFF_S, NEXT, STEADY_AFTER_NS, Link
from edge.records import LinkState

S = 1_000_000_000
UP = (LinkState.CONNECTING, LinkState.SUBSCRIBING, LinkState.STREAMING)


def streaming_link(now_ns: int = 0) -> Link:
    link = Link("left", now_ns, silent_after_s=2.0)
    for state in UP:
        link.to(state, now_ns)
    return link


@given(st.lists(st.sampled_from(LinkState), max_size=12))
def test_only_what_the_table_has_can_follow_and_anything_may_end(states: list[LinkState]) -> None:
    link = Link("left", 0, silent_after_s=2.0)
    for state in states:
        before = link.state
        if state is LinkState.ENDED or state in NEXT[before]:
            link.to(state, 0)
            assert link.state is state
        else:
            with pytest.raises(ValueError, match=f"no way from {before} to {state}"):
                link.to(state, 0)
            assert link.state is before


def test_every_state_but_the_end_leads_on_and_back_to_streaming() -> None:
    reached = {LinkState.BACKING_OFF}
    while more := {after for state in reached for after in NEXT[state]} - reached:
        reached |= more
    assert reached == set(LinkState) - {LinkState.ENDED}


def test_failed_attempts_wait_twice_as_long_each_up_to_the_longest_wait() -> None:
    link = Link("left", 0, silent_after_s=2.0)
    waits = []
    for attempt in range(8):
        waits.append(link.failed("nobody there", attempt * S))
        link.to(LinkState.SEARCHING, attempt * S)
    assert waits[0] == FIRST_BACKOFF_S
    assert all(after == min(2 * before, MAX_BACKOFF_S) for before, after in pairwise(waits))
    assert waits[-1] == MAX_BACKOFF_S


@pytest.mark.parametrize(("streamed_ns", "begins_anew"), [(STEADY_AFTER_NS + 1, True), (STEADY_AFTER_NS // 2, False)])
def test_a_link_that_streamed_a_while_begins_its_waits_anew(streamed_ns: int, begins_anew: bool) -> None:
    link = Link("left", 0, silent_after_s=2.0)
    for _ in range(4):
        longest_s = link.failed("nobody there", 0)
        link.to(LinkState.SEARCHING, 0)
    for state in UP:
        link.to(state, 10 * S)
    waited_s = link.failed("the link was lost", 10 * S + streamed_ns)
    assert waited_s == (FIRST_BACKOFF_S if begins_anew else 2 * longest_s)


def test_reconnects_count_from_the_second_connection_that_streams() -> None:
    link = streaming_link()
    assert link.n_reconnects == 0
    for n in (1, 2):
        link.failed("the link was lost", n * S)
        for state in (LinkState.SEARCHING, *UP):
            link.to(state, n * S)
        assert link.n_reconnects == n


def test_silence_shows_first_ends_when_data_come_and_at_twice_the_time_is_the_end() -> None:
    link = streaming_link()
    assert not link.watch(heard_ns=0, now_ns=2 * S, longest_packet_s=0.04)
    assert link.state is LinkState.STREAMING
    assert not link.watch(heard_ns=0, now_ns=2 * S + 1, longest_packet_s=0.04)
    assert link.state.value == "silent"
    assert not link.watch(heard_ns=3 * S, now_ns=3 * S, longest_packet_s=0.04)
    assert link.state is LinkState.STREAMING
    link.watch(heard_ns=3 * S, now_ns=6 * S, longest_packet_s=0.04)
    assert link.watch(heard_ns=3 * S, now_ns=7 * S + 1, longest_packet_s=0.04)
    assert link.state.value == "silent"


def test_a_sensor_whose_packets_are_long_is_not_taken_for_silent_between_two_of_them() -> None:
    link = streaming_link()
    assert not link.watch(heard_ns=0, now_ns=5 * S, longest_packet_s=2.6)
    assert link.state is LinkState.STREAMING
    assert not link.watch(heard_ns=0, now_ns=6 * S, longest_packet_s=2.6)
    assert link.state.value == "silent"
    assert link.watch(heard_ns=0, now_ns=11 * S, longest_packet_s=2.6)


def test_the_first_failure_in_a_row_is_a_warning_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="edge.ble.link")
    link = streaming_link()
    for n in range(3):
        link.failed(f"reason {n}", 10 * S)
        link.to(LinkState.SEARCHING, 10 * S)
    for state in UP:
        link.to(state, 11 * S)
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert told == [
        (logging.WARNING, "left: reason 0 while streaming; trying again"),
        (logging.DEBUG, "left: reason 1 while searching; trying again"),
        (logging.DEBUG, "left: reason 2 while searching; trying again"),
        (logging.WARNING, "left: streaming again"),
    ]
