"""The virtual sensor: byte-exact, obedient, and honest about what it spoilt."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.channels import Samples
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.packet_v1 import Answer, Command, DataPacket, Info, Op, Status
from firmware_bridge.virtual_sensor import Faults, VirtualSensorV1, quantise

INFO = Info(boot_id=0xC0FFEE)
FOREVER_US = 10**15


def noise(n_samples: int, seed: int = 0) -> Samples:
    """SI samples, of which some saturate."""
    return np.random.default_rng(seed).normal(0, 60, (n_samples, 6)).astype(np.float32)


def source_of(samples: Samples, *cuts: int) -> Callable[[float], Iterator[Samples]]:
    return lambda _rate_hz: iter(np.split(samples, cuts))


def started(samples: Samples, *, faults: Faults | None = None, seed: int = 0) -> VirtualSensorV1:
    sensor = VirtualSensorV1(source_of(samples), INFO, faults=faults, seed=seed)
    assert sensor.write_control(bytes(Command.start()), 0) == bytes(Answer(Op.START, Status.DONE))
    return sensor


def decode(sensor: VirtualSensorV1, until_us: int = FOREVER_US) -> list[Event]:
    decoder = DecoderV1(sensor.info)
    return [event for t_us, data in sensor.notifications(until_us) for event in decoder.feed(data, t_us * 1000)]


def n_gap(events: list[Event]) -> int:
    return sum(event.n_samples for event in events if isinstance(event, Gap))


def n_received(events: list[Event]) -> int:
    return sum(len(event.samples) for event in events if isinstance(event, Block))


def n_of(events: list[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def test_the_first_notification_has_the_bytes_of_the_layout_table() -> None:
    one_g = np.tile(np.array([0, 0, 9.80665, 0, 0, np.radians(10)], np.float32), (4, 1))
    notifications = list(started(one_g).notifications(FOREVER_US))
    expected = bytes.fromhex("11 04 0000 00000000 00000000" + "0000 0000 0008 0000 0000 a400" * 4)
    assert notifications == [(28846, expected)]


@given(
    n_samples=st.integers(1, 400),
    cuts=st.lists(st.integers(0, 400), max_size=5),
    per_packet=st.integers(1, 19),
    rate_error=st.floats(-0.08, 0.08),
    packet_seq=st.integers(65_500, 65_535),
    index=st.integers(2**32 - 400, 2**32 - 1),
    t_us=st.integers(2**32 - 4_000_000, 2**32 - 1),
)
@settings(max_examples=100)
def test_the_decoder_gives_back_the_quantised_samples_of_an_undisturbed_sensor(
    n_samples: int, cuts: list[int], per_packet: int, rate_error: float, packet_seq: int, index: int, t_us: int
) -> None:
    samples = noise(n_samples)
    sensor = VirtualSensorV1(
        source_of(samples, *sorted(cuts)),
        Info(boot_id=1, n_samples=per_packet),
        rate_error=rate_error,
        first_packet_seq=packet_seq,
        first_sample_index=index,
        first_t_us=t_us,
    )
    sensor.write_control(bytes(Command.start()), 0)
    events = decode(sensor)
    blocks = [event for event in events if isinstance(event, Block)]
    assert len(blocks) == len(events) == -(-n_samples // per_packet)
    counts = quantise(samples, sensor.info)
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks]), counts * sensor.info.si_per_count)
    saturated = (np.abs(counts.astype(int)) >= 32767).any(axis=1)
    np.testing.assert_array_equal(np.concatenate([b.saturated for b in blocks]), saturated)
    assert blocks[0].first_sample_index == index
    assert blocks[0].device_time_ns[0] == t_us * 1000
    assert sensor.counts.samples_sent == sensor.counts.samples_taken == n_samples


def test_quantising_rounds_to_the_nearest_count_and_saturates() -> None:
    scale = INFO.si_per_count.astype(np.float64)
    samples = (np.array([[0.4, 0.6, -0.6, 1e6, -1e6, 32766.4]]) * scale).astype(np.float32)
    assert quantise(samples, INFO).tolist() == [[0, 1, -1, 32767, -32768, 32766]]


@given(
    queue_drop=st.sampled_from([0.0, 0.05, 0.3]),
    radio_drop=st.sampled_from([0.0, 0.05, 0.3]),
    burst_packets=st.integers(1, 6),
    spoil=st.sampled_from([0.0, 0.2]),
    repeat=st.sampled_from([0.0, 0.2]),
    reorder=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=100)
def test_received_and_lost_samples_are_those_the_sensor_took(
    queue_drop: float, radio_drop: float, burst_packets: int, spoil: float, repeat: float, reorder: float, seed: int
) -> None:
    faults = Faults(queue_drop, radio_drop, burst_packets, spoil, repeat, reorder)
    samples = noise(800, seed)
    sensor = started(samples, faults=faults, seed=seed)
    events = decode(sensor)
    counts = sensor.counts
    assert counts.samples_taken == 800
    assert counts.samples_held == 0
    assert counts.samples_sent + counts.samples_dropped + counts.samples_spoilt == 800
    assert n_of(events, CorruptPacket) == counts.packets_spoilt
    assert n_of(events, DuplicatePacket) >= counts.packets_repeated
    blocks = [event for event in events if isinstance(event, Block)]
    if blocks:
        spanned = blocks[-1].first_sample_index + len(blocks[-1].samples) - blocks[0].first_sample_index
        assert n_received(events) + n_gap(events) == spanned
    quantised = quantise(samples, INFO) * INFO.si_per_count
    for block in blocks:
        first = block.first_sample_index
        np.testing.assert_array_equal(block.samples, quantised[first : first + len(block.samples)])


def test_each_fault_happens_about_as_often_as_told() -> None:
    samples = noise(20_000)
    for faults, count in (
        (Faults(queue_drop=0.1), "packets_dropped"),
        (Faults(radio_drop=0.1), "packets_dropped"),
        (Faults(spoil=0.1), "packets_spoilt"),
        (Faults(repeat=0.1), "packets_repeated"),
        (Faults(reorder=0.1), "packets_reordered"),
    ):
        sensor = started(samples, faults=faults, seed=3)
        for _ in sensor.notifications(FOREVER_US):
            pass
        assert 400 < getattr(sensor.counts, count) < 600


def test_a_burst_takes_packets_in_a_row() -> None:
    events = decode(started(noise(8000), faults=Faults(queue_drop=0.02, burst_packets=5), seed=1))
    sizes = [event.n_samples for event in events if isinstance(event, Gap)]
    assert sizes
    assert all(size % 20 == 0 for size in sizes)


def test_only_what_is_dropped_after_the_queue_takes_a_sequence_number() -> None:
    def last_seq(faults: Faults) -> int:
        sent = [data for _, data in started(noise(4000), faults=faults).notifications(FOREVER_US)]
        return DataPacket.from_bytes(sent[-1]).packet_seq

    assert last_seq(Faults()) == 999
    assert last_seq(Faults(radio_drop=0.1)) > 990
    assert last_seq(Faults(queue_drop=0.1)) < 950


def test_a_sensor_samples_from_its_boot_on_and_streams_when_told() -> None:
    sensor = VirtualSensorV1(source_of(noise(400)), INFO)
    assert list(sensor.notifications(1_000_000)) == []
    assert not sensor.is_streaming
    sensor.write_control(bytes(Command.start()), 1_000_000)
    first_us, data = next(sensor.notifications(2_000_000))
    assert 1_000_000 < first_us < 1_050_000
    idle = sensor.counts.samples_idle
    assert idle == 104
    assert DataPacket.from_bytes(data).first_sample_index == idle
    assert DataPacket.from_bytes(data).packet_seq == 0


def test_nothing_is_taken_before_its_time() -> None:
    sensor = started(noise(4000))
    times_us = [t_us for t_us, _ in sensor.notifications(10_000_000)]
    assert len(times_us) == 260
    assert times_us[-1] <= 10_000_000
    assert sensor.counts.samples_taken == 1040
    assert list(sensor.notifications(10_000_000)) == []
    assert not sensor.is_exhausted


def test_an_outage_of_the_link_is_counted_exactly() -> None:
    sensor = started(noise(4000))
    decoder = DecoderV1(sensor.info)
    events = [event for _, data in sensor.notifications(5_000_000) for event in decoder.feed(data, 0)]
    sensor.link_lost()
    assert list(sensor.notifications(17_000_000)) == []
    sensor.write_control(bytes(Command.start()), 17_000_000)
    events += decoder.info_read(sensor.info, 0)
    events += [event for _, data in sensor.notifications(FOREVER_US) for event in decoder.feed(data, 0)]
    assert n_gap(events) == sensor.counts.samples_idle == 12 * 104
    assert n_received(events) + n_gap(events) == sensor.counts.samples_taken == 4000


def test_a_reboot_starts_the_counters_afresh() -> None:
    source = source_of(noise(4000))
    sensor = VirtualSensorV1(source, INFO, first_packet_seq=9, first_sample_index=10**6, first_t_us=10**9)
    sensor.write_control(bytes(Command.start()), 10**9)
    decoder = DecoderV1(sensor.info)
    for _, data in sensor.notifications(10**9 + 5_000_000):
        decoder.feed(data, 0)
    sensor.reboot(boot_id=99)
    assert not sensor.is_streaming
    assert list(sensor.notifications(1_000_000)) == []
    sensor.write_control(bytes(Command.start()), 1_000_000)
    assert decoder.info_read(sensor.info, 1) == [Restart(99, 1)]
    events = [event for _, data in sensor.notifications(2_000_000) for event in decoder.feed(data, 0)]
    assert n_of(events, Block) == len(events) == 26
    assert isinstance(events[0], Block)
    assert events[0].first_sample_index == 104


def test_the_rate_can_be_set_while_not_streaming() -> None:
    asked: list[float] = []

    def source(rate_hz: float) -> Iterator[Samples]:
        asked.append(rate_hz)
        return iter([noise(4000)])

    sensor = VirtualSensorV1(source, INFO)
    list(sensor.notifications(1_000_000))
    assert sensor.write_control(bytes(Command.set_rate(2080)), 1_000_000) == b"\x03\x00"
    assert sensor.info == Info(boot_id=INFO.boot_id, rate_tenth_hz=2080)
    assert asked == [104.0, 208.0]
    sensor.write_control(bytes(Command.start()), 1_000_000)
    events = decode(sensor, 2_000_000)
    assert n_of(events, Block) == 52
    assert isinstance(events[-1], Block)
    np.testing.assert_allclose(np.diff(events[-1].device_time_ns), 1e9 / 208, rtol=1e-3)


def test_the_ranges_can_be_set_and_change_the_scale() -> None:
    samples = np.full((40, 6), 1.5, np.float32)
    sensor = VirtualSensorV1(source_of(samples), INFO)
    assert sensor.write_control(bytes(Command.set_ranges(4, 500)), 0) == b"\x04\x00"
    assert (sensor.info.acc_lsb_per_g, sensor.info.gyr_lsb_per_10_deg_s) == (8192, 656)
    sensor.write_control(bytes(Command.start()), 0)
    events = decode(sensor)
    assert isinstance(events[0], Block)
    np.testing.assert_allclose(events[0].samples, 1.5, atol=0.001)


@pytest.mark.parametrize(
    ("written", "indicated"),
    [
        ("02", "0200"),
        ("03 1004", "0303"),  # busy: it streams
        ("04 1000 d007", "0403"),
        ("03 1104", "0302"),  # 104.1 Hz
        ("04 1100 d007", "0402"),
        ("03 10", "0302"),
        ("01 00", "0102"),
        ("05 efbeadde", "0500 efbeadde 4e61bc00"),
        ("05 efbead", "0502"),
        ("77", "7701"),
        ("", "0001"),
    ],
)
def test_a_streaming_sensor_answers_each_control_write(written: str, indicated: str) -> None:
    sensor = started(noise(4))
    assert sensor.write_control(bytes.fromhex(written), 12_345_678 + 2**32) == bytes.fromhex(indicated)


def test_faults_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="spoil is a probability"):
        Faults(spoil=1.1)
    with pytest.raises(ValueError, match="repeat is a probability"):
        Faults(repeat=-0.1)
    with pytest.raises(ValueError, match="burst_packets must be positive, got 0"):
        Faults(burst_packets=0)
