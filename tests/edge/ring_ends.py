"""The two ends of a ring as programs that run until they are killed: `python -m tests.edge.ring_ends`.

Records carry what they are (the writer's life, its count in that life) and a filler that only this pair gives, so
that a record made of two, or a damaged one, is found without help of the ring's own numbers and checksums.
"""

import os
import struct
import sys
from hashlib import blake2b
from pathlib import Path

from edge.ring import RingReader, RingWriter

SLOTS = 512
BATCH = 64
"""Records between two commits, so at most as many come again after a kill."""

LOG_ENTRY = struct.Struct("=QIIQ")
"""Sequence, 1 where the record is what its life and count say, life, count."""

_IDENTITY = struct.Struct("=IQ")


def record_of(life: int, count: int) -> bytes:
    """12 to 611 bytes."""
    identity = _IDENTITY.pack(life, count)
    return identity + (blake2b(identity, digest_size=40).digest() * 15)[: count % 600]


def log_entry(sequence: int, payload: bytes) -> bytes:
    """What a reader notes about a record it was given."""
    if len(payload) < _IDENTITY.size:
        return LOG_ENTRY.pack(sequence, 0, 0, 0)
    life, count = _IDENTITY.unpack_from(payload)
    return LOG_ENTRY.pack(sequence, payload == record_of(life, count), life, count)


def write_for_ever(path: Path, doorbell: int, life: int) -> None:
    """As fast as it goes; says on standard output once that it is under way."""
    writer = RingWriter(path, slots=SLOTS, doorbell=doorbell)
    records = [record_of(life, count) for count in range(2 * SLOTS)]
    for record in records:
        writer.write(record)
    print("up", flush=True)
    count = len(records)
    while True:
        writer.write(record_of(life, count))
        count += 1


def read_for_ever(path: Path, doorbell: int, log: Path) -> None:
    """Note each record in ``log`` as it comes and commit after it: what is committed is noted, whenever the kill comes.

    Says on standard output once that it has been through what it found.
    """
    reader = RingReader(path, 0, doorbell=doorbell)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    under_way = False
    while True:
        for _ in range(BATCH):
            if (found := reader.read()) is None:
                break
            os.write(fd, log_entry(*found))
        reader.commit()
        if not under_way:
            under_way = True
            print("up", flush=True)
        reader.wait(1.0)


if __name__ == "__main__":
    if sys.argv[1] == "writer":
        write_for_ever(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        read_for_ever(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
