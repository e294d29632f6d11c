"""Who is taken for whom: another address under the same name, private addresses that change, names, kinds and ids."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from bleak.backends.device import BLEDevice

from edge.ble import radio as radio_module
from edge.ble import selection as selection_module
from edge.ble.identity import sensor_id
from edge.ble.radio import Radio, Seen
from edge.ble.selection import find_sensors
from edge.config import BleConfig, SensorConfig
from edge.errors import SensorError
from edge.records import LinkState, LinkStatus
from firmware_bridge.device import Advert, DeviceKind
from firmware_bridge.devices import witmotion
from firmware_bridge.devices.v1 import KIND
from firmware_bridge.events import Block, Gap, Restart
from firmware_bridge.peripheral import Peripheral
from firmware_bridge.peripherals.witmotion import WitMotionPeripheral
from tests.ble.bus import NEEDS_DBUS
from tests.ble.central import LEFT, RIGHT, foot, on_bleak, ramp
from tests.ble.fake_bluez import FakeBluez
from tests.ble.heard import CONFIG, running

pytestmark = NEEDS_DBUS

PRIVATE, PRIVATE_LATER = "4A:00:5E:00:53:01", "5B:00:5E:00:53:01"
"""Of the kind that changes: the top two bits are 01."""
SALT = bytes(16)


def is_heard_since(address: str, since_s: float, seen: Seen) -> bool:
    return seen.address == address and seen.heard_s > since_s


def test_another_sensor_of_the_same_name_is_never_taken_for_one_whose_address_stays(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio_module, "SCAN_SLICE_S", 0.3)
    left = bluez.add(foot(), address=LEFT)

    async def work() -> None:
        async with Radio(CONFIG) as radio, running(tmp_path, radio, advertised="FE-foot") as run:
            await run.ring.state(LinkState.STREAMING)
            other = bluez.add(foot(seed=2), address=RIGHT)
            left.set_on_air(False)
            await run.ring.state(LinkState.SEARCHING)
            for _ in range(3):  # in turns with the session, which hears what is heard here
                await radio.find(partial(is_heard_since, RIGHT, time.monotonic()))
            left.set_on_air(True)
            await run.ring.state(LinkState.STREAMING)
            assert (left.counts.connects, other.counts.connects) == (2, 0)

    on_bleak(work)


class NotingRadio(Radio):
    """Notes whose old connections it ends."""

    def __init__(self, config: BleConfig) -> None:
        super().__init__(config)
        self.released: list[str] = []

    async def release(self, address: str) -> None:
        """As its parent."""
        self.released.append(address)
        await super().release(address)


@pytest.mark.parametrize(("kind", "make"), [(KIND, foot), (witmotion.KIND_WT901BLE, lambda: WitMotionPeripheral(ramp))])
def test_a_private_address_that_changed_is_followed_with_a_warning_and_counts_of_its_own(
    bluez: FakeBluez,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: DeviceKind,
    make: Callable[[], Peripheral],
) -> None:
    before = bluez.add(make(), address=PRIVATE)

    async def work() -> None:
        async with NotingRadio(CONFIG) as radio:  # noqa: SIM117  (asked after the session's end)
            async with running(tmp_path, radio, address=PRIVATE, advertised=make().name, kind=kind) as run:
                await run.ring.state(LinkState.STREAMING)
                await run.ring.blocks(15)
                n_before = len(run.ring.items)
                after = bluez.add(make(), address=PRIVATE_LATER)  # its boot number is the same
                before.set_on_air(False)
                await run.ring.until(lambda item: isinstance(item, Restart))
                await run.ring.blocks(10)
                news = [item for item in run.ring.items[n_before:] if not isinstance(item, LinkStatus)]
                at = next(at for at, item in enumerate(news) if isinstance(item, Restart))
                blocks = [item for item in news[at:] if isinstance(item, Block)]
                assert sum(isinstance(item, Restart) for item in news) == 1
                assert not any(isinstance(item, Gap) for item in news)
                assert all(b.first_sample_index == a.first_sample_index + len(a.samples) for a, b in pairwise(blocks))
                after.drop_link()
                await run.ring.state(LinkState.SEARCHING)
                await run.ring.state(LinkState.STREAMING)
        assert radio.released == [PRIVATE, PRIVATE, PRIVATE_LATER]

    on_bleak(work)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("counting begins anew" in text for text in told) == 1
    assert PRIVATE_LATER not in caplog.text


@pytest.mark.parametrize(
    ("address", "details", "changes"),
    [
        (PRIVATE, {"props": {"AddressType": "random"}}, True),
        (PRIVATE, {"props": {"AddressType": "public"}}, False),
        (LEFT, {"props": {"AddressType": "random"}}, False),
        ("3A:00:5E:00:53:01", {"props": {"AddressType": "random"}}, False),
        (PRIVATE, None, False),
    ],
)
def test_only_resolvable_private_addresses_are_known_to_change(address: str, details: object, changes: bool) -> None:
    seen = Seen(address, Advert("FE-foot"), -60, 0.0, BLEDevice(address, "FE-foot", details))
    assert seen.changes_address is changes


@pytest.mark.parametrize(
    ("address", "asked", "goes_by_name"),
    [(PRIVATE, "FE-foot", True), (PRIVATE, "", False), (LEFT, "FE-foot", False)],
    ids=["private, by name", "private, by id", "static"],
)
def test_a_name_stands_for_a_sensor_only_where_its_address_changes(
    bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch, address: str, asked: str, goes_by_name: bool
) -> None:
    monkeypatch.setattr(selection_module, "LOOK_AROUND_NAMED_S", 0.0)
    bluez.add(foot(), address=address)
    wanted = SensorConfig(name="left", match=asked or sensor_id(address, SALT))

    async def work() -> None:
        async with Radio(CONFIG) as radio:
            (found,) = await find_sensors(radio, CONFIG, (wanted,), SALT)
            assert found.advertised == ("FE-foot" if goes_by_name else "")

    on_bleak(work)


@pytest.mark.parametrize("wanted", [SensorConfig(name="left", match="FE-foot"), SensorConfig(name="left")])
def test_a_second_sensor_that_answers_to_a_name_or_a_kind_is_waited_for(bluez: FakeBluez, wanted: SensorConfig) -> None:
    bluez.add(foot(), address=LEFT)
    late = bluez.add(foot(seed=2), address=RIGHT)
    late.set_on_air(False)

    async def work() -> None:
        async with Radio(CONFIG) as radio:
            looking = asyncio.create_task(find_sensors(radio, CONFIG, (wanted,), SALT))
            while not radio._seen:
                await asyncio.sleep(0)
            late.set_on_air(True)
            with pytest.raises(SensorError, match="not one but 2"):
                await looking

    on_bleak(work)


def test_a_sensor_asked_for_by_its_id_is_taken_at_once(bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_module, "LOOK_AROUND_NAMED_S", 60.0)
    bluez.add(foot(), address=LEFT)
    wanted = SensorConfig(name="left", match=sensor_id(LEFT, SALT))
    config = BleConfig(search_s=60.0)

    async def work() -> None:
        async with Radio(config) as radio:
            (found,) = await find_sensors(radio, config, (wanted,), SALT)
            assert found.address == LEFT

    on_bleak(work)
