"""An address goes in; a whole, checked file comes out, however often the connection or this program is cut off.

What has come so far lies in ``NAME.part``, and ``NAME.part.json`` says of which file it is. A later try goes on behind
it only where the server states that it is the same file; else it starts anew. A file whose checksum is wrong is
kept aside under another name. Nothing is unpacked here, see `trainer.unpack`.
"""

import errno
import fcntl
import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from edge import __version__
from edge.errors import DatasetError

ZENODO_API: Final = "https://zenodo.org/api/records"
GSTRIDE_RECORD: Final = "8003441"
CHUNK_BYTES: Final = 1 << 18
TRIES_WITHOUT_A_BYTE: Final = 6
_TIMEOUT_S: Final = 30.0
_LONGEST_WAIT_S: Final = 30.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MAX_RECORD_BYTES: Final = 1 << 24

OnBytes = Callable[[int, int | None], None]
"""Gets the bytes on disk so far, and of how many, where that is known."""
Wait = Callable[[float, str], None]
"""Gets the seconds to wait before the next try, and why there must be one."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to fetch; ``name`` is what it is called on disk, checksums are lower-case hex."""

    url: str
    name: str
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require_http(self.url)
        if self.name in {"", ".", ".."} or any(sign in self.name for sign in "/\\\0"):
            raise DatasetError(f"{self.url}: {self.name!r} is no file name; give the address of one file")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file; ``checked`` says by what it was compared, empty where nothing to compare with was known."""

    path: Path
    size_bytes: int
    sha256: str
    checked: tuple[str, ...]


class _State(msgspec.Struct, frozen=True):
    """Of which file a ``.part`` is."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None

    @property
    def validator(self) -> str | None:
        """What proves to a server that the same file is meant; a weak ETag does not promise equal bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class _Links(msgspec.Struct, frozen=True):
    self: str


class _RecordFile(msgspec.Struct, frozen=True):
    key: str
    size: int
    links: _Links
    checksum: str = ""


class _Record(msgspec.Struct, frozen=True):
    files: tuple[_RecordFile, ...] = ()


class _CutError(Exception):
    """The connection failed or was cut: worth another try."""


class _NothingBehindError(_CutError):
    """The server has no byte behind the part that is there."""


def wait_in_silence(seconds: float, _reason: str) -> None:
    """Sleep."""
    time.sleep(seconds)


def source_at(url: str, sha256: str | None = None) -> Source:
    """A file by its address; its name is the last part of the path, or the one before ``/content`` as at Zenodo."""
    parts = [unquote(part) for part in urlsplit(url).path.split("/") if part]
    if len(parts) > 1 and parts[-1] == "content":
        parts.pop()
    return Source(url, parts[-1] if parts else "", sha256=_hex_sha256(sha256))


def sources_of_record(record: str, *, api: str = ZENODO_API) -> list[Source]:
    """The files of a Zenodo record with sizes and checksums; `DatasetError` where it cannot be read or has none."""
    url = f"{api.rstrip('/')}/{quote(record, safe='')}"
    _require_http(url)
    try:
        with _open(url, {"Accept": "application/json"}) as response:
            data = _read(response, _MAX_RECORD_BYTES)
        files = msgspec.json.decode(data, type=_Record).files
    except msgspec.MsgspecError as error:
        raise DatasetError(f"{url}: this is no record of Zenodo ({error}); give a file's address by --from") from error
    except _CutError as error:
        raise DatasetError(f"{url}: cannot be reached ({error}); try again later, or give --from URL") from error
    if not files:
        raise DatasetError(f"{url}: the record shows no files; give a file's address by --from")
    return [
        Source(
            file.links.self,
            file.key,
            file.size,
            md5=file.checksum.removeprefix("md5:").lower() if file.checksum.startswith("md5:") else None,
        )
        for file in files
    ]


def fetch(source: Source, folder: Path, *, on_bytes: OnBytes | None = None, wait: Wait = wait_in_silence) -> Fetched:
    """Fetch a file into a folder, going on where an earlier try ended; a whole file that is there is only checked.

    `DatasetError` where the server has no such file, the connection
    stays away, the disk is full (what came is kept) or a checksum is wrong (the file is kept aside).
    """
    whole, part = folder / source.name, folder / f"{source.name}.part"
    if whole.is_file():
        try:
            return _check(whole, whole, source)
        except DatasetError as error:
            raise DatasetError(f"{error}; move it away to fetch it anew") from error
    with told_where_unwritable(part):
        folder.mkdir(parents=True, exist_ok=True)
        file = part.open("ab", buffering=0)
    with file:
        _lock(part, file)
        _fill(file, part, source, on_bytes or (lambda _done, _total: None), wait)
        try:
            fetched = _check(part, whole, source)
        except DatasetError as error:
            aside = folder / f"{source.name}.wrong"
            _state_file(part).unlink(missing_ok=True)
            part.replace(aside)
            raise DatasetError(f"{error}; kept aside as {aside}; run the command again to fetch it anew") from error
        part.replace(whole)
    _state_file(part).unlink(missing_ok=True)
    return fetched


def _fill(file: BinaryIO, part: Path, source: Source, on_bytes: OnBytes, wait: Wait) -> None:
    n_useless = 0
    while True:
        before = part.stat().st_size
        try:
            _go_on(file, part, source, on_bytes)
            return
        except _CutError as error:
            got = part.stat().st_size
            n_useless = 0 if got > before else n_useless + 1
            if n_useless == TRIES_WITHOUT_A_BYTE:
                raise DatasetError(
                    f"{source.url}: cut off at {got} bytes, and {n_useless} tries brought nothing more ({error}); "
                    f"{part} is kept: run the same command again to go on"
                ) from error
            wait(min(2.0**n_useless, _LONGEST_WAIT_S), str(error))


def _go_on(file: BinaryIO, part: Path, source: Source, on_bytes: OnBytes) -> None:
    """One try: ask for what is missing, append it; `_CutError` where less came than was announced."""
    done, known = part.stat().st_size, _read_state(part)
    headers = {}
    if known is None or known.url != source.url:
        done = 0
    elif known.size_bytes is not None and done == known.size_bytes > 0:
        return  # killed between the last byte and the check
    elif known.validator is not None:
        headers["If-Range"] = known.validator
    elif source.md5 is None and source.sha256 is None:
        done = 0  # neither server nor checksum could tell that two halves are of one file
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = _open(source.url, headers if done else {})
    except _NothingBehindError:
        file.truncate(0)
        raise
    with response:
        state = _state_of(source, response, done)
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        elif known is None or state is None or not _same(known, state):
            file.truncate(0)
            raise _CutError("the file at that address has changed: starting anew")
        assert state is not None, "only a part can be another one than the one asked for"
        if source.size_bytes is not None and state.size_bytes != source.size_bytes:
            raise DatasetError(f"{source.url}: {state.size_bytes} bytes long, the record says {source.size_bytes}")
        if not done:
            file.truncate(0)
            _write_state(part, state)
        _refuse_what_cannot_fit(part, done, state.size_bytes)
        on_bytes(done, state.size_bytes)
        while chunk := _read(response, CHUNK_BYTES):
            _write(file, part, chunk)
            done += len(chunk)
            on_bytes(done, state.size_bytes)
    # `read` ends the same way at the end of the file and at the end of the connection.
    if state.size_bytes is not None and done < state.size_bytes:
        raise _CutError(f"the connection ended at {done} of {state.size_bytes} bytes")


def _open(url: str, headers: dict[str, str]) -> Any:
    """A response with a body; what may pass is a `_CutError`, what will not a `DatasetError`."""
    request = urllib.request.Request(url, headers={"User-Agent": f"frailedge/{__version__}", **headers})
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _NothingBehindError("the file at that address has become shorter: starting anew") from error
        if error.code >= 500 or error.code in {408, 425, 429}:
            raise _CutError(f"the server answers {error.code} {error.reason}") from error
        raise DatasetError(
            f"{url}: the server answers {error.code} {error.reason}; give another address by --from, or --record"
        ) from error
    except http.client.InvalidURL as error:
        raise DatasetError(f"{url}: no address that can be fetched: {error}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _CutError(f"no connection: {getattr(error, 'reason', error)}") from error


def _read(response: Any, n_bytes: int) -> bytes:
    try:
        data: bytes = response.read(n_bytes)
    except (http.client.HTTPException, OSError) as error:
        raise _CutError(f"the connection was cut: {error}") from error
    return data


def _require_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DatasetError(f"{url}: only http and https addresses can be fetched")


def _state_of(source: Source, response: Any, done: int) -> _State | None:
    """What the server says of the file; None where it sends another part than the one asked for."""
    size: int | None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        unit, _, place = (response.headers.get("Content-Range") or "").partition(" ")
        span, _, total = place.partition("/")
        if unit != "bytes" or span.split("-")[0] != str(done):
            return None
        size = int(total) if total.isdigit() else source.size_bytes
    else:
        length = response.headers.get("Content-Length") or ""
        size = int(length) if length.isdigit() else source.size_bytes
    return _State(source.url, response.headers.get("ETag"), response.headers.get("Last-Modified"), size)


def _same(known: _State, now: _State) -> bool:
    """Whether the part there and the part offered are of one file; an answer to If-Range need not repeat everything."""
    pairs = (
        (known.etag, now.etag),
        (known.last_modified, now.last_modified),
        (known.size_bytes, now.size_bytes),
    )
    return all(new in {None, old} for old, new in pairs)


def _check(path: Path, name: Path, source: Source) -> Fetched:
    """Compare size and checksums with all that is known of the file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    found = {"sha256": sha256.hexdigest(), "md5": md5.hexdigest(), "size": str(size)}
    wanted = {"sha256": source.sha256, "md5": source.md5, "size": source.size_bytes and str(source.size_bytes)}
    for what, value in wanted.items():
        if value and value != found[what]:
            raise DatasetError(f"{name}: its {what} is {found[what]}, not {value} as it should be")
    return Fetched(name, size, found["sha256"], tuple(what for what in ("sha256", "md5") if wanted[what]))


def _hex_sha256(text: str | None) -> str | None:
    if text is None:
        return None
    if len(text) != 64 or any(sign not in "0123456789abcdefABCDEF" for sign in text):
        raise DatasetError(f"--sha256 {text}: 64 hexadecimal digits are needed")
    return text.lower()


def _lock(part: Path, file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatasetError(f"{part}: another process is fetching this file; wait for it") from error


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: Path) -> _State | None:
    try:
        return msgspec.json.decode(_state_file(part).read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None  # without it nobody knows what the part is of: it starts anew


def _write_state(part: Path, state: _State) -> None:
    new = part.with_name(f"{part.name}.json.new")
    with told_where_unwritable(part):
        new.write_bytes(msgspec.json.encode(state))
        new.replace(_state_file(part))


def _write(file: BinaryIO, part: Path, chunk: bytes) -> None:
    rest = memoryview(chunk)
    with told_where_unwritable(part):
        while rest:
            rest = rest[file.write(rest) :]


def _refuse_what_cannot_fit(part: Path, done: int, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - done > free:
        raise DatasetError(
            f"{part.parent}: {size - done} bytes are still to come, {free} are free; make room and run the same "
            "command again"
        )


@contextmanager
def told_where_unwritable(kept: Path) -> Iterator[None]:
    """A full disk, or one that cannot be written, becomes one line that says what is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise DatasetError(f"{error.filename or kept}: cannot be written: {error.strerror}") from error
        raise DatasetError(
            f"{kept.parent}: the disk is full ({error.strerror}); {kept.name} is kept: make room and run the same "
            "command again to go on"
        ) from error
