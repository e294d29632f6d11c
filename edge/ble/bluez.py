"""What BlueZ says of itself: the system D-Bus is asked, and adapters with a version, or one clear refusal, come out.

It asks one question and changes nothing: no adapter is switched on, no daemon started, no scan begun. No other file
imports dbus-fast, and no Bluetooth address leaves it.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from dbus_fast import (
    AuthError,
    BusType,
    DBusError,
    InvalidAddressError,
    InvalidMessageError,
    Message,
    MessageFlag,
    MessageType,
)
from dbus_fast.aio import MessageBus

from edge.errors import RadioError

DBUS_ERRORS: Final = (AuthError, DBusError, InvalidAddressError, InvalidMessageError, EOFError, OSError)
"""What a bus that ends, or begins, raises through whoever talks over it."""

_ANSWER_WITHIN_S: Final = 5.0
"""bluetoothd answers from memory, within milliseconds; one that takes longer is stuck."""

_NOT_RUNNING: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NoReply",  # it ended while it was asked
    }
)
_ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"

_MODALIAS: Final = re.compile(r"usb:v1D6Bp0246d([0-9A-F]{2})([0-9A-F]{2})", re.IGNORECASE)
"""The ids of BlueZ at the USB Forum, then major and minor version, a byte each: 5.66 is ``0542``."""


class RadioPermissionError(RadioError):
    """D-Bus lets this user not talk to bluetoothd."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One radio: ``hci0``; ``is_le`` says whether it can be the central of a LE link, None where BlueZ doesn't tell."""

    name: str
    is_powered: bool
    is_le: bool | None


@dataclass(frozen=True, slots=True)
class BluezState:
    """All adapters in the order of their numbers, and BlueZ's version, such as (5, 66), where it can be known."""

    adapters: tuple[Adapter, ...]
    version: tuple[int, int] | None


async def bluez_state() -> BluezState:
    """Ask BlueZ once, at ``DBUS_SYSTEM_BUS_ADDRESS`` where that is set.

    `RadioError` where there is no D-Bus, no bluetoothd or no answer; `RadioPermissionError` where this user may not
    ask.
    """
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reply = await _ask()
    except TimeoutError as error:
        raise RadioError(
            f"D-Bus and bluetoothd give no answer within {_ANSWER_WITHIN_S:g} s: sudo systemctl restart bluetooth"
        ) from error
    if reply.message_type is MessageType.ERROR:
        raise _refusal(reply)
    found = []
    version = None
    for path, interfaces in reply.body[0].items():
        values = {name: value.value for name, value in interfaces.get("org.bluez.Adapter1", {}).items()}
        if values:
            roles = values.get("Roles")
            is_le = None if roles is None else "central" in roles
            found.append(Adapter(path.rpartition("/")[2], values.get("Powered", False), is_le))
            version = version or _version(values)
    return BluezState(tuple(sorted(found, key=_number)), version)


async def check_bluez(adapter: str) -> None:
    """`RadioError`, one line that says what to do, unless ``adapter`` (``""``: any) is there and switched on."""
    choose_adapter(await bluez_state(), adapter)


def choose_adapter(state: BluezState, adapter: str) -> Adapter:
    """The adapter of that name, or for ``""`` the first that can be used, as bleak takes it; `RadioError` if none."""
    names = ", ".join(found.name for found in state.adapters)
    if not state.adapters:
        raise no_adapter()
    asked_for = [found for found in state.adapters if adapter in ("", found.name)]
    if not asked_for:
        raise RadioError(f"ble.adapter = {adapter!r} is not there; BlueZ has {names}: name one, or none")
    able = [found for found in asked_for if found.is_le is not False]
    if not able:
        raise RadioError(
            f"{', '.join(found.name for found in asked_for)} cannot be the central of a Bluetooth LE link: "
            "use a dongle with Bluetooth 4.0 or later"
        )
    powered = [found for found in able if found.is_powered]
    if not powered:
        raise RadioError(
            f"{', '.join(found.name for found in able)} is switched off: bluetoothctl power on; where that is "
            "refused, first sudo rfkill unblock bluetooth"
        )
    return powered[0]


def no_adapter() -> RadioError:
    """What to say where there is none."""
    return RadioError(
        "there is no Bluetooth adapter: plug in a USB dongle; on a Raspberry Pi remove dtoverlay=disable-bt from "
        "/boot/firmware/config.txt and reboot"
    )


async def _ask() -> Message:
    try:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    except InvalidAddressError as error:
        raise RadioError(f"DBUS_SYSTEM_BUS_ADDRESS is no address of a D-Bus: {error}") from error
    except AuthError as error:
        raise RadioPermissionError(f"D-Bus does not let this user in: {error}; run as a user of the system") from error
    except PermissionError as error:
        raise RadioPermissionError("D-Bus does not let this user in: its socket is closed to this user") from error
    except (OSError, EOFError) as error:
        raise RadioError(
            f"D-Bus is not running ({getattr(error, 'strerror', None) or error}): sudo systemctl start dbus; in a "
            "container, pass its socket in and set DBUS_SYSTEM_BUS_ADDRESS"
        ) from error
    try:
        return await bus.call(
            Message(
                destination="org.bluez",
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
                flags=MessageFlag.NO_AUTOSTART,
            )
        )
    except (OSError, EOFError) as error:
        raise RadioError("D-Bus ended while it was asked: sudo systemctl status dbus") from error
    finally:
        bus.disconnect()


def _refusal(reply: Message) -> RadioError:
    if reply.error_name in _NOT_RUNNING:
        return RadioError(
            "bluetoothd is not running: sudo systemctl start bluetooth (it starts only where there is an adapter)"
        )
    if reply.error_name == _ACCESS_DENIED:
        return RadioPermissionError(
            "this user may not use Bluetooth: sudo usermod -aG bluetooth $USER (the group bluetooth), then log in again"
        )
    words = " ".join(str(part) for part in reply.body)
    return RadioError(f"bluetoothd refuses to answer ({reply.error_name}: {words}): sudo systemctl restart bluetooth")


def _version(values: dict[str, Any]) -> tuple[int, int] | None:
    match = _MODALIAS.fullmatch(values.get("Modalias", ""))
    return None if match is None else (int(match[1], 16), int(match[2], 16))


def _number(adapter: Adapter) -> tuple[int, str]:
    digits = adapter.name.removeprefix("hci")
    return (int(digits) if digits.isdecimal() else 1 << 16, adapter.name)
