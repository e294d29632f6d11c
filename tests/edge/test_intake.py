"""One sensor's way into the ring: what a decoder says comes out as records, turned, cut and counted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.config import VirtualConfig
from edge.intake import Intake
from edge.records import MAX_BLOCK_SAMPLES, LinkState, LinkStatus, Record, decode_record
from edge.ring import RingReader, RingWriter, create_ring
from edge.sources.conventions import parse_axes
from edge.sources.virtual import walk_source
from firmware_bridge.device import DeviceKind, StreamInfo
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Event, Gap, Restart
from firmware_bridge.kinds import KINDS, PERIPHERALS
from firmware_bridge.peripheral import rehearse

CLOCKED = StreamInfo(104.0, 4, 157.0, 35.0, has_clock=True, boot_id=5)
UNCLOCKED = StreamInfo(100.0, 1, 157.0, 35.0, has_clock=False)
MS = 1_000_000


class Ends:
    """A ring's writer, and what its reader gets."""

    def __init__(self, path: Path) -> None:
        create_ring(path, slots=64)
        self.writer = RingWriter(path, slots=64)
        self._reader = RingReader(path, 0)

    def records(self) -> list[Record]:
        found = []
        while (read := self._reader.read()) is not None:
            found.append(decode_record(read[1]))
            self._reader.commit()
        return found

    def close(self) -> None:
        self.writer.close()
        self._reader.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path / "ring")
    yield made
    made.close()


def block(n_samples: int = 4, first: int = 0, received_ns: int = 50 * MS) -> Block:
    index = np.arange(first, first + n_samples)
    return Block(
        first_sample_index=first,
        device_time_ns=(index * 10 * MS).astype(np.int64),
        samples=(index[:, None] * 6 + np.arange(6)).astype(np.float32),
        saturated=index % 7 == 0,
        received_ns=received_ns,
    )


def test_a_long_packet_is_cut_to_what_a_record_holds_and_nothing_of_it_changes(ends: Ends) -> None:
    intake = Intake(ends.writer, 3, "left")
    intake.started(CLOCKED, 0)
    whole = block(n_samples=45, first=100, received_ns=1500 * MS)
    intake.put([whole])
    restart, *pieces = ends.records()
    assert restart.item == Restart(5, 0)
    items = [piece.item for piece in pieces if isinstance(piece.item, Block)]
    assert [len(item.samples) for item in items] == [MAX_BLOCK_SAMPLES, MAX_BLOCK_SAMPLES, 45 - 2 * MAX_BLOCK_SAMPLES]
    assert {piece.stream_id for piece in pieces} == {3}
    assert [item.first_sample_index for item in items] == [100, 119, 138]
    np.testing.assert_array_equal(np.concatenate([item.samples for item in items]), whole.samples)
    np.testing.assert_array_equal(np.concatenate([item.device_time_ns for item in items]), whole.device_time_ns)
    np.testing.assert_array_equal(np.concatenate([item.saturated for item in items]), whole.saturated)
    hosts = [piece.host_time_ns for piece in pieces]
    assert all(host is not None for host in hosts)
    assert np.diff(np.array(hosts, float)).tolist() == [190 * MS, 190 * MS]


def test_samples_are_turned_to_the_foot_unless_the_sensor_has_done_so(ends: Ends) -> None:
    intake = Intake(ends.writer, 0, "left", rotation=parse_axes("x,-z,y"))
    for info, expected in ((CLOCKED, [0, -2, 1, 3, -5, 4]), (foot_frame(), [0, 1, 2, 3, 4, 5])):
        intake.started(info, 0)
        intake.put([block(n_samples=1)])
        found = [record.item for record in ends.records() if isinstance(record.item, Block)]
        assert found[-1].samples.tolist() == [expected]


def foot_frame() -> StreamInfo:
    return StreamInfo(104.0, 4, 157.0, 35.0, has_clock=True, is_foot_frame=True, boot_id=5)


def test_everything_that_a_decoder_says_is_counted_and_handed_on(ends: Ends) -> None:
    intake = Intake(ends.writer, 1, "left")
    intake.started(CLOCKED, 0)
    intake.put([block(), Gap(4, 6, 60 * MS), block(first=10, received_ns=150 * MS)])
    intake.put([CorruptPacket("cut", 151 * MS), DuplicatePacket(9, 152 * MS), Gap(14, 3, 153 * MS, is_estimated=True)])
    intake.battery_percent, intake.rssi_dbm, intake.n_reconnects = 42, -70, 2
    intake.status(LinkState.STREAMING, 200 * MS)
    *_, status = [record.item for record in ends.records()]
    assert isinstance(status, LinkStatus)
    assert (status.packets_received, status.samples_received) == (1, 8)
    assert (status.samples_lost, status.samples_lost_estimated, status.gaps) == (9, 3, 2)
    assert (status.packets_corrupt, status.packets_duplicate, status.reconnects) == (1, 1, 2)
    assert (status.battery_percent, status.rssi_dbm, status.rate_hz) == (42, -70, 104.0)
    assert status.packet_rate_expected_hz == 26.0


def test_the_packet_rate_is_that_since_the_status_before(ends: Ends) -> None:
    intake = Intake(ends.writer, 1, "left")
    intake.started(CLOCKED, 0)
    intake.status(LinkState.STREAMING, 1000 * MS)
    for number in range(13):
        intake.put([block(first=4 * number, received_ns=1000 * MS + number)])
    intake.status(LinkState.STREAMING, 1500 * MS)
    intake.status(LinkState.STREAMING, 2500 * MS)
    rates = [item.packet_rate_hz for record in ends.records() if isinstance(item := record.item, LinkStatus)]
    assert rates == [0.0, 26.0, 0.0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_every_kind_shows_all_its_notifications_beside_as_many_that_were_expected(kind: DeviceKind, ends: Ends) -> None:
    sensor, device = PERIPHERALS[kind.key](walk_source(VirtualConfig())), kind.make()
    intake = Intake(ends.writer, 1, "left")
    rehearse(device.start(0), sensor)
    intake.started(device.stream, 0)
    intake.status(LinkState.STREAMING, 1)
    n_notifications = 0
    for ready_us, (uuid, data) in sensor.notifications(10_000_000):
        intake.put(device.feed(uuid, data, ready_us * 1000))
        n_notifications += 1
    ends.records()
    intake.status(LinkState.STREAMING, 10_000 * MS + 1)
    (record,) = ends.records()
    status = record.item
    assert isinstance(status, LinkStatus)
    assert status.packets_received == n_notifications
    assert status.packet_rate_hz == n_notifications / 10
    assert status.packet_rate_expected_hz == pytest.approx(status.packet_rate_hz, rel=0.03)


@pytest.mark.parametrize(
    ("events", "n_received"),
    [
        ([], 1),
        ([block(), Gap(4, 6, 0), block(first=10)], 1),
        ([DuplicatePacket(1, 0), block()], 1),
        ([Gap(0, 6, 0)], 1),
        ([CorruptPacket("cut", 0)], 0),
        ([DuplicatePacket(1, 0), DuplicatePacket(1, 0)], 0),
    ],
    ids=["waits for another", "several blocks", "partly known", "without partner", "corrupt", "known"],
)
def test_a_notification_counts_once_unless_nothing_of_it_is_any_good(
    events: list[Event], n_received: int, ends: Ends
) -> None:
    intake = Intake(ends.writer, 1, "left")
    intake.started(CLOCKED, 0)
    intake.put(events)
    intake.status(LinkState.STREAMING, 1)
    *_, status = [record.item for record in ends.records()]
    assert isinstance(status, LinkStatus)
    assert status.packets_received == n_received


def test_packets_of_any_length_give_their_samples_the_time_of_the_last_one_less_the_way(ends: Ends) -> None:
    """A Polar at rest sends 136 samples a packet, and 34 while it moves."""
    intake = Intake(ends.writer, 1, "left")
    intake.started(CLOCKED, 0)
    first = 0
    for n_samples in (19, 4, 11, 2):
        last_ns = (first + n_samples - 1) * 10 * MS
        intake.put([block(n_samples=n_samples, first=first, received_ns=7000 * MS + last_ns)])
        first += n_samples
    for record in ends.records():
        if isinstance(record.item, Block):
            assert record.host_time_ns == 7000 * MS + record.item.first_sample_index * 10 * MS


def test_before_a_sensor_is_started_its_rate_is_unknown(ends: Ends) -> None:
    Intake(ends.writer, 1, "left").status(LinkState.SEARCHING, 10 * MS)
    (record,) = ends.records()
    assert isinstance(record.item, LinkStatus)
    assert (record.item.rate_hz, record.item.packet_rate_expected_hz) == (0.0, 0.0)


def test_the_first_boot_is_told_once_and_each_further_one_too(ends: Ends) -> None:
    intake = Intake(ends.writer, 1, "left")
    intake.started(CLOCKED, 0)
    intake.put([Restart(5, 1), block()])
    intake.started(CLOCKED, 2)
    intake.put([Restart(6, 3), block(received_ns=90 * MS)])
    assert [record.item.boot_id for record in ends.records() if isinstance(record.item, Restart)] == [5, 6]


def test_samples_without_a_clock_get_host_times_by_their_number(ends: Ends) -> None:
    intake = Intake(ends.writer, 1, "left")
    intake.started(UNCLOCKED, 0)
    for number in range(200):
        late_ns = 30 * MS if number % 3 == 0 else 0
        intake.put([block(n_samples=1, first=number, received_ns=1000 * MS + number * 10 * MS + late_ns)])
    hosts = np.array([record.host_time_ns for record in ends.records() if isinstance(record.item, Block)], float)
    steps_ms = np.diff(hosts[100:]) / MS
    assert np.all(np.abs(steps_ms - 10) < 1), "the lateness of single packets is smoothed away"
