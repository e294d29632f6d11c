"""Both ends of a ring are killed at random moments: no bad record comes out, and none is unaccounted for."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.ring import RingReader, create_ring, open_doorbell
from tests.edge.ring_ends import BATCH, LOG_ENTRY, SLOTS, log_entry

ROOT = Path(__file__).resolve().parents[2]
OBSERVER = 3
MAX_DELAY_S = 0.1
TURNS = (("writer",), ("reader",), ("reader", "writer"))
"""Who is killed. With both dead nothing is overwritten, so that the reader's next life gets what was uncommitted."""
ENTRY = np.dtype([("sequence", "u8"), ("good", "u4"), ("life", "u4"), ("count", "u8")])

End = subprocess.Popen[str]


def start(role: str, ring: Path, doorbell: int, last: str) -> End:
    """Start one end and wait until it says that it has written or read something."""
    command = [sys.executable, "-m", "tests.edge.ring_ends", role, str(ring), str(doorbell), last]
    end = subprocess.Popen(command, cwd=ROOT, pass_fds=(doorbell,), stdout=subprocess.PIPE, text=True)
    assert end.stdout is not None
    if end.stdout.readline() != "up\n":
        end.kill()
        pytest.fail(f"the {role} ended with status {end.wait()} before it was up")
    return end


def kill(*ends: End) -> None:
    for end in ends:
        end.kill()
    for end in ends:
        assert end.wait() == -signal.SIGKILL, "an end came to its end before it was killed"
        assert end.stdout is not None
        end.stdout.close()


@contextmanager
def opened_doorbell() -> Iterator[int]:
    doorbell = open_doorbell()
    try:
        yield doorbell
    finally:
        os.close(doorbell)


def read_log(log: Path) -> NDArray[np.void]:
    """The entries of one life of the reader; the last may be cut."""
    data = log.read_bytes()
    return np.frombuffer(data, ENTRY, len(data) // LOG_ENTRY.size)


def kill_in_turn(folder: Path, n_kills: int, seed: int) -> str:
    """Run both ends, kill writer and reader in turn, check every claim, and return the figures as one line."""
    assert ENTRY.itemsize == LOG_ENTRY.size
    chance = random.Random(seed)
    ring = folder / "ring"
    create_ring(ring, slots=SLOTS)
    n_killed = 0
    logs = [folder / "reader-0"]
    first_sequences = [0]  # of each life of the writer
    committed = [0]  # the cursor with which each life of the reader began
    with opened_doorbell() as doorbell, RingReader(ring, OBSERVER) as observer:
        ends: dict[str, End] = {}
        try:
            ends["writer"] = start("writer", ring, doorbell, "0")
            ends["reader"] = start("reader", ring, doorbell, str(logs[0]))
            for victims in itertools.cycle(TURNS):
                if n_killed >= n_kills:
                    break
                time.sleep(chance.uniform(0.0, MAX_DELAY_S))  # the moment of the kill: the experiment itself
                kill(*(ends.pop(victim) for victim in victims))
                n_killed += len(victims)
                if "reader" in victims:
                    with RingReader(ring, 0) as dead:
                        committed.append(dead.cursor)
                    logs.append(folder / f"reader-{len(logs)}")
                    ends["reader"] = start("reader", ring, doorbell, str(logs[-1]))
                if "writer" in victims:
                    first_sequences.append(observer.written)
                    ends["writer"] = start("writer", ring, doorbell, str(len(first_sequences) - 1))
        finally:
            kill(*ends.values())
        with RingReader(ring, 0) as rest:
            committed.append(rest.cursor)
            logs.append(folder / "rest")
            with logs[-1].open("wb") as file:
                while (found := rest.read()) is not None:
                    file.write(log_entry(*found))
            rest.commit()
            written, lost = rest.written, rest.lost
            assert rest.cursor == written

    lives = [read_log(log) for log in logs]
    everything = np.concatenate(lives)
    n_bad = int((everything["good"] == 0).sum())
    assert n_bad == 0, "a record came out that was never written"
    first = np.array(first_sequences, np.uint64)
    assert (first[everything["life"]] + everything["count"] == everything["sequence"]).all(), (
        "a record came out under the number of another"
    )
    most_again = 0
    for before, after, cursor in zip(lives, lives[1:], committed[1:], strict=False):
        again = np.intersect1d(before["sequence"], after["sequence"])
        assert (again >= cursor).all(), "a committed record came again"
        most_again = max(most_again, len(again))
    assert most_again <= BATCH, "what comes again is what was uncommitted: one batch or less"

    limits = [*committed[1:], written]
    kept = np.concatenate([life["sequence"][life["sequence"] < end] for life, end in zip(lives, limits, strict=True)])
    n_good = len(kept)
    assert (kept[1:] > kept[:-1]).all(), "a record was accepted twice, or out of order"
    assert 0 < lost < written, "the run must both read and lose records, or it shows nothing"
    assert n_good + lost == written
    return (
        f"ring, {n_killed} SIGKILLs (writer, reader, both, in turn): {written} written = {n_good} good + {lost} "
        f"counted lost; {n_bad} bad accepted; at most {most_again} of {BATCH} uncommitted came again after a kill"
    )


def test_20_kills_of_either_end_let_no_bad_record_out_and_lose_none_uncounted(tmp_path: Path) -> None:
    print("\n" + kill_in_turn(tmp_path, 20, seed=1))


@pytest.mark.soak
def test_200_kills_of_either_end_let_no_bad_record_out_and_lose_none_uncounted(tmp_path: Path) -> None:
    print("\n" + kill_in_turn(tmp_path, 200, seed=2))
