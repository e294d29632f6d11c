"""MCAP files that a kill or a power cut leaves readable; no other file imports mcap or zstandard.

Entries enter `McapFile` and are on the disk, as one chunk, when `McapFile.commit` returns; bytes of such a file enter
`salvage`, and every message of every intact chunk leaves. Nothing is trusted but what a CRC32 covers: a chunk, and the
table of channels, which stands in the file's metadata a second time. Lengths and indexes are never believed.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Metadata
from mcap.writer import MCAP0_MAGIC, CompressionType, Writer

METADATA_NAME: Final = "frailedge"
LIBRARY: Final = "frailedge"
_CRC_KEY: Final = "crc32"
_COMPRESSION: Final = b"zstd"
_MAX_CHUNK_BYTES: Final = 64 * 2**20
"""A chunk is cut at 1 MiB: what claims to be far larger is damaged."""

_RECORD: Final = struct.Struct("<BQ")
_CHUNK: Final = struct.Struct("<BQQQQII4sQ")  # opcode, length, start, end, size, CRC, 4, "zstd", compressed size
_CHUNK_MARK: Final = struct.pack("<I", len(_COMPRESSION)) + _COMPRESSION
_MARK_AT: Final = struct.calcsize("<BQQQQI")
_MESSAGE: Final = struct.Struct("<HIQQ")
_IS_CHUNK, _IS_MESSAGE, _IS_CHANNEL = Opcode.CHUNK.value, Opcode.MESSAGE.value, Opcode.CHANNEL.value
_BETWEEN: Final = frozenset(opcode.value for opcode in Opcode) - {_IS_CHUNK}


class StoredMessage(msgspec.Struct, frozen=True):
    """One message as it stands in a file; times are wall-clock nanoseconds since 1970."""

    topic: str
    log_time_ns: int
    publish_time_ns: int
    sequence: int
    data: bytes


class _Uncommitted(io.BytesIO):
    """What the writer wrote since the last commit; positions count from the file's start."""

    def __init__(self) -> None:
        super().__init__()
        self._base = 0

    def tell(self) -> int:
        return self._base + super().tell()

    def take(self) -> bytes:
        data = self.getvalue()
        self._base += len(data)
        self.seek(0)
        self.truncate()
        return data


class McapFile:
    """A new file of mode 0600; ``schemas`` gives each topic's schema name and JSON Schema. `OSError` as the disk says.

    After an `OSError` nothing more can be written, and what was committed before stays.
    """

    def __init__(self, path: Path, schemas: dict[str, tuple[str, bytes]], metadata: dict[str, str]) -> None:
        self.path = path
        self.n_commits = 0
        self.n_committed_bytes = 0
        self._out = _Uncommitted()
        self._writer = Writer(self._out, compression=CompressionType.ZSTD)
        self._writer.start(library=LIBRARY)
        self._channels: dict[str, int] = {}
        schema_ids: dict[str, int] = {}
        for topic, (name, schema) in schemas.items():
            if name not in schema_ids:
                schema_ids[name] = self._writer.register_schema(name, "jsonschema", schema)
            self._channels[topic] = self._writer.register_channel(topic, "json", schema_ids[name])
        table = msgspec.json.encode({str(number): topic for topic, number in self._channels.items()}).decode()
        metadata = {**metadata, "channels": table}
        self._writer.add_metadata(METADATA_NAME, {**metadata, _CRC_KEY: _crc_of(metadata)})
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write_out()
        except OSError:
            path.unlink()
            raise

    def add(self, message: StoredMessage) -> None:
        """Take a message into the chunk in progress."""
        self._writer.add_message(
            self._channels[message.topic],
            log_time=message.log_time_ns,
            data=message.data,
            publish_time=message.publish_time_ns,
            sequence=message.sequence & 0xFFFFFFFF,
        )

    def commit(self) -> None:
        """End the chunk and wait until the disk has it."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._write_out()
        self.n_commits += 1

    def close(self) -> None:
        """Write summary and footer, which make the file quick to open."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._write_out()
        os.close(self._fd)

    def _write_out(self) -> None:
        data = memoryview(self._out.take())
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fdatasync(self._fd)
            if not self.n_committed_bytes:
                _sync_folder(self.path.parent)
        except OSError:
            # Half a chunk at the end would be told as damage: cut it off, if the disk lets us.
            try:
                os.ftruncate(self._fd, self.n_committed_bytes)
            finally:
                os.close(self._fd)
            raise
        self.n_committed_bytes = os.lseek(self._fd, 0, os.SEEK_CUR)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _crc_of(metadata: dict[str, str]) -> str:
    """MCAP has no checksum for metadata."""
    return f"{zlib.crc32(msgspec.json.encode(sorted(metadata.items()))):08x}"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read of a file.

    ``is_finished``: it ends as one that was closed does. ``n_damaged_bytes`` belong to no intact record;
    ``n_unnamed`` messages were whole, but what they are about is lost. ``metadata`` is empty where it is damaged.
    """

    messages: tuple[StoredMessage, ...]
    metadata: dict[str, str]
    is_finished: bool
    n_damaged_bytes: int
    n_unnamed: int


def salvage(data: bytes) -> Salvaged:
    """All messages of all intact chunks, in the order of the file; whatever the bytes are, it raises nothing."""
    chunks = list(_chunks(data))
    starts_well = data.startswith(MCAP0_MAGIC)
    metadata: dict[str, str] = {}
    n_damaged = 0
    position = len(MCAP0_MAGIC) if starts_well else 0
    ends_well = False
    for begin, end in [*((begin, end) for begin, end, _ in chunks), (len(data), len(data))]:
        is_last = begin == len(data)
        stop = begin - len(MCAP0_MAGIC) if is_last and data.endswith(MCAP0_MAGIC) else begin
        last_opcode = 0
        reached = position
        for opcode, reached_before, reached in _records(data, position, stop):
            last_opcode = opcode
            if opcode == Opcode.METADATA and not metadata:
                metadata = _read_metadata(data[reached_before:reached])
        if is_last:
            ends_well = stop < begin and reached == stop and last_opcode == Opcode.FOOTER
            n_damaged += 0 if ends_well else len(data) - reached
        else:
            n_damaged += begin - reached
        position = end
    names = _channel_names(metadata)
    messages: list[StoredMessage] = []
    n_unnamed = 0
    for _, _, content in chunks:
        for message in _messages(content, names):
            if message is None:
                n_unnamed += 1
            else:
                messages.append(message)
    return Salvaged(tuple(messages), metadata, starts_well and ends_well, n_damaged, n_unnamed)


def _chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Begin, end and content of every intact chunk, found by how one looks: a damaged length must not hide the next."""
    decompressor = zstandard.ZstdDecompressor()
    position = 0
    while (mark := data.find(_CHUNK_MARK, position)) >= 0:
        begin = mark - _MARK_AT
        content = None
        if begin >= 0 and begin + _CHUNK.size <= len(data):
            opcode, _, _, _, size, crc, _, _, n_compressed = _CHUNK.unpack_from(data, begin)
            end = begin + _CHUNK.size + n_compressed
            if opcode == _IS_CHUNK and end <= len(data):
                content = _decompress(decompressor, data[begin + _CHUNK.size : end], size, crc)
        if content is None:
            position = mark + 1
        else:
            yield begin, end, content
            position = end


def _decompress(decompressor: zstandard.ZstdDecompressor, data: bytes, size: int, crc: int) -> bytes | None:
    """The content of a chunk, or None unless it is exactly what was written."""
    try:
        if size > _MAX_CHUNK_BYTES or zstandard.get_frame_parameters(data).content_size != size:
            return None  # before that much memory is asked for
        # What follows the frame is another chunk's, which a damaged length must not take along.
        content = decompressor.decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
    return content if len(content) == size and zlib.crc32(content) == crc else None


def _records(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Opcode, begin and end of the records that stand whole between two chunks, up to the first that does not."""
    while begin + _RECORD.size <= end:
        opcode, length = _RECORD.unpack_from(data, begin)
        stop = begin + _RECORD.size + length
        if opcode not in _BETWEEN or stop > end:
            return
        yield opcode, begin, stop
        begin = stop


def _read_metadata(record: bytes) -> dict[str, str]:
    try:
        found = Metadata.read(ReadDataStream(io.BytesIO(record[_RECORD.size :])))
    except (McapError, ValueError, struct.error):  # what a damaged one gives: cut off, no UTF-8, half a number
        return {}
    crc = found.metadata.pop(_CRC_KEY, "")
    return found.metadata if found.name == METADATA_NAME and crc == _crc_of(found.metadata) else {}


def _channel_names(metadata: dict[str, str]) -> dict[int, str]:
    """Topics by channel, as the metadata say: needed only where the first chunk, which says it too, is damaged."""
    try:
        return msgspec.json.decode(metadata.get("channels", "{}"), type=dict[int, str])
    except msgspec.DecodeError:  # another program may have put its own there
        return {}


def _messages(content: bytes, names: dict[int, str]) -> Iterator[StoredMessage | None]:
    """The messages of an intact chunk, None for one whose channel is not known; learns the channels it comes by.

    A checksum says that the content is what was written, not that this program wrote it.
    """
    position = 0
    while position + _RECORD.size <= len(content):
        opcode, length = _RECORD.unpack_from(content, position)
        begin = position + _RECORD.size
        position = begin + length
        if position > len(content):
            return
        if opcode == _IS_MESSAGE and length >= _MESSAGE.size:
            channel_id, sequence, log_time_ns, publish_time_ns = _MESSAGE.unpack_from(content, begin)
            topic = names.get(channel_id)
            data = content[begin + _MESSAGE.size : position]
            yield None if topic is None else StoredMessage(topic, log_time_ns, publish_time_ns, sequence, data)
        elif opcode == _IS_CHANNEL:
            try:
                channel = Channel.read(ReadDataStream(io.BytesIO(content[begin:position])))
            except (McapError, ValueError, struct.error):
                continue
            names[channel.id] = channel.topic
