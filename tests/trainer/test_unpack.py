"""Zips, honest and hostile: everything below the folder, or nothing at all."""

import stat
import zipfile
from pathlib import Path

import pytest

from edge.errors import DatasetError
from trainer.unpack import unpack


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_files_lie_below_the_folder_and_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"G/": b"", "G/V001.txt": b"1" * 1000, "G/deep/V002.txt": b"2"})
    out = tmp_path / "out"
    out.mkdir()
    seen: list[tuple[int, int]] = []
    assert unpack(archive, out, on_file=lambda done, total: seen.append((done, total))) == 2
    assert seen == [(1, 2), (2, 2)]
    assert (out / "G/V001.txt").read_bytes() == b"1" * 1000
    (out / "G/deep/V002.txt").unlink()
    before = (out / "G/V001.txt").stat().st_mtime_ns
    seen.clear()
    assert unpack(archive, out, on_file=lambda done, total: seen.append((done, total))) == 2
    assert seen == [(2, 2)], "only what was missing"
    assert (out / "G/V001.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "G/../../evil.txt", "..\\evil.txt", "G/.."])
def test_a_path_that_leads_out_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    archive = _zip(tmp_path / "a.zip", {"good.txt": b"1", name: b"2"})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DatasetError, match="outside of the folder; nothing was unpacked"):
        unpack(archive, out)
    assert list(out.iterdir()) == []
    assert not (tmp_path / "evil.txt").exists()


def test_a_link_in_the_archive_or_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(elsewhere))
    with pytest.raises(DatasetError, match="is a link"):
        unpack(tmp_path / "a.zip", out)
    (out / "G").symlink_to(elsewhere)
    with pytest.raises(DatasetError, match="outside of the folder"):
        unpack(_zip(tmp_path / "b.zip", {"G/evil.txt": b"1"}), out)
    assert list(elsewhere.iterdir()) == []


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"G/V001.txt": b"1", "G/V002.txt": b"2"})
    (tmp_path / "G").mkdir()
    (tmp_path / "G/V002.txt").write_bytes(b"3")
    with pytest.raises(DatasetError, match=r"V002\.txt: there already.*nothing was unpacked"):
        unpack(archive, tmp_path)
    assert not (tmp_path / "G/V001.txt").exists()
    assert (tmp_path / "G/V002.txt").read_bytes() == b"3"


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b/c", "a"]])
def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path, names: list[str]) -> None:
    archive = _zip(tmp_path / "a.zip", dict.fromkeys(names, b"1"))
    with pytest.raises(DatasetError, match="one name"):
        unpack(archive, tmp_path)


def test_a_damaged_zip_is_said_and_leaves_no_half_file(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"V001.txt": b"1234567890" * 100})
    data = bytearray(archive.read_bytes())
    data[45] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match="fetch it anew"):
        unpack(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    archive.write_bytes(b"PK no zip")
    with pytest.raises(DatasetError, match="no zip that can be read"):
        unpack(archive, tmp_path)
