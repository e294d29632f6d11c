"""The recorder killed at random moments: nothing committed is lost, nothing is recorded wrong, every file opens."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.record import READER_ID
from edge.recording.files import part_number
from edge.recording.mcap_file import salvage
from edge.recording.status import read_status
from edge.records import LinkState, LinkStatus, Record, encode_record
from edge.ring import RingReader, RingWriter
from edge.sources.session import read_session
from firmware_bridge.events import Block, Restart
from tests.edge.cli.run import free_endpoint
from tests.edge.recording.made import settings

ROOT = Path(__file__).resolve().parents[3]
BLOCK_SAMPLES = 4
PERIOD_NS = 9_600_000  # of a sample: 104 Hz
MOST_UNCOMMITTED_S = 1.0
STARTS_WITHIN_S = 60.0


class Sensor(threading.Thread):
    """Writes blocks into the ring at a sensor's pace, until it is told to stop; keeps what it wrote."""

    def __init__(self, writer: RingWriter) -> None:
        super().__init__()
        self._writer = writer
        self.stopping = threading.Event()
        self.received_ns: list[int] = []
        """Of every record, by its sequence."""
        self.samples: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]] = []
        self._chance = np.random.default_rng(1)

    def run(self) -> None:
        self.begin()
        while not self.stopping.wait(BLOCK_SAMPLES * PERIOD_NS / 1e9):
            self.put_block()

    def begin(self) -> None:
        """What ingestion writes first."""
        now_ns = time.monotonic_ns()
        link = LinkStatus(LinkState.STREAMING, "left", 104.0, 0, 0, 0, 0, 0, 0, now_ns)
        self._write(Record(0, link))
        self._write(Record(0, Restart(7, now_ns)))

    def put_block(self) -> None:
        """The next block."""
        first = BLOCK_SAMPLES * len(self.samples)
        self.samples.append(self._chance.normal(size=(BLOCK_SAMPLES, 6)).astype(np.float32))
        times_ns = (first + np.arange(BLOCK_SAMPLES)) * PERIOD_NS
        now_ns = time.monotonic_ns()
        block = Block(first, times_ns, self.samples[-1], np.zeros(BLOCK_SAMPLES, np.bool_), now_ns)
        self._write(Record(0, block, now_ns))

    def _write(self, record: Record) -> None:
        self.received_ns.append(record.item.received_ns)
        self._writer.write(encode_record(record))


class Recorder:
    """The process that starts one recorder after the other."""

    def __init__(self, folder: Path) -> None:
        self.ring = folder / "ring"
        made = msgspec.structs.replace(settings(folder / "rec", "left"), ring=str(self.ring))
        publish = msgspec.structs.replace(made.config.publish, endpoint=free_endpoint())
        config = msgspec.structs.replace(made.config, publish=publish)
        path = folder / "record.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, config=config)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.edge.recording.killed_recorder", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "up"
        self.pid = 0

    def start(self) -> None:
        """Begin a life, and wait until something was committed in it."""
        self.ring.with_name("recorder.json").unlink(missing_ok=True)
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.pid = int(self._line())
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while (status := read_status(self.ring)) is None or not status.n_recorded:
            assert time.monotonic() < deadline_s, "the recorder recorded nothing"
            os.sched_yield()

    def signal(self, number: signal.Signals) -> int:
        """Send a signal, and give the time; back when the life is over."""
        now_ns = time.monotonic_ns()
        os.kill(self.pid, number)
        assert self._line() == "gone"
        self.pid = 0
        return now_ns

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def recorded(path: Path) -> set[int]:
    """The ring's numbers of all records in a file."""
    return {
        message.sequence
        for message in salvage(path.read_bytes()).messages
        if message.topic in {"samples/left/", "link/left/", "restart/left/"}
    }


def kill_again_and_again(folder: Path, n_kills: int, seed: int) -> str:
    chance = random.Random(seed)
    found: set[int] = set()
    worst_s = 0.0
    with RingWriter(folder / "ring", slots=65_536) as writer:
        sensor, recorder = Sensor(writer), Recorder(folder)
        sensor.start()
        try:
            for n_killed in range(n_kills):
                recorder.start()
                time.sleep(chance.uniform(0.0, 0.7))  # the moment of the kill: the experiment itself
                killed_ns = recorder.signal(signal.SIGKILL)
                with RingReader(folder / "ring", READER_ID) as dead:
                    committed = dead.cursor
                    assert dead.lost == 0
                files = list((folder / "rec").iterdir())
                assert len(files) == n_killed + 1
                found |= recorded(max(files, key=lambda file: part_number(file) or 0))
                assert found >= set(range(committed)), "what was committed is not in the files"
                oldest = len(found)
                assert found == set(range(oldest)), "records are recorded in their order"
                if oldest < len(sensor.received_ns):  # else everything written was committed
                    worst_s = max(worst_s, (killed_ns - sensor.received_ns[oldest]) / 1e9)
            recorder.start()
        finally:
            sensor.stopping.set()
            sensor.join()
            if recorder.pid:
                recorder.signal(signal.SIGTERM)
            recorder.close()
    session = read_session(folder / "rec")
    assert session.losses == ()
    (track,) = session.tracks
    assert track.samples.tobytes() == np.concatenate(sensor.samples).tobytes()
    files = sorted((folder / "rec").iterdir())
    assert all(len(read_session(file).tracks[0].samples) for file in files)
    assert worst_s <= MOST_UNCOMMITTED_S
    return (
        f"recorder, {n_kills} SIGKILLs: {len(track.samples)} samples written, 0 lost, at most {worst_s:.2f} s "
        f"uncommitted at a kill, {len(files)} of {len(files)} files open"
    )


def test_20_kills_of_the_recorder_lose_no_sample_and_leave_every_file_readable(tmp_path: Path) -> None:
    print("\n" + kill_again_and_again(tmp_path, 20, seed=1))


@pytest.mark.soak
def test_200_kills_of_the_recorder_lose_no_sample_and_leave_every_file_readable(tmp_path: Path) -> None:
    print("\n" + kill_again_and_again(tmp_path, 200, seed=2))


def test_records_overwritten_before_the_recorder_came_are_told_once_however_often_it_is_killed(tmp_path: Path) -> None:
    with RingWriter(tmp_path / "ring", slots=64) as writer:
        sensor, recorder = Sensor(writer), Recorder(tmp_path)
        try:
            sensor.begin()
            for _ in range(100):
                sensor.put_block()
            for _ in range(2):
                recorder.start()
                recorder.signal(signal.SIGKILL)
                sensor.put_block()
            recorder.start()
        finally:
            if recorder.pid:
                recorder.signal(signal.SIGTERM)
            recorder.close()
        with RingReader(tmp_path / "ring", READER_ID) as reader:
            n_lost = reader.lost
    assert n_lost == 102 - 63
    session = read_session(tmp_path / "rec")
    (hole, told) = session.losses
    assert hole.startswith(f"{n_lost} records are missing in 1 place")
    assert told.startswith(f"while live ran, {n_lost} records ")
    status = read_status(tmp_path / "ring")
    assert status is not None
    assert status.n_overwritten == n_lost
