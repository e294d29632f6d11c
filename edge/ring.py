"""The ring between processes: an mmap file that one writer overwrites and up to `N_READERS` readers follow.

Byte records enter through `RingWriter`, and leave in order through `RingReader`, or are counted as lost.
It must never hand out a record that was not written as such, lose one uncounted, or let a reader hold the writer up,
whichever side is killed and whenever. It knows nothing of what the bytes mean: see `edge.records`.

Layout, native byte order. A header of one page, made of 64-bit words::

    0 magic   1 layout version   2 slots   3 slot_bytes   8 head: how many records were ever written
    16 + 8 i  reader i: number of commits, (cursor, lost) of the even commits, (cursor, lost) of the odd ones

then the slots: u64 sequence, u32 payload length, u32 CRC32 over sequence, length and payload, payload.

Why it holds. Head and commit count are the only words by which one process tells another something, and each is one
aligned 8-byte store (`memoryview.cast("Q")`; `struct.pack_into` with a byte order tears). Head is stored after the
slot. The slot that head points at may be in the writer's hands, so ``slots - 1`` records can be read. A processor that
reorders (ARM) may show head first, and a slow reader may copy a slot while it is overwritten: sequence and CRC tell,
and the reader looks again. A reader's cursor and its loss change together, by the one store of the commit count.
"""

import contextlib
import fcntl
import mmap
import os
import select
import stat
import struct
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from zlib import crc32

from edge.errors import RingError

N_READERS: Final = 4
DEFAULT_SLOTS: Final = 1024
DEFAULT_SLOT_BYTES: Final = 704
"""The largest record of `edge.records` fits; a multiple of 64, so that slots share no cache line."""

LAYOUT_VERSION: Final = 1
_MAGIC: Final = int.from_bytes(b"FEdgRing", "big")  # stored natively: a file of the other byte order is refused
_HEADER_BYTES: Final = 4096
_WORDS: Final = struct.Struct("=4Q")
_SLOT: Final = struct.Struct("=QII")
_KEY: Final = struct.Struct("=QI")

_HEAD: Final = 8
_READERS: Final = 16
_WORDS_PER_READER: Final = 8

_TRIES: Final = 64
"""Looks at a slot that fails its check before it counts as lost; a store is seen on other cores long before that."""

_FALLBACK_POLL_S: Final = 0.002
"""How often `RingReader.wait` looks where it has no doorbell."""


def runtime_dir() -> Path:
    """The folder for rings, made where needed: of this user alone, and gone after a reboot where the system allows.

    ``$XDG_RUNTIME_DIR/frailedge``, else ``frailedge-<uid>`` in the folder for temporary files. `RingError` where that
    is a link, belongs to somebody else, or others may enter it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and Path(base).is_dir():
        folder = Path(base) / "frailedge"
    else:
        folder = Path(tempfile.gettempdir()) / f"frailedge-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RingError(f"{folder}: no folder for the ring can be made there: {error.strerror}") from error
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RingError(
            f"{folder}: is not a folder of this user alone (mode 0700), so no ring is put there: remove it, or set "
            "XDG_RUNTIME_DIR to a private folder"
        )
    return folder


def open_doorbell() -> int:
    """An eventfd for one writer and one waiting reader; the supervisor makes it and lets both ends inherit it.

    Give its number to both, and to `subprocess.Popen` as ``pass_fds``. It outlives either end.
    """
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def create_ring(path: Path, *, slots: int = DEFAULT_SLOTS, slot_bytes: int = DEFAULT_SLOT_BYTES) -> None:
    """Make an empty ring of mode 0600, whole or not at all; leaves a file alone that is there already."""
    if slots < 2 or slot_bytes <= _SLOT.size or slot_bytes % 8:
        raise ValueError(f"a ring needs 2 slots or more of 24, 32, 40 … bytes, got {slots} of {slot_bytes}")
    if os.path.lexists(path):
        return
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise RingError(f"{path}: no ring can be made there: {error.strerror}") from error
    try:
        os.ftruncate(fd, _HEADER_BYTES + slots * slot_bytes)
        os.pwrite(fd, _WORDS.pack(_MAGIC, LAYOUT_VERSION, slots, slot_bytes), 0)
        # A link, where rename() would replace the ring that another process has made and opened meanwhile.
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        Path(name).unlink()


class _Ring:
    """The mapped file of either end, checked, with one byte of it locked for as long as it is open."""

    def __init__(self, path: Path, lock_byte: int, who: str) -> None:
        self.path = path
        self._fd = _open_own_file(path)
        try:
            self._slots, self._slot_bytes = _read_layout(self._fd, path)
            _lock(self._fd, lock_byte, path, who)
            self._mmap = mmap.mmap(self._fd, _HEADER_BYTES + self._slots * self._slot_bytes)
        except BaseException:
            os.close(self._fd)
            raise
        self._bytes = memoryview(self._mmap)
        self._header = self._bytes[:_HEADER_BYTES]
        self._words = self._header.cast("Q")  # one index, one aligned load or store

    @property
    def slots(self) -> int:
        """How many records the file holds; one fewer can be read, since one may be in the writer's hands."""
        return self._slots

    @property
    def max_payload_bytes(self) -> int:
        """The longest record that fits a slot."""
        return self._slot_bytes - _SLOT.size

    @property
    def written(self) -> int:
        """How many records were ever written, over all lives of the writer."""
        return self._words[_HEAD]

    def close(self) -> None:
        """Let go of file and lock; harmless when repeated."""
        if self._mmap.closed:
            return
        for view in (self._words, self._header, self._bytes):
            view.release()
        self._mmap.close()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RingWriter(_Ring):
    """The one writer of a ring; makes the file where there is none, else goes on from the head found.

    ``doorbell`` is the number of an eventfd (`open_doorbell`), rung at every record. `RingError` where the file is no
    ring, is of another size, belongs to somebody else, is a link, or has a living writer.
    """

    def __init__(
        self,
        path: Path,
        *,
        slots: int = DEFAULT_SLOTS,
        slot_bytes: int = DEFAULT_SLOT_BYTES,
        doorbell: int | None = None,
    ) -> None:
        create_ring(path, slots=slots, slot_bytes=slot_bytes)
        super().__init__(path, 0, "writer")
        if (self._slots, self._slot_bytes) != (slots, slot_bytes):
            found = f"{self._slots} slots of {self._slot_bytes} bytes"
            self.close()
            raise RingError(f"{path}: has {found}, not {slots} of {slot_bytes}: stop what uses it and remove it")
        self._doorbell = doorbell
        self._next = self._words[_HEAD]
        if doorbell is not None and self._next:
            os.eventfd_write(doorbell, 1)  # the life before may have ended between its last record and the bell

    def write(self, payload: bytes) -> int:
        """Put one record into the ring, over the oldest where it is full, and return its sequence number.

        Never waits; for one thread. `ValueError` for a payload longer than ``max_payload_bytes``.
        """
        length = len(payload)
        if length > self._slot_bytes - _SLOT.size:
            raise ValueError(f"a record of {length} bytes, where a slot holds {self.max_payload_bytes}")
        sequence = self._next
        start = _HEADER_BYTES + sequence % self._slots * self._slot_bytes
        crc = crc32(payload, crc32(_KEY.pack(sequence, length)))
        _SLOT.pack_into(self._bytes, start, sequence, length, crc)
        start += _SLOT.size
        self._bytes[start : start + length] = payload
        self._next = sequence + 1
        self._words[_HEAD] = self._next
        if self._doorbell is not None:
            os.eventfd_write(self._doorbell, 1)
        return sequence


class RingReader(_Ring):
    """One reader of an existing ring, which goes on after the last record that its ``reader_id`` committed.

    At least once: a record that was read and not committed when the reader ended comes again, with the same sequence
    number, unless it was overwritten meanwhile; then it counts as lost. So after every `commit`,
    ``cursor == records handed out and committed + lost``, over all lives of both ends. An id that never committed
    starts at record 0, and counts what was overwritten before as lost. A doorbell wakes one reader; a second one
    needs none, or its own writer. `RingError` as for `RingWriter`, and where the id has a living reader.
    """

    def __init__(self, path: Path, reader_id: int, *, doorbell: int | None = None) -> None:
        if not 0 <= reader_id < N_READERS:
            raise ValueError(f"reader_id must be 0 to {N_READERS - 1}, got {reader_id}")
        super().__init__(path, 1 + reader_id, f"reader {reader_id}")
        self._doorbell = doorbell
        self._poll = select.poll()
        if doorbell is not None:
            self._poll.register(doorbell, select.POLLIN)
        self._state = _READERS + reader_id * _WORDS_PER_READER
        at = self._state + 1 + 2 * (self._words[self._state] & 1)
        self._cursor, self._lost = self._words[at], self._words[at + 1]
        if not self._lost <= self._cursor <= self._words[_HEAD]:
            self.close()
            raise RingError(f"{path}: header is damaged (reader {reader_id} is ahead of the writer): remove the file")

    @property
    def cursor(self) -> int:
        """Sequence number of the next record: as many were handed out or lost before it."""
        return self._cursor

    @property
    def lost(self) -> int:
        """Records that this id passed over, in all its lives: overwritten before they were read, or damaged."""
        return self._lost

    def read(self) -> tuple[int, bytes] | None:
        """The next record and its sequence number, or None where there is none yet. Never waits."""
        tries = 0
        while self._cursor < (head := self._words[_HEAD]):
            oldest = head + 1 - self._slots
            if self._cursor < oldest:
                self._lost += oldest - self._cursor
                self._cursor = oldest
                tries = 0
            sequence = self._cursor
            start = _HEADER_BYTES + sequence % self._slots * self._slot_bytes
            slot = bytes(self._bytes[start : start + self._slot_bytes])  # copied first: then no one can change it
            found, length, crc = _SLOT.unpack_from(slot)
            if found == sequence and length <= self._slot_bytes - _SLOT.size:
                payload = slot[_SLOT.size : _SLOT.size + length]
                if crc32(payload, crc32(slot[: _KEY.size])) == crc:
                    self._cursor = sequence + 1
                    return sequence, payload
            tries += 1
            if tries == _TRIES:
                self._lost += 1
                self._cursor += 1
                tries = 0
        return None

    def commit(self) -> None:
        """What was read so far has been dealt with and shall not come again; cursor and loss are kept as one."""
        commits = self._words[self._state] + 1
        at = self._state + 1 + 2 * (commits & 1)  # the pair that does not count yet
        self._words[at] = self._cursor
        self._words[at + 1] = self._lost
        self._words[self._state] = commits

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is a record to read, ``timeout_s`` at most; tells whether there is one.

        Woken by the doorbell; without one it looks every 2 ms. A writer killed between a record and its bell leaves
        the reader asleep until the next record, the writer's next life or the time limit: do not wait for ever.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._cursor >= self._words[_HEAD]:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            if self._doorbell is None:
                time.sleep(min(left_s, _FALLBACK_POLL_S))
            elif self._poll.poll(left_s * 1000):
                _silence(self._doorbell)  # before head is looked at again: a later record rings anew
        return True


def _silence(doorbell: int) -> None:
    with contextlib.suppress(BlockingIOError):  # another reader on the same bell was quicker
        os.eventfd_read(doorbell)


def _open_own_file(path: Path) -> int:
    """Open for reading and writing; `RingError` unless it is a plain file that this user alone can write."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise RingError(f"{path}: there is no ring; the ingesting process makes it, start that first") from error
    except OSError as error:
        raise RingError(f"{path}: cannot be opened as a ring, a plain file of this user: {error.strerror}") from error
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return fd
    os.close(fd)
    raise RingError(f"{path}: is not a plain file of this user alone (mode 0600), so it is not trusted: remove it")


def _read_layout(fd: int, path: Path) -> tuple[int, int]:
    """Slots and slot_bytes of a ring file whose header and size fit together."""
    raw = os.pread(fd, _WORDS.size, 0)
    magic, version, slots, slot_bytes = _WORDS.unpack(raw.ljust(_WORDS.size, b"\0"))
    if magic != _MAGIC:
        raise RingError(f"{path}: is not a ring file: give another path, or remove it")
    if version != LAYOUT_VERSION:
        raise RingError(f"{path}: has ring layout {version}, this program has {LAYOUT_VERSION}: remove the file")
    size = os.fstat(fd).st_size
    if slots < 2 or slot_bytes <= _SLOT.size or slot_bytes % 8 or size != _HEADER_BYTES + slots * slot_bytes:
        raise RingError(f"{path}: header is damaged ({slots} slots of {slot_bytes} in {size} bytes): remove the file")
    return slots, slot_bytes


def _lock(fd: int, byte: int, path: Path, who: str) -> None:
    """Lock one byte for this open file; the kernel frees it with the process, however that ends.

    An open-file-description lock: like ``flock`` it also keeps out a second opener in the same process, and unlike it
    gives the writer and each reader id a lock of their own in one file.
    """
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError) as error:
        raise RingError(f"{path}: has a living {who} already: stop that process first") from error
