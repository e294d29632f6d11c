"""Fixtures: a private D-Bus with a BlueZ on it, which commands started by a test take for the system's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ble.bus import ADDRESS_VARIABLE, PrivateBus
from tests.ble.fake_bluez import FakeBluez


@pytest.fixture
def bluez(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBluez]:
    """An adapter with nothing on the air yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with PrivateBus() as bus, FakeBluez(bus.address) as fake:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        yield fake
