"""What the death of ingestion costs is counted by whoever outlives it."""

import numpy as np
import pytest

from edge.lives import EarlierLives, Handover
from edge.records import LinkState, LinkStatus
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart

S = 1_000_000_000


def block(first: int, received_ns: int, n_samples: int = 4) -> Block:
    return Block(
        first,
        np.arange(n_samples) + first,
        np.zeros((n_samples, 6), np.float32),
        np.zeros(n_samples, bool),
        received_ns,
    )


def after_death(boot_before: int, boot_after: int, first: int) -> Gap | None:
    handover = Handover()
    handover.restart(boot_before)
    assert handover.block(block(100, 0), 104.0) is None
    handover.new_life()
    handover.restart(boot_after)
    return handover.block(block(first, 2 * S), 104.0)


def test_a_sensor_that_numbers_its_samples_is_counted_exactly() -> None:
    assert after_death(7, 7, first=304) == Gap(104, 200, 2 * S)
    assert after_death(7, 7, first=104) is None


def test_a_sensor_that_booted_meanwhile_begins_anew() -> None:
    assert after_death(7, 8, first=304) is None


def test_a_sensor_without_numbers_is_estimated_by_rate_and_silence() -> None:
    assert after_death(0, 0, first=0) == Gap(0, 208 - 4, 2 * S, is_estimated=True)


def test_within_a_life_and_before_the_first_block_nothing_is_claimed() -> None:
    handover = Handover()
    handover.new_life()
    assert handover.block(block(50, 0), 104.0) is None
    assert handover.block(block(90, 9 * S), 104.0) is None, "within a life the decoder tells of gaps"


@pytest.mark.parametrize("is_estimated", [False, True])
def test_counts_of_earlier_lives_add_up(is_estimated: bool) -> None:
    earlier = EarlierLives()
    for _ in range(2):
        earlier.add(LinkStatus(LinkState.STREAMING, "left", 104.0, 10, 1, 2, 40, 5, 1, 0, 3, 2))
    events: list[Event] = [
        Gap(0, 7, 0, is_estimated=is_estimated),
        block(0, 0),
        CorruptPacket("cut", 0),
        DuplicatePacket(3, 0),
        Restart(1, 0),
    ]
    earlier.add_events(events)
    assert earlier == EarlierLives(21, 3, 5, 17, 6 + 7 * is_estimated, 5, 2, 84)


def test_a_notification_that_was_cut_into_blocks_is_one_packet_with_the_samples_of_all() -> None:
    earlier = EarlierLives()
    earlier.add_events([block(0, 1), block(4, 1), block(8, 2), Gap(12, 1, 2), block(13, 2)])
    assert (earlier.n_packets, earlier.n_samples_received) == (3, 16)
