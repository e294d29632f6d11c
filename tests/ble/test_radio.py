"""What a radio remembers of what it heard."""

import pytest
from bleak.exc import BleakDeviceNotFoundError, BleakError
from dbus_fast import AuthError, DBusError

from edge.ble import radio as radio_module
from edge.ble.radio import LinkError, Radio, Seen, _as_link_error
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


@pytest.mark.parametrize(
    "error",
    [
        BleakError("gone"),
        AuthError("REJECTED"),
        DBusError("org.freedesktop.DBus.Error.NoReply", "gone"),
        EOFError(),
        TimeoutError(),
        AssertionError(),
        AttributeError("'NoneType' object has no attribute 'call'"),
        KeyError("org.bluez.GattService1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_bleak_and_the_bus_raise_is_an_error_of_the_link(error: Exception) -> None:
    with pytest.raises(LinkError, match=r"^reading failed: .+") as raised, _as_link_error("reading"):
        raise error
    assert raised.value.__cause__ is error


def test_an_error_of_our_own_is_none_of_the_link() -> None:
    with pytest.raises(ZeroDivisionError), _as_link_error("reading"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            BleakError("sensor - C0:FF:EE:00:00:01: Failed to connect after 1 attempt(s): no answer"),
            "connecting failed: Failed to connect after 1 attempt(s): no answer",
        ),
        (
            BleakError('Method "Connect" of /org/bluez/hci0/dev_C0_FF_EE_00_00_01/service001 doesn\'t exist'),
            'connecting failed: Method "Connect" of /org/bluez/hci0/dev_(address)/service001 doesn\'t exist',
        ),
        (
            BleakDeviceNotFoundError("c0:ff:ee:00:00:01", "Device with address c0:ff:ee:00:00:01 was not found"),
            "connecting failed: Device with address (address) was not found",
        ),
        (
            BleakError("no 00002a19-0000-1000-8000-00805f9b34fb at 12:30:00"),
            "connecting failed: no 00002a19-0000-1000-8000-00805f9b34fb at 12:30:00",
        ),
    ],
)
def test_the_text_of_an_error_of_the_link_holds_no_address(error: Exception, words: str) -> None:
    with pytest.raises(LinkError) as raised, _as_link_error("connecting"):
        raise error
    assert str(raised.value) == words
