"""Two streams made into one: by time, by one sample each, and with every sample that lacks its partner counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.pairing import MAX_WAIT_S, Half, PairedStreams
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart

RATE_HZ = 50.0
PERIOD_NS = 20_000_000
S = 1_000_000_000
START_NS = 800 * 10**15


class Feeder:
    """Packets whose values are the numbers of their samples: acceleration n, rotation -n."""

    def __init__(self, acc_offset_ns: int = 0) -> None:
        self.paired = PairedStreams(RATE_HZ)
        self.acc_offset_ns = acc_offset_ns
        self.events: list[Event] = []

    def feed(self, half: Half, first: int, n_samples: int, shift_ns: int = 0) -> list[Event]:
        numbers = np.arange(first, first + n_samples, dtype=np.float32) * (1 if half is Half.ACC else -1)
        values = np.repeat(numbers[:, None], 3, axis=1)
        last_ns = (first + n_samples - 1) * PERIOD_NS
        stamp_ns = START_NS + last_ns + (self.acc_offset_ns if half is Half.ACC else 0) + shift_ns
        events = self.paired.feed(half, values, np.zeros(n_samples, np.bool_), stamp_ns, last_ns)
        self.events += events
        return events

    def both(self, first: int, n_samples: int, shift_ns: int = 0) -> None:
        for half in Half:
            self.feed(half, first, n_samples, shift_ns)

    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    def samples(self) -> list[int]:
        """The numbers of all paired samples, whose halves must be of one instant."""
        values = np.concatenate([block.samples for block in self.blocks()])
        assert (values[:, :3] == -values[:, 3:]).all()
        return [int(number) for number in values[:, 0]]

    def gaps(self) -> list[tuple[int, int]]:
        return [(event.first_sample_index, event.n_samples) for event in self.events if isinstance(event, Gap)]


@settings(max_examples=40)
@given(
    acc_sizes=st.lists(st.integers(5, 60), min_size=20, max_size=20),
    gyr_sizes=st.lists(st.integers(5, 60), min_size=20, max_size=20),
    acc_lost=st.sets(st.integers(12, 19), max_size=4),
    gyr_lost=st.sets(st.integers(12, 19), max_size=4),
    acc_offset_ns=st.integers(-PERIOD_NS * 2 // 5, PERIOD_NS * 2 // 5),
)
def test_pairs_and_gaps_are_all_samples_however_the_packets_are_cut(
    acc_sizes: list[int], gyr_sizes: list[int], acc_lost: set[int], gyr_lost: set[int], acc_offset_ns: int
) -> None:
    feeder = Feeder(acc_offset_ns)
    packets = []
    # None is lost in the first second: until the rate is known, five samples may go unseen beside a packet of 60.
    for half, sizes, lost in ((Half.ACC, acc_sizes, acc_lost), (Half.GYR, gyr_sizes, gyr_lost)):
        ends = np.cumsum(sizes)
        packets += [
            (int(end), half, size) for n, (end, size) in enumerate(zip(ends, sizes, strict=True)) if n not in lost
        ]
    packets.sort(key=lambda packet: packet[0])
    there: dict[Half, set[int]] = {half: set() for half in Half}
    for end, half, size in packets:
        feeder.feed(half, end - size, size)
        there[half] |= set(range(end - size, end))
    common = there[Half.ACC] & there[Half.GYR]
    frontier = min(max(there[half]) for half in Half) + 1
    assert feeder.samples() == sorted(common)
    n_gap = sum(n_samples for _, n_samples in feeder.gaps())
    assert len(common) + n_gap == frontier - min(common)
    numbers = np.concatenate([b.first_sample_index + np.arange(len(b.samples)) for b in feeder.blocks()])
    assert numbers.tolist() == [number - min(common) for number in feeder.samples()]


def test_a_pair_has_the_time_of_its_rotation() -> None:
    feeder = Feeder(acc_offset_ns=3_000_000)
    feeder.both(0, 10)
    (block,) = feeder.blocks()
    assert block.device_time_ns.tolist() == [START_NS + n * PERIOD_NS for n in range(10)]


def test_a_pair_is_saturated_where_either_half_is() -> None:
    paired = PairedStreams(RATE_HZ)
    zero = np.zeros((3, 3), np.float32)
    paired.feed(Half.ACC, zero, np.array([True, False, False]), START_NS, 0)
    (block,) = paired.feed(Half.GYR, zero, np.array([False, False, True]), START_NS, 0)
    assert isinstance(block, Block)
    assert block.saturated.tolist() == [True, False, True]


@pytest.mark.parametrize("silent", list(Half))
def test_a_stream_that_stops_is_a_gap_after_ten_seconds(silent: Half) -> None:
    feeder = Feeder()
    feeder.both(0, 50)
    other = Half.GYR if silent is Half.ACC else Half.ACC
    for first in range(50, 1050, 50):
        feeder.feed(other, first, 50)
    assert feeder.samples() == list(range(50))
    assert sum(n_samples for _, n_samples in feeder.gaps()) == 1000 - RATE_HZ * MAX_WAIT_S
    # When it comes back, what still waits finds its partners; only the rest is missing.
    feeder.feed(silent, 1000, 50)
    assert feeder.samples() == [*range(50), *range(1000, 1050)]
    assert sum(n_samples for _, n_samples in feeder.gaps()) == 950


def test_a_packet_whose_place_was_given_up_is_a_duplicate() -> None:
    feeder = Feeder()
    feeder.both(0, 50)
    for first in range(50, 1050, 50):
        feeder.feed(Half.GYR, first, 50)
    assert feeder.feed(Half.ACC, 50, 50) == [DuplicatePacket(99, 99 * PERIOD_NS)]


def test_jitter_about_the_middle_between_two_samples_repeats_and_skips_none() -> None:
    feeder = Feeder(acc_offset_ns=PERIOD_NS // 2)
    rng = np.random.default_rng(0)
    for first in range(0, 1000, 20):
        feeder.feed(Half.ACC, first, 20, int(rng.integers(-2_000_000, 2_000_000)))
        feeder.feed(Half.GYR, first, 20, int(rng.integers(-2_000_000, 2_000_000)))
    values = np.concatenate([block.samples for block in feeder.blocks()])
    assert (np.diff(values[:, 0]) == 1).all()
    assert (np.diff(values[:, 3]) == -1).all()
    assert len(values) >= 999


def test_partners_that_drift_apart_are_found_anew() -> None:
    """Acceleration that is sampled 1 % slower by the sensor's own clock: each hundredth sample serves twice."""
    paired = PairedStreams(RATE_HZ)
    zero = np.zeros((20, 3), np.float32)
    apart_ns = []
    acc_last = gyr_last = 0
    received: list[Block] = []
    for _ in range(100):
        acc_last += 20
        gyr_last += 20
        for half, last_ns in ((Half.ACC, round(acc_last * PERIOD_NS * 1.01)), (Half.GYR, gyr_last * PERIOD_NS)):
            first = acc_last if half is Half.ACC else gyr_last
            values = zero + np.arange(first - 19, first + 1)[:, None].astype(np.float32)
            events = paired.feed(half, values, np.zeros(20, np.bool_), START_NS + last_ns, last_ns)
            received += [event for event in events if isinstance(event, Block)]
    for block in received:
        acc_ns = np.rint(block.samples[:, 0] * (PERIOD_NS * 1.01)).astype(np.int64) + START_NS
        apart_ns.append(np.abs(acc_ns - block.device_time_ns).max())
    assert max(apart_ns) < 1.1 * PERIOD_NS
    assert received[-1].samples[-1, 3] - received[-1].samples[-1, 0] == pytest.approx(20, abs=2)


def test_a_clock_set_back_is_one_restart_for_both_streams() -> None:
    feeder = Feeder()
    feeder.both(0, 50)
    feeder.feed(Half.GYR, 50, 50)
    feeder.paired.interrupted()
    feeder.both(100, 50, -S * 3600)
    feeder.both(150, 50, -S * 3600)
    told = [event for event in feeder.events if not isinstance(event, Block)]
    assert [type(event) for event in told] == [Gap, Restart]
    assert feeder.gaps() == [(50, 50)]
    assert [block.first_sample_index for block in feeder.blocks()] == [0, 0, 50]


def test_one_damaged_stamp_costs_one_packet() -> None:
    feeder = Feeder()
    feeder.both(0, 50)
    (event,) = feeder.feed(Half.ACC, 50, 50, 10**17)
    assert isinstance(event, CorruptPacket)
    feeder.feed(Half.GYR, 50, 50)
    feeder.both(100, 50)
    assert feeder.samples() == [*range(50), *range(100, 150)]
    assert feeder.gaps() == [(50, 50)]
