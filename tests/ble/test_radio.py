"""What a radio remembers of what it heard."""

import pytest

from edge.ble import radio as radio_module
from edge.ble.radio import Radio, Seen
from edge.config import BleConfig
from tests.ble.bus import NEEDS_DBUS
from tests.ble.central import LEFT, RIGHT, foot, on_bleak
from tests.ble.fake_bluez import FakeBluez

pytestmark = NEEDS_DBUS


def test_a_search_forgets_what_was_not_heard_for_long(bluez: FakeBluez, monkeypatch: pytest.MonkeyPatch) -> None:
    left = bluez.add(foot("FE-left"), address=LEFT)
    bluez.add(foot("FE-right"), address=RIGHT)

    def is_right(seen: Seen) -> bool:
        return seen.advert.name == "FE-right"

    async def work() -> None:
        async with Radio(BleConfig()) as radio:
            await radio.find(lambda seen: seen.advert.name == "FE-left")
            left.set_on_air(False)
            await radio.find(is_right)
            async with radio.listening() as seen:
                assert LEFT in seen, "heard a moment ago"
            monkeypatch.setattr(radio_module, "HEARD_WITHIN_S", 0.0)
            await radio.find(is_right)
            async with radio.listening() as seen:
                assert LEFT not in seen
                assert RIGHT in seen

    on_bleak(work)
