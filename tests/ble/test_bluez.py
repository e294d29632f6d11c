"""What BlueZ says over a real D-Bus, and the one line for each way in which there is no Bluetooth to be had."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from edge.ble.bluez import Adapter, BluezState, RadioPermissionError, bluez_state, check_bluez, choose_adapter
from edge.errors import RadioError
from tests.ble.bus import ADDRESS_VARIABLE, NEEDS_DBUS, PrivateBus
from tests.ble.fake_bluez import FakeBluez

pytestmark = NEEDS_DBUS


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    with PrivateBus() as bus:
        monkeypatch.setenv(ADDRESS_VARIABLE, bus.address)
        yield bus


def refusal(adapter: str = "") -> str:
    """The line with which `check_bluez` refuses."""
    with pytest.raises(RadioError) as refused:
        asyncio.run(check_bluez(adapter))
    line = str(refused.value)
    assert "\n" not in line
    return line


def state_from(bus: PrivateBus, answer: Callable[[Message], Message | bool]) -> BluezState:
    """What is made of the ``answer`` of a bluetoothd that is there."""

    async def ask() -> BluezState:
        service = await MessageBus(bus_address=bus.address).connect()
        service.add_message_handler(
            lambda message: answer(message) if message.message_type is MessageType.METHOD_CALL else None
        )
        await service.request_name("org.bluez")
        try:
            return await bluez_state()
        finally:
            service.disconnect()

    return asyncio.run(ask())


def allow_only(bus: PrivateBus, *replaced: tuple[str, str]) -> None:
    """Start the bus anew with other rules."""
    bus.kill()
    path = Path(bus.address.removeprefix("unix:path=")).with_name("bus.conf")
    rules = path.read_text(encoding="utf-8")
    for old, new in replaced:
        assert old in rules
        rules = rules.replace(old, new)
    path.write_text(rules, encoding="utf-8")
    bus.start()


def test_an_adapter_its_state_and_the_version_of_bluez_are_known_and_no_address(bus: PrivateBus) -> None:
    with FakeBluez(bus.address):
        state = asyncio.run(bluez_state())
        asyncio.run(check_bluez(""))
        asyncio.run(check_bluez("hci0"))
    assert state == BluezState((Adapter("hci0", is_powered=True, is_le=True),), (5, 66))
    assert "00:00" not in repr(state)


def test_adapters_come_by_number_and_what_bluez_does_not_say_is_not_known(bus: PrivateBus) -> None:
    objects = {
        "/org/bluez": {"org.bluez.AgentManager1": {}},
        "/org/bluez/hci10": {
            "org.bluez.Adapter1": {
                "Powered": Variant("b", True),
                "Modalias": Variant("s", "bluetooth:v1234p0246d0542"),
                "Roles": Variant("as", ["peripheral"]),
            }
        },
        "/org/bluez/hci2": {"org.bluez.Adapter1": {"Powered": Variant("b", False)}},
    }
    state = state_from(bus, lambda message: Message.new_method_return(message, "a{oa{sa{sv}}}", [objects]))
    assert state.adapters == (
        Adapter("hci2", is_powered=False, is_le=None),
        Adapter("hci10", is_powered=True, is_le=False),
    )
    assert state.version is None


def test_no_d_bus_is_one_line(bus: PrivateBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bus.kill()
    assert "D-Bus is not running" in refusal()  # its socket is still there
    monkeypatch.setenv(ADDRESS_VARIABLE, f"unix:path={tmp_path}/none")
    assert "D-Bus is not running" in refusal()
    monkeypatch.setenv(ADDRESS_VARIABLE, "nonsense")
    assert "DBUS_SYSTEM_BUS_ADDRESS" in refusal()


def test_no_bluetoothd_is_one_line_and_asking_starts_none(bus: PrivateBus, tmp_path: Path) -> None:
    (tmp_path / "org.bluez.service").write_text(
        f"[D-BUS Service]\nName=org.bluez\nExec=/usr/bin/touch {tmp_path}/started\n", encoding="utf-8"
    )
    allow_only(bus, ("<auth>", f"<servicedir>{tmp_path}</servicedir><auth>"))
    assert refusal() == (
        "bluetoothd is not running: sudo systemctl start bluetooth (it starts only where there is an adapter)"
    )
    assert not (tmp_path / "started").exists()


def test_a_user_whom_the_rules_of_the_bus_keep_from_bluez_hears_of_the_group(bus: PrivateBus) -> None:
    allow_only(bus, ("</policy>", '<deny send_destination="org.bluez"/></policy>'))
    with FakeBluez(bus.address):
        assert "usermod -aG bluetooth" in refusal()


def test_a_user_whom_the_bus_does_not_let_in_is_told_so(bus: PrivateBus) -> None:
    allow_only(bus, ("EXTERNAL", "DBUS_COOKIE_SHA1"))
    with pytest.raises(RadioPermissionError, match="does not let this user in"):
        asyncio.run(bluez_state())


def test_a_bluetoothd_that_is_stuck_is_waited_for_only_so_long(
    bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.ble.bluez._ANSWER_WITHIN_S", 0.1)
    with pytest.raises(RadioError, match=r"no answer within 0\.1 s"):
        state_from(bus, lambda _: True)


def test_another_error_of_bluetoothd_is_shown(bus: PrivateBus) -> None:
    with pytest.raises(RadioError, match=r"org\.bluez\.Error\.Failed: no memory"):
        state_from(bus, lambda message: Message.new_error(message, "org.bluez.Error.Failed", "no memory"))


def test_an_adapter_that_is_missing_named_wrongly_or_switched_off_is_one_line_each(bus: PrivateBus) -> None:
    with FakeBluez(bus.address) as bluez:
        wrong_name = refusal("hci1")
        assert "'hci1'" in wrong_name
        assert "BlueZ has hci0" in wrong_name
        bluez.power(False)
        assert "hci0 is switched off" in refusal()
        assert "rfkill unblock" in refusal("hci0")
        bluez.remove_adapter()
        assert "no Bluetooth adapter" in refusal()
        bluez.restore_adapter()
        bluez.power(True)
        asyncio.run(check_bluez("hci0"))
        bluez.stop()
        assert "bluetoothd is not running" in refusal("hci0")


def test_of_several_adapters_the_first_that_can_be_used_is_taken() -> None:
    classic = Adapter("hci0", is_powered=True, is_le=False)
    off = Adapter("hci1", is_powered=False, is_le=True)
    good = Adapter("hci2", is_powered=True, is_le=True)
    state = BluezState((classic, off, good, Adapter("hci3", is_powered=True, is_le=True)), None)
    assert choose_adapter(state, "") == good
    assert choose_adapter(state, "hci3").name == "hci3"
    with pytest.raises(RadioError, match="hci0 cannot be the central"):
        choose_adapter(state, "hci0")
    with pytest.raises(RadioError, match="hci1 is switched off"):
        choose_adapter(BluezState((classic, off), None), "")


def test_a_d_bus_that_ends_while_it_is_asked_is_one_line(bus: PrivateBus) -> None:
    def end(_: Message) -> bool:
        bus.kill()
        return True

    with pytest.raises(RadioError, match="D-Bus ended"):
        state_from(bus, end)
