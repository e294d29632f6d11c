"""A real server that cuts, changes, refuses and lies: what ends up on the disk is whole and checked, or not there."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DatasetError
from tests.trainer.web_server import WebFile, WebServer, web_server
from trainer.fetch import TRIES_WITHOUT_A_BYTE, Source, fetch, source_at, sources_of_record

DATA = np.random.default_rng(1).bytes(1_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Waits:
    """Remembers what it was to wait for, and does not."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []

    def __call__(self, seconds: float, reason: str) -> None:
        self.told.append((seconds, reason))


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def _nothing_but(folder: Path, *names: str) -> bool:
    return {path.name for path in folder.iterdir()} == set(names)


def test_a_connection_that_is_cut_again_and_again_gives_the_whole_file_and_no_byte_twice(
    server: WebServer, tmp_path: Path
) -> None:
    file = WebFile(DATA, cuts=[300_000, 1, 0])
    waits, seen = Waits(), list[tuple[int, int | None]]()
    source = source_at(server.add("/walks.bin", file), SHA256)
    fetched = fetch(source, tmp_path, on_bytes=lambda done, total: seen.append((done, total)), wait=waits)
    assert fetched.path.read_bytes() == DATA
    assert (fetched.sha256, fetched.checked) == (SHA256, ("sha256",))
    assert file.asked == [None, "bytes=300000-", "bytes=300001-"]
    assert [seconds for seconds, _ in waits.told] == [1.0, 1.0], "each try brought something"
    assert seen == sorted(seen)
    assert seen[-1] == (len(DATA), len(DATA))
    assert _nothing_but(tmp_path, "walks.bin")


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA, ranges=False, cuts=[300_000, 0])
    fetched = fetch(source_at(server.add("/walks.bin", file)), tmp_path, wait=Waits())
    assert fetched.path.read_bytes() == DATA
    assert fetched.checked == ()
    assert file.asked == [None, "bytes=300000-"]


def test_a_file_that_changed_between_two_tries_starts_anew(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA, cuts=[300_000])
    source = source_at(server.add("/walks.bin", file))
    gone = Waits()

    def change(seconds: float, reason: str) -> None:
        gone(seconds, reason)
        file.data, file.etag, file.cuts = DATA[::-1], '"two"', []

    assert fetch(source, tmp_path, wait=change).path.read_bytes() == DATA[::-1]
    assert len(gone.told) == 1


def test_a_server_that_sends_a_part_of_another_file_is_not_believed(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA, cuts=[300_000], heeds_if_range=False)
    source = source_at(server.add("/walks.bin", file))
    waits = Waits()

    def change(seconds: float, reason: str) -> None:
        waits(seconds, reason)
        file.data, file.etag = DATA[::-1], '"two"'

    assert fetch(source, tmp_path, wait=change).path.read_bytes() == DATA[::-1]
    assert file.asked == [None, "bytes=300000-", None]
    assert "changed" in waits.told[1][1]


def test_a_file_that_became_shorter_starts_anew(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA, cuts=[300_000])
    source = source_at(server.add("/walks.bin", file))

    def shorten(_: float, __: str) -> None:
        file.data = DATA[:1000]

    assert fetch(source, tmp_path, wait=shorten).path.read_bytes() == DATA[:1000]


def test_without_etag_and_checksum_a_cut_file_starts_anew_since_nothing_tells_that_it_is_the_same(
    server: WebServer, tmp_path: Path
) -> None:
    file = WebFile(DATA, etag=None, cuts=[300_000, 0])
    assert fetch(source_at(server.add("/a.bin", file)), tmp_path, wait=Waits()).path.read_bytes() == DATA
    assert file.asked == [None, None]
    checked = WebFile(DATA, etag=None, cuts=[300_000, 0])
    assert fetch(source_at(server.add("/b.bin", checked), SHA256), tmp_path, wait=Waits()).sha256 == SHA256
    assert checked.asked == [None, "bytes=300000-"]


def test_a_part_of_another_address_is_not_gone_on_with(server: WebServer, tmp_path: Path) -> None:
    first = WebFile(DATA, cuts=[300_000], statuses=[200] + [500] * TRIES_WITHOUT_A_BYTE)
    with pytest.raises(DatasetError, match="run the same command again"):
        fetch(source_at(server.add("/one/walks.bin", first)), tmp_path, wait=Waits())
    assert (tmp_path / "walks.bin.part").stat().st_size == 300_000
    other = WebFile(DATA[::-1])
    fetched = fetch(source_at(server.add("/two/walks.bin", other)), tmp_path, wait=Waits())
    assert fetched.path.read_bytes() == DATA[::-1]
    assert other.asked == [None]


def test_a_server_that_fails_is_asked_again_ever_more_slowly_and_the_part_is_kept(
    server: WebServer, tmp_path: Path
) -> None:
    file = WebFile(DATA, cuts=[300_000], statuses=[200] + [503] * TRIES_WITHOUT_A_BYTE)
    source = source_at(server.add("/walks.bin", file))
    waits = Waits()
    with pytest.raises(DatasetError, match="503"):
        fetch(source, tmp_path, wait=waits)
    assert [seconds for seconds, _ in waits.told] == [1, 2, 4, 8, 16, 30]
    assert fetch(source, tmp_path, wait=waits).path.read_bytes() == DATA
    assert file.asked[-1] == "bytes=300000-"


def test_a_file_that_is_not_there_is_said_at_once(server: WebServer, tmp_path: Path) -> None:
    waits = Waits()
    with pytest.raises(DatasetError, match=r"404 Not Found; give another address by --from"):
        fetch(source_at(f"{server.url}/nothing.zip"), tmp_path, wait=waits)
    assert waits.told == []


def test_a_file_with_a_wrong_checksum_is_kept_aside_and_the_next_try_starts_anew(
    server: WebServer, tmp_path: Path
) -> None:
    file = WebFile(DATA[::-1])
    source = source_at(server.add("/walks.bin", file), SHA256)
    with pytest.raises(DatasetError, match=rf"sha256 is [0-9a-f]+, not {SHA256}.*walks\.bin\.wrong"):
        fetch(source, tmp_path, wait=Waits())
    assert _nothing_but(tmp_path, "walks.bin.wrong")
    assert (tmp_path / "walks.bin.wrong").read_bytes() == DATA[::-1]
    file.data = DATA
    assert fetch(source, tmp_path, wait=Waits()).path.read_bytes() == DATA
    assert file.asked == [None, None]


def test_a_whole_file_is_checked_and_not_fetched_again(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA)
    source = source_at(server.add("/walks.bin", file), SHA256)
    fetch(source, tmp_path, wait=Waits())
    assert fetch(source, tmp_path, wait=Waits()).checked == ("sha256",)
    assert len(file.asked) == 1
    (tmp_path / "walks.bin").write_bytes(DATA[::-1])
    with pytest.raises(DatasetError, match="move it away"):
        fetch(source, tmp_path, wait=Waits())


def test_two_processes_do_not_write_one_file(server: WebServer, tmp_path: Path) -> None:
    file = WebFile(DATA, cuts=[300_000])
    source = source_at(server.add("/walks.bin", file))
    refused: list[str] = []

    def meanwhile(_: float, __: str) -> None:
        with pytest.raises(DatasetError, match="another process") as caught:
            fetch(source, tmp_path, wait=Waits())
        refused.append(str(caught.value))

    assert fetch(source, tmp_path, wait=meanwhile).path.read_bytes() == DATA
    assert len(refused) == 1


def test_a_record_lists_its_files_with_sizes_and_checksums(server: WebServer, tmp_path: Path) -> None:
    address = server.add("/api/records/7/files/walks.zip/content", WebFile(DATA))
    listed = {
        "id": 7,
        "files": [
            {
                "key": "walks.zip",
                "size": len(DATA),
                "checksum": f"md5:{hashlib.md5(DATA).hexdigest()}",
                "links": {"self": address},
            }
        ],
    }
    server.add("/api/records/7", WebFile(json.dumps(listed).encode()))
    (source,) = sources_of_record("7", api=f"{server.url}/api/records")
    assert (source.name, source.size_bytes) == ("walks.zip", len(DATA))
    assert fetch(source, tmp_path, wait=Waits()).checked == ("md5",)
    assert source_at(address).name == "walks.zip"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>", "no record of Zenodo"),
        (b"{}", "shows no files"),
        (b'{"files": [{"key": "../evil", "size": 1, "links": {"self": "http://x/y"}}]}', "no file name"),
        (b'{"files": [{"key": "a", "size": 1, "links": {"self": "file:///etc/passwd"}}]}', "only http and https"),
    ],
)
def test_a_record_that_is_none_or_means_harm_is_refused(server: WebServer, answer: bytes, said: str) -> None:
    server.add("/8", WebFile(answer))
    with pytest.raises(DatasetError, match=said):
        sources_of_record("8", api=server.url)


def test_a_size_that_is_not_the_record_s_is_refused_before_it_is_read(server: WebServer, tmp_path: Path) -> None:
    url = server.add("/walks.zip", WebFile(DATA))
    with pytest.raises(DatasetError, match="the record says 5"):
        fetch(Source(url, "walks.zip", size_bytes=5), tmp_path, wait=Waits())


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "walks.zip", "http:///walks.zip", "http://x/", "http://x/.."]
)
def test_an_address_of_no_file_on_the_web_is_refused(url: str) -> None:
    with pytest.raises(DatasetError, match=r"only http and https|no file name"):
        source_at(url)


def test_a_checksum_that_is_none_is_refused() -> None:
    with pytest.raises(DatasetError, match="64 hexadecimal digits"):
        source_at("http://x/y", "abc")


def test_a_folder_that_cannot_be_made_is_said(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        fetch(source_at(server.add("/walks.bin", WebFile(DATA))), tmp_path / "file", wait=Waits())
