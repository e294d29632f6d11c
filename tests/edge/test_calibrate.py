"""Records of the ring on their way into a calibration: boots, lost records, and what is known of a sensor."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.calibrate import SensorCalibration, calibrate_recordings, take_waiting
from edge.calibration_words import NO_SIGNAL
from edge.records import LinkStatus, encode_record
from edge.ring import RingReader, RingWriter
from edge.stream.calibration import Step
from edge.stream.mounting import MIN_STRIDES
from firmware_bridge.events import Restart
from tests.edge.recording import made


@pytest.mark.parametrize("is_told", [True, False])
def test_strides_of_two_boots_count_together_also_where_the_record_of_the_boot_was_overwritten(
    tmp_path: Path, is_told: bool
) -> None:
    records = [record.item for _, record in made.sent(tmp_path, 14.0, n_boots=2)]
    calibration = SensorCalibration("left")
    counts = []
    for item in records:
        if is_told or not isinstance(item, Restart):
            calibration.take(item)
        counts.append(calibration.result.n_strides)
    assert counts == sorted(counts)
    assert 0 < counts[len(counts) // 2] < MIN_STRIDES
    assert (calibration.step, calibration.result.state) == (Step.DONE, "as configured")
    assert calibration.turns_itself


def test_without_a_rate_nothing_is_looked_at_and_that_is_the_reason(tmp_path: Path) -> None:
    calibration = SensorCalibration("left")
    for _, record in made.sent(tmp_path, 3.0):
        item = record.item
        calibration.take(replace(item, rate_hz=0.0) if isinstance(item, LinkStatus) else item)
    assert calibration.step is Step.SIGNAL
    assert (calibration.result.state, calibration.result.reason) == ("cannot tell", NO_SIGNAL)
    assert calibration.words()[0] == "waiting for its signal (ended)"
    assert calibrate_recordings([]).reason == NO_SIGNAL


def test_a_full_ring_is_left_where_it_is_once_it_is_over(tmp_path: Path) -> None:
    """Ctrl-C and the time limit hold at once, whatever waits."""
    ring = tmp_path / "waiting"
    with RingWriter(ring, slots=256) as writer:
        for _, record in made.sent(tmp_path, 3.0):
            writer.write(encode_record(record))
        n_records = writer.written
    streams = {0: SensorCalibration("left")}
    with RingReader(ring, 0) as reader:
        take_waiting(reader, streams, lambda: reader.cursor == 30)
        assert reader.cursor == 30 < n_records
        assert streams[0].words()[0].startswith("signal at 104 Hz")
        take_waiting(reader, streams, lambda: False)
        assert reader.cursor == n_records
