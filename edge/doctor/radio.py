"""Checks of the radio as BlueZ describes it: what `bluez_state` gave or refused goes in, findings come out.

Nothing is asked here but, for its version, the program ``bluetoothctl``.
"""

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Final

from edge.ble.bluez import BluezState, RadioPermissionError, choose_adapter, no_adapter
from edge.doctor.finding import Finding, Level
from edge.errors import RadioError

NOT_BLUEZ: Final = ("permission", "bluez", "rfkill", "main.conf", "shared chip")
"""The checks that mean nothing where a bumble transport is the radio."""

_GOOD_SINCE: Final = (5, 55)
"""bleak's own lower limit; nothing older was tried."""


def check_transport(backend: str) -> Finding:
    """A bumble transport in the place of an adapter: bumble must be there; only a run opens the transport."""
    if importlib.util.find_spec("bumble") is None:
        words = f"ble.backend = {backend!r} needs bumble, which is not installed"
        return Finding("adapter", Level.FAILURE, words, "pip install 'frailedge[bumble]'")
    words = f"whether {backend} answers is not known: only a run opens it"
    return Finding("adapter", Level.WARNING, words, "try frailedge scan")


def check_permission(state: BluezState | RadioError) -> Finding:
    """Whether this user may talk to bluetoothd, which only an answer shows."""
    if isinstance(state, RadioPermissionError):
        return _refused("permission", Level.FAILURE, state)
    if isinstance(state, RadioError):
        return Finding("permission", Level.WARNING, "not known: BlueZ gave no answer", "first see to the line bluez")
    return Finding("permission", Level.OK, "this user may talk to bluetoothd")


def check_adapter(state: BluezState | RadioError, configured: str, root: Path) -> Finding:
    """Whether the adapter that a run would take is there, can do LE, and is switched on.

    Where BlueZ does not answer, the kernel at least knows whether there is any.
    """
    if isinstance(state, RadioError):
        in_kernel = _adapters_in_kernel(root)
        if (root / "sys/class").is_dir() and not in_kernel:
            return _refused("adapter", Level.FAILURE, no_adapter())
        words = f"not known: BlueZ gave no answer; the kernel has {', '.join(in_kernel) or 'nothing to say'}"
        return Finding("adapter", Level.WARNING, words, "first see to the lines above")
    try:
        adapter = choose_adapter(state, configured)
    except RadioError as error:
        return _refused("adapter", Level.FAILURE, error)
    others = [other.name for other in state.adapters if other != adapter]
    words = f"{adapter.name} is switched on" + (f" (there is {', '.join(others)} too)" if others else "")
    if adapter.is_le is None:
        return Finding("adapter", Level.WARNING, f"{words}; BlueZ does not say whether it can do Bluetooth LE")
    return Finding("adapter", Level.OK, f"{words} and can do Bluetooth LE")


def check_version(state: BluezState | RadioError, bluetoothctl: str = "bluetoothctl") -> Finding:
    """BlueZ runs, and is not too old; its version is the daemon's own, else that of its tool."""
    if isinstance(state, RadioPermissionError):
        return Finding("bluez", Level.WARNING, "not known: it may not be asked", "first see to the line permission")
    if isinstance(state, RadioError):
        return _refused("bluez", Level.FAILURE, state)
    version = state.version or _version_of_tool(bluetoothctl)
    if version is None:
        return Finding("bluez", Level.WARNING, "runs, but its version is not known", "see bluetoothctl --version")
    words = f"bluetoothd {version[0]}.{version[1]:02d} runs"
    if version < _GOOD_SINCE:
        limit = f"{_GOOD_SINCE[0]}.{_GOOD_SINCE[1]}"
        return Finding("bluez", Level.WARNING, f"{words}, older than {limit}", "update the system: sudo apt upgrade")
    return Finding("bluez", Level.OK, words)


def adapter_in_use(state: BluezState | RadioError, configured: str, root: Path) -> str:
    """The name of the adapter that the machine's files are to be looked at for; ``""`` where none can be told."""
    if configured:
        return configured
    if isinstance(state, BluezState):
        try:
            return choose_adapter(state, "").name
        except RadioError:
            pass  # said by `check_adapter`; what the kernel sees may tell why
    return next(iter(_adapters_in_kernel(root)), "")


def _adapters_in_kernel(root: Path) -> list[str]:
    """``hci0`` and its like, in order; links, such as ``hci0:11``, stand in the same folder."""
    names = [path.name for path in (root / "sys/class/bluetooth").glob("hci*")]
    return sorted((name for name in names if re.fullmatch(r"hci\d+", name)), key=lambda name: int(name[3:]))


def _version_of_tool(bluetoothctl: str) -> tuple[int, int] | None:
    try:
        run = subprocess.run([bluetoothctl, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+)\.(\d+)", run.stdout)
    return None if match is None else (int(match[1]), int(match[2]))


def _refused(name: str, level: Level, error: RadioError) -> Finding:
    """An error's line, cut where its advice begins."""
    words, _, advice = str(error).partition(": ")
    return Finding(name, level, words, advice)
