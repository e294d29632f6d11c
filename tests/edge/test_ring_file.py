"""The ring's file: private, whole or not there, one writer, refused where it is none; and the folder it lies in."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from edge.errors import RingError
from edge.ring import N_READERS, RingReader, RingWriter, create_ring, runtime_dir
from tests.edge.test_ring import HEAD_AT, ROOT, patch, read_all, reader_after_writes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring"


# The file


def test_the_file_is_private_and_nothing_else_is_left_in_the_folder(path: Path) -> None:
    RingWriter(path).close()
    assert [entry.name for entry in path.parent.iterdir()] == ["ring"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_create_ring_leaves_an_existing_ring_alone(path: Path) -> None:
    with reader_after_writes(path, 2) as reader:
        before = path.read_bytes()
        create_ring(path, slots=8, slot_bytes=32)
        assert path.read_bytes() == before
        assert len(read_all(reader)) == 2


def test_of_many_that_create_a_ring_at_once_all_end_up_with_the_same_one(path: Path) -> None:
    barrier = threading.Barrier(8)
    inodes = []

    def create() -> None:
        barrier.wait()
        create_ring(path)
        inodes.append(path.stat().st_ino)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inodes) == 8
    assert len(set(inodes)) == 1


def test_a_second_living_writer_is_refused_and_a_later_one_is_not(path: Path) -> None:
    with RingWriter(path), pytest.raises(RingError, match="living writer"):
        RingWriter(path)
    RingWriter(path).close()


def test_a_living_writer_in_another_process_is_noticed(path: Path) -> None:
    code = "import sys, pathlib; from edge.ring import RingWriter; RingWriter(pathlib.Path(sys.argv[1]))"
    with RingWriter(path):
        other = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert "has a living writer already" in other.stderr


def test_a_second_living_reader_of_one_id_is_refused_and_another_id_is_not(path: Path) -> None:
    create_ring(path)
    with RingReader(path, 0), RingReader(path, 1), pytest.raises(RingError, match="living reader 0"):
        RingReader(path, 0)
    RingReader(path, 0).close()


def test_close_is_harmless_when_repeated(path: Path) -> None:
    writer = RingWriter(path)
    writer.close()
    writer.close()


@pytest.mark.parametrize(
    ("at", "data", "message"),
    [
        (0, b"RIFF", "not a ring file"),
        (8, (2).to_bytes(8, sys.byteorder), "ring layout 2, this program has 1"),
        (16, (9).to_bytes(8, sys.byteorder), "header is damaged"),
        (24, (0).to_bytes(8, sys.byteorder), "header is damaged"),
        (24, (2**63).to_bytes(8, sys.byteorder), "header is damaged"),
    ],
)
def test_a_wrong_header_is_refused_by_both_ends(path: Path, at: int, data: bytes, message: str) -> None:
    RingWriter(path).close()
    patch(path, at, data)
    with pytest.raises(RingError, match=message):
        RingWriter(path)
    with pytest.raises(RingError, match=message):
        RingReader(path, 0)


@pytest.mark.parametrize("n_bytes", [0, 7, 31, 4095, 4096, 100_000])
def test_a_file_cut_short_is_refused(path: Path, n_bytes: int) -> None:
    RingWriter(path).close()
    os.truncate(path, n_bytes)
    with pytest.raises(RingError, match=r"not a ring file|header is damaged"):
        RingReader(path, 0)


def test_a_reader_ahead_of_the_writer_is_refused(path: Path) -> None:
    with reader_after_writes(path, 3) as reader:
        read_all(reader)
        reader.commit()
    patch(path, HEAD_AT, (1).to_bytes(8, sys.byteorder))
    with pytest.raises(RingError, match="reader 0 is ahead of the writer"):
        RingReader(path, 0)


def test_another_size_than_the_file_has_is_refused(path: Path) -> None:
    RingWriter(path, slots=8, slot_bytes=64).close()
    with pytest.raises(RingError, match="has 8 slots of 64 bytes, not 8 of 128"):
        RingWriter(path, slots=8, slot_bytes=128)


@pytest.mark.parametrize(("slots", "slot_bytes"), [(1, 64), (8, 16), (8, 60)])
def test_an_impossible_size_is_a_bug_of_the_caller(path: Path, slots: int, slot_bytes: int) -> None:
    with pytest.raises(ValueError, match="a ring needs"):
        create_ring(path, slots=slots, slot_bytes=slot_bytes)
    assert not path.exists()


@pytest.mark.parametrize("reader_id", [-1, N_READERS])
def test_an_impossible_reader_id_is_a_bug_of_the_caller(path: Path, reader_id: int) -> None:
    create_ring(path)
    with pytest.raises(ValueError, match="reader_id must be 0 to 3"):
        RingReader(path, reader_id)


def test_what_is_not_a_plain_private_file_of_this_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = tmp_path / "ring"
    create_ring(ring)
    (tmp_path / "link").symlink_to(ring)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("link", "dangling", "folder", "fifo"):
        with pytest.raises(RingError, match=name):
            RingWriter(tmp_path / name)
        with pytest.raises(RingError, match=name):
            RingReader(tmp_path / name, 0)
    assert not (tmp_path / "nothing").exists()
    ring.chmod(0o640)
    with pytest.raises(RingError, match="not a plain file of this user alone"):
        RingReader(ring, 0)
    ring.chmod(0o600)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: ring.stat().st_uid + 1)
        with pytest.raises(RingError, match="not a plain file of this user alone"):
            RingReader(ring, 0)
    RingReader(ring, 0).close()


def test_a_reader_without_a_ring_is_told_what_to_start(path: Path) -> None:
    with pytest.raises(RingError, match="there is no ring; the ingesting process makes it"):
        RingReader(path, 0)


def test_a_folder_that_is_not_there_is_one_clear_line(path: Path) -> None:
    with pytest.raises(RingError, match="no ring can be made there"):
        RingWriter(path / "below" / "ring")


# The folder


def test_the_runtime_folder_is_private_and_under_xdg_runtime_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir() == runtime_dir() == tmp_path / "frailedge"
    assert stat.S_IMODE((tmp_path / "frailedge").stat().st_mode) == 0o700


@pytest.mark.parametrize("value", [None, "", "relative", "/nowhere/at/all"])
def test_without_a_usable_xdg_runtime_dir_it_is_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    folder = runtime_dir()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_runtime_folder_that_others_may_enter_or_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = runtime_dir()
    folder.chmod(0o755)
    with pytest.raises(RingError, match="mode 0700"):
        runtime_dir()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RingError, match="mode 0700"):
        runtime_dir()
