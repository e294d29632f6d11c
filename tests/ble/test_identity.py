"""Ids of sensors: the same in each run of one installation, telling nothing elsewhere."""

import re
import threading
from pathlib import Path

import pytest

from edge.ble.identity import load_salt, sensor_id, state_dir
from edge.errors import ConfigError

ADDRESS = "C0:FF:EE:00:00:01"


def test_an_id_stays_the_same_with_the_salt_and_is_another_without_it(tmp_path: Path) -> None:
    salt = load_salt(tmp_path / "a")
    assert load_salt(tmp_path / "a") == salt
    assert sensor_id(ADDRESS, salt) == sensor_id(ADDRESS.lower(), salt)
    assert sensor_id(ADDRESS, salt) != sensor_id(ADDRESS, load_salt(tmp_path / "b"))
    assert sensor_id(ADDRESS, salt) != sensor_id("C0:FF:EE:00:00:02", salt)
    assert re.fullmatch("[0-9a-f]{8}", sensor_id(ADDRESS, salt))


def test_only_its_user_can_read_the_salt_and_nothing_else_is_left(tmp_path: Path) -> None:
    load_salt(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["salt"]
    assert (tmp_path / "salt").stat().st_mode & 0o777 == 0o600


def test_commands_that_begin_at_once_share_one_salt(tmp_path: Path) -> None:
    salts: list[bytes] = []
    start = threading.Barrier(8)

    def load() -> None:
        start.wait()
        salts.append(load_salt(tmp_path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(salts) == 8
    assert len(set(salts)) == 1


def test_a_salt_that_cannot_be_kept_or_is_none_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="XDG_STATE_HOME"):
        load_salt(tmp_path / "file")
    (tmp_path / "salt").write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes where a salt has 16: delete it"):
        load_salt(tmp_path)


def test_what_is_kept_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_dir() == tmp_path / "frailedge"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_dir() == Path.home() / ".local/state/frailedge"
