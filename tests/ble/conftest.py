"""Fixtures: a private D-Bus with a BlueZ on it, which commands started by a test take for the system's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ble.bus import ADDRESS_VARIABLE, PrivateBus
from tests.ble.fake_bluez import FakeBluez


@pytest.fixture(autouse=True)
def state_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test leaves a salt in the home of whoever runs it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def bluez(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBluez]:
    """An adapter with nothing on the air yet."""
    with PrivateBus() as bus, FakeBluez(bus.address) as fake:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        yield fake
