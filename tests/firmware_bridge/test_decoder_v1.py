"""The decoder of packet v1: every sample once and unchanged, every loss counted, every contradiction named."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.decoder_v1 import N_AGREEING, DecoderV1
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.packet_v1 import DataPacket, Info

INFO = Info(boot_id=7)
PERIOD_US = 1e6 / 104
U16, U32 = 1 << 16, 1 << 32


def packet(
    n: int,
    *,
    seq: int | None = None,
    index: int | None = None,
    t_us: float | None = None,
    rate_error: float = 0.0,
    n_samples: int = 4,
) -> bytes:
    """The n-th packet of an undisturbed stream of full packets, its samples told from the others by their counts."""
    index = 4 * n if index is None else index
    t_us = index * PERIOD_US / (1 + rate_error) if t_us is None else t_us
    counts = (np.arange(n_samples * 6).reshape(n_samples, 6) + 24 * n) % 30000
    return bytes(DataPacket((n if seq is None else seq) % U16, index % U32, round(t_us) % U32, counts.astype(np.int16)))


def feed_all(decoder: DecoderV1, notifications: Sequence[bytes]) -> list[Event]:
    return [event for notification in notifications for event in decoder.feed(notification, 0)]


def blocks(events: Sequence[Event]) -> list[Block]:
    return [event for event in events if isinstance(event, Block)]


def gaps(events: Sequence[Event]) -> list[tuple[int, int]]:
    return [(event.first_sample_index, event.n_samples) for event in events if isinstance(event, Gap)]


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def assert_exact(events: Sequence[Event]) -> int:
    """Blocks and gaps join without hole or overlap, device time rises; returns the samples from first to last."""
    place = start = None
    end_ns = -(1 << 62)
    for event in events:
        assert not isinstance(event, Restart)
        if isinstance(event, Block):
            place = event.first_sample_index if place is None else place
            start = place if start is None else start
            assert event.first_sample_index == place
            place += len(event.samples)
            assert event.device_time_ns[0] > end_ns
            assert (np.diff(event.device_time_ns) > 0).all()
            end_ns = int(event.device_time_ns[-1])
        elif isinstance(event, Gap):
            place = event.first_sample_index if place is None else place
            start = place if start is None else start
            assert event.first_sample_index == place
            assert event.n_samples > 0
            place += event.n_samples
    return 0 if place is None or start is None else place - start


# ---- values


def test_counts_come_out_in_si_units_with_the_scales_of_the_info() -> None:
    counts = np.array([[2048, -4096, 1, 164, -1640, 32766]], np.int16)
    (block,) = blocks(DecoderV1(INFO).feed(bytes(DataPacket(0, 0, 0, counts)), 5))
    expected = [9.80665, -2 * 9.80665, 9.80665 / 2048, *np.radians([10.0, -100.0, 32766 / 16.4])]
    np.testing.assert_allclose(block.samples[0], expected, rtol=1e-6)
    assert block.samples.dtype == np.float32
    assert block.received_ns == 5
    assert not block.saturated.any()


def test_only_counts_at_the_limit_are_marked_saturated() -> None:
    values = [32766, 32767, -32766, -32767, -32768, 0, -1]
    counts = np.zeros((len(values), 6), np.int16)
    counts[:, 3] = values
    (block,) = blocks(DecoderV1(INFO).feed(bytes(DataPacket(0, 0, 0, counts)), 0))
    assert block.saturated.tolist() == [False, True, False, True, True, False, False]


def test_events_follow_from_the_bytes_and_not_from_the_arrival_times() -> None:
    notifications = [packet(n) for n in (0, 1, 3, 2, 4, 4, 300)] + [b"\x11", packet(9, index=10**9)]
    one, other = DecoderV1(INFO), DecoderV1(INFO)
    for n, notification in enumerate(notifications):
        for a, b in zip(one.feed(notification, n), other.feed(notification, 10**12 - n * n), strict=True):
            assert type(a) is type(b)
            if isinstance(a, Block) and isinstance(b, Block):
                assert a.first_sample_index == b.first_sample_index
                np.testing.assert_array_equal(a.device_time_ns, b.device_time_ns)
                np.testing.assert_array_equal(a.samples, b.samples)


# ---- wraps


@pytest.mark.parametrize(("seq", "index", "t_us"), [(U16 - 3, 0, 0), (0, U32 - 10, 0), (0, 0, U32 - 100_000)])
def test_a_wrap_of_each_counter_goes_unnoticed(seq: int, index: int, t_us: int) -> None:
    sent = [packet(n, seq=seq + n, index=index + 4 * n, t_us=t_us + 4 * n * PERIOD_US) for n in range(10)]
    events = feed_all(DecoderV1(INFO), sent)
    assert kinds(events) == [Block] * 10
    assert assert_exact(events) == 40
    assert blocks(events)[-1].first_sample_index == index + 36
    times_us = np.concatenate([block.device_time_ns for block in blocks(events)]) / 1000
    np.testing.assert_allclose(times_us, t_us + np.arange(40) * PERIOD_US, atol=1.5)


@pytest.mark.parametrize(("seq", "index", "t_us"), [(U16 - 1, 0, 0), (0, U32 - 4, 0), (0, 0, U32 - 30_000)])
def test_a_gap_over_a_wrap_is_counted_exactly(seq: int, index: int, t_us: int) -> None:
    sent = [packet(n, seq=seq + n, index=index + 4 * n, t_us=t_us + 4 * n * PERIOD_US) for n in (0, 50, 51)]
    events = feed_all(DecoderV1(INFO), sent)
    assert kinds(events) == [Block, Gap, Block, Block]
    assert gaps(events) == [(index + 4, 196)]


# ---- losses, duplicates, order


def test_packets_lost_after_the_sequence_was_given_and_before_are_counted_alike() -> None:
    assert gaps(feed_all(DecoderV1(INFO), [packet(0), packet(3)])) == [(4, 8)]
    assert gaps(feed_all(DecoderV1(INFO), [packet(0), packet(3, seq=1)])) == [(4, 8)]


def test_a_notification_that_comes_three_times_is_delivered_once() -> None:
    events = feed_all(DecoderV1(INFO), [packet(n) for n in range(5) for _ in range(3)])
    assert kinds(events) == [Block, DuplicatePacket, DuplicatePacket] * 5
    assert [event.packet_seq for event in events if isinstance(event, DuplicatePacket)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]


def test_a_late_packet_stays_counted_as_lost() -> None:
    events = feed_all(DecoderV1(INFO), [packet(n) for n in (0, 2, 1, 3)])
    assert kinds(events) == [Block, Gap, Block, DuplicatePacket, Block]
    assert assert_exact(events) == 16


def test_a_late_packet_of_more_samples_than_its_place_holds_is_corrupt() -> None:
    late = packet(1, n_samples=5)
    assert kinds(feed_all(DecoderV1(INFO), [packet(0), packet(2), late])) == [Block, Gap, Block, CorruptPacket]


def test_a_late_packet_whose_sequence_is_not_behind_is_corrupt() -> None:
    odd = packet(1, seq=3)
    assert kinds(feed_all(DecoderV1(INFO), [packet(0), packet(2), odd])) == [Block, Gap, Block, CorruptPacket]


Fate = st.sampled_from(["kept", "kept", "kept", "dropped", "twice", "thrice", "late", "cut", "prolonged", "wrong"])


@given(
    fates=st.lists(st.tuples(Fate, st.integers(0, 255)), min_size=1, max_size=60),
    n_samples=st.integers(1, 19),
    seq=st.one_of(st.integers(0, U16 - 1), st.integers(U16 - 30, U16 - 1)),
    index=st.one_of(st.integers(0, U32 - 1), st.integers(U32 - 300, U32 - 1)),
    t_us=st.one_of(st.integers(0, U32 - 1), st.integers(U32 - 3_000_000, U32 - 1)),
    rate_error=st.floats(-0.08, 0.08),
    data_seed=st.integers(0, 999),
)
@settings(max_examples=150)
def test_received_and_lost_samples_are_those_taken_and_nothing_is_made_up(
    fates: list[tuple[str, int]], n_samples: int, seq: int, index: int, t_us: int, rate_error: float, data_seed: int
) -> None:
    taken = np.random.default_rng(data_seed).integers(-32768, 32768, (len(fates) * n_samples, 6)).astype(np.int16)
    on_air: list[tuple[bytes, int]] = []
    held: list[tuple[bytes, int]] = []
    n_bad = n_again = 0
    for n, (fate, number) in enumerate(fates):
        first = n * n_samples
        t_first_us = t_us + round(first * PERIOD_US / (1 + rate_error))
        counts = taken[first : first + n_samples]
        good = bytes(DataPacket((seq + n) % U16, (index + first) % U32, t_first_us % U32, counts))
        match fate:
            case "kept":
                on_air += [(good, n)]
            case "twice":
                on_air += [(good, n)] * 2
                n_again += 1
            case "thrice":
                on_air += [(good, n)] * 3
                n_again += 2
            case "late":
                held += [(good, n)]
                continue
            case "cut":
                on_air += [(good[: number % len(good)], -1)]
                n_bad += 1
            case "prolonged":
                on_air += [(good + bytes(1 + number), -1)]
                n_bad += 1
            case "wrong":
                on_air += [(bytes([number if number != 0x11 else 0]) + good[1:], -1)]
                n_bad += 1
        on_air += held
        held = []
    on_air += held

    decoder = DecoderV1(Info(boot_id=1, n_samples=n_samples))
    events = feed_all(decoder, [notification for notification, _ in on_air])

    arrived = [n for _, n in on_air if n >= 0]
    n_spanned = (max(arrived) - arrived[0] + 1) * n_samples if arrived else 0
    assert assert_exact(events) == n_spanned
    n_received = sum(len(block.samples) for block in blocks(events))
    assert n_received + sum(n for _, n in gaps(events)) == n_spanned
    # Delivered is what came in its order; all else that is a packet came again or too late.
    in_order = [n for place, n in enumerate(arrived) if n > max(arrived[:place], default=-1)]
    assert n_received == len(in_order) * n_samples
    assert kinds(events).count(CorruptPacket) == n_bad
    assert kinds(events).count(DuplicatePacket) == len(arrived) - len(in_order) >= n_again
    scale = decoder.info.si_per_count
    for block in blocks(events):
        first = (block.first_sample_index - index) % U32
        np.testing.assert_array_equal(block.samples, taken[first : first + n_samples] * scale)


# ---- outages


@pytest.mark.parametrize("outage_s", [0.5, 12, 300, 29 * 60])
def test_an_outage_is_counted_exactly_at_once(outage_s: float) -> None:
    n = round(outage_s * 26)
    decoder = DecoderV1(INFO)
    feed_all(decoder, [packet(0), packet(1)])
    assert decoder.info_read(INFO, 0) == []
    events = feed_all(decoder, [packet(n, seq=2)])
    assert gaps(events) == [(8, 4 * n - 8)]
    assert kinds(events) == [Gap, Block]


@pytest.mark.parametrize("outage_s", [31 * 60, 71.6 * 60, 3 * 3600, 12 * 3600, 3 * 24 * 3600])
@pytest.mark.parametrize("rate_error", [0.0, 0.05, -0.05])
def test_a_long_outage_is_counted_exactly_once_three_packets_agree(outage_s: float, rate_error: float) -> None:
    decoder = DecoderV1(INFO)
    before, after = 1000, 1000 + round(outage_s * 26)
    feed_all(decoder, [packet(n, rate_error=rate_error) for n in range(before)])
    decoder.info_read(INFO, 0)
    events = feed_all(
        decoder, [packet(n, seq=before + n - after, rate_error=rate_error) for n in range(after, after + 4)]
    )
    assert kinds(events) == [CorruptPacket] * (N_AGREEING - 1) + [Gap, Block, Block]
    assert gaps(events) == [(4 * before, 4 * (after + 2 - before))]
    block = blocks(events)[0]
    # The clock went round several times meanwhile; the measured rate tells how often.
    true_us = block.first_sample_index * PERIOD_US / (1 + rate_error)
    assert abs(block.device_time_ns[0] / 1000 - true_us) <= 1


def test_an_outage_longer_than_any_battery_is_no_gap_but_a_restart() -> None:
    decoder = DecoderV1(INFO)
    feed_all(decoder, [packet(0), packet(1)])
    after = 8 * 24 * 3600 * 26
    events = feed_all(decoder, [packet(n) for n in range(after, after + 3)])
    assert kinds(events) == [CorruptPacket, CorruptPacket, Restart, Gap, Block]
    assert gaps(events) == [(4 * after, 8)]


# ---- contradictions


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (packet(2, index=10**9), "sample index jumps by 999999996"),
        (packet(2, index=528, t_us=8 * PERIOD_US), "sample index steps by 524, the device clock does not"),
        (packet(2, t_us=8 * PERIOD_US + 3600e6), "the device clock does not"),
        (packet(2, t_us=8 * PERIOD_US - 1e6), "the device clock does not"),
        (packet(2, seq=3), "1 packets are missing by sequence, but 0 samples by sample index"),
        (packet(2, seq=1), "65535 packets are missing by sequence"),
        (packet(1, index=5), "sample index steps by 1 after a packet of 4 samples"),
        (packet(1, seq=9), "sample index steps by 0 after"),
        (packet(1, index=U32 - 10**6, t_us=0), "sample index steps by -1000004 after"),
    ],
)
def test_a_packet_that_contradicts_itself_is_corrupt_and_costs_only_itself(odd: bytes, reason: str) -> None:
    decoder = DecoderV1(INFO)
    events = feed_all(decoder, [packet(0), packet(1), odd, packet(3), packet(4)])
    assert kinds(events) == [Block, Block, CorruptPacket, Gap, Block, Block]
    assert isinstance(events[2], CorruptPacket)
    assert reason in events[2].reason
    assert gaps(events) == [(8, 4)]
    assert assert_exact(events) == 20


def test_a_corrupt_first_packet_is_overruled_by_three_that_agree() -> None:
    events = feed_all(DecoderV1(INFO), [packet(0, index=3 * 10**9), *[packet(n) for n in range(1, 6)]])
    assert kinds(events) == [Block, CorruptPacket, CorruptPacket, Restart, Gap, Block, Block, Block]
    assert events[3] == Restart(INFO.boot_id, 0)
    assert gaps(events) == [(4, 8)]
    assert assert_exact(events[4:]) == 20


def test_no_gap_is_claimed_from_a_packet_that_nothing_confirmed() -> None:
    after = 3 * 24 * 3600 * 26
    events = feed_all(DecoderV1(INFO), [packet(0), *[packet(n) for n in range(after, after + 3)]])
    assert kinds(events) == [Block, CorruptPacket, CorruptPacket, Restart, Gap, Block]
    assert gaps(events) == [(4 * after, 8)]


def test_a_good_packet_ends_a_row_of_doubted_ones() -> None:
    odd = [packet(n, index=10**9 + 4 * n) for n in range(3)]
    events = feed_all(DecoderV1(INFO), [packet(0), odd[0], odd[1], packet(1), odd[2], packet(2)])
    assert kinds(events) == [Block, CorruptPacket, CorruptPacket, Block, CorruptPacket, Block]


def test_packets_that_come_twice_while_in_doubt_do_not_prolong_it() -> None:
    events = feed_all(DecoderV1(INFO), [packet(0, index=3 * 10**9), *[packet(n) for n in (1, 1, 2, 2, 3, 3)]])
    doubt = [CorruptPacket, DuplicatePacket] * 2
    assert kinds(events) == [Block, *doubt, Restart, Gap, Block, DuplicatePacket]


def test_contradicting_packets_that_contradict_each_other_never_overrule() -> None:
    decoder = DecoderV1(INFO)
    feed_all(decoder, [packet(0), packet(1)])
    odd = [packet(n, index=index) for n, index in enumerate(range(10**9, 3 * 10**9, 10**8))]
    assert kinds(feed_all(decoder, odd)) == [CorruptPacket] * 20
    assert kinds(feed_all(decoder, [packet(2)])) == [Block]


def test_a_clock_that_stands_still_is_found_out() -> None:
    events = feed_all(DecoderV1(INFO), [packet(n, index=n, t_us=0, n_samples=1) for n in range(30)])
    reasons = [event.reason for event in events if isinstance(event, CorruptPacket)]
    assert reasons[0].startswith("sample index and device clock drifted apart")


# ---- connections


def test_a_new_boot_starts_everything_afresh() -> None:
    decoder = DecoderV1(INFO)
    feed_all(decoder, [packet(n) for n in range(100)])
    assert decoder.info_read(Info(boot_id=8), 5) == [Restart(8, 5)]
    events = feed_all(decoder, [packet(2), packet(3)])
    assert kinds(events) == [Block, Block]
    assert blocks(events)[0].first_sample_index == 8


def test_new_ranges_scale_from_the_next_packet_on() -> None:
    decoder = DecoderV1(INFO)
    first = blocks(decoder.feed(packet(0), 0))[0]
    assert decoder.info_read(Info(boot_id=7, acc_lsb_per_g=4096), 0) == []
    second = blocks(decoder.feed(packet(1, seq=1), 0))[0]
    counts = np.arange(24).reshape(4, 6)
    np.testing.assert_allclose(first.samples[:, :3], counts[:, :3] * 9.80665 / 2048, rtol=1e-6)
    np.testing.assert_allclose(second.samples[:, :3], (counts[:, :3] + 24) * 9.80665 / 4096, rtol=1e-6)


@pytest.mark.parametrize("rate_tenth_hz", [520, 2080])
def test_an_outage_in_which_the_rate_changes_is_counted_exactly(rate_tenth_hz: int) -> None:
    period_us = 1e7 / rate_tenth_hz
    decoder = DecoderV1(INFO)
    feed_all(decoder, [packet(n) for n in range(100)])
    decoder.info_read(Info(boot_id=7, rate_tenth_hz=rate_tenth_hz), 0)
    t_us = 400 * PERIOD_US
    sent = [packet(n, seq=100, index=4 * n, t_us=t_us + (4 * n - 400) * period_us) for n in (1000,)]
    sent += [packet(n, seq=n - 900, t_us=t_us + (4 * n - 400) * period_us) for n in range(1001, 1200)]
    events = feed_all(decoder, sent)
    assert kinds(events) == [Gap, *[Block] * 200]
    assert gaps(events) == [(400, 3600)]
    np.testing.assert_allclose(np.diff(blocks(events)[-1].device_time_ns), period_us * 1000, rtol=1e-3)
