"""Checks of the machine by its files: switches that silence the radio, a chip shared with Wi-Fi, the clock, the disks.

A root folder and the name of an adapter go in, findings come out. Reads only; of programs it asks ``timedatectl``.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from edge.ble.identity import state_dir
from edge.config import Config
from edge.doctor.finding import Finding, Level
from edge.errors import RingError
from edge.ring import DEFAULT_SLOT_BYTES, runtime_dir

_MIB: Final = 1 << 20
_ROOM_FOR_RECORDINGS_BYTES: Final = 500 * _MIB
"""Days of walking at about 6 MB an hour."""


def check_rfkill(adapter: str, root: Path) -> Finding:
    """Whether a switch silences the radio: its own, or one for all of Bluetooth; other adapters' don't count."""
    hard, soft, n_seen = [], [], 0
    for folder in sorted((root / "sys/class/rfkill").glob("rfkill*")):
        try:
            kind, name, is_soft, is_hard = (
                (folder / file).read_text(encoding="utf-8").strip() for file in ("type", "name", "soft", "hard")
            )
        except OSError:
            continue  # a dongle just pulled out; a switch that is not there silences nothing
        if kind != "bluetooth" or (name.startswith("hci") and adapter not in ("", name)):
            continue
        n_seen += 1
        hard += [name] if is_hard != "0" else []
        soft += [name] if is_soft != "0" else []
    if hard:
        words = f"a switch of the machine silences {', '.join(hard)}"
        return Finding("rfkill", Level.FAILURE, words, "turn the switch, or allow Bluetooth in the firmware's settings")
    if soft:
        return Finding("rfkill", Level.FAILURE, f"{', '.join(soft)} is blocked", "sudo rfkill unblock bluetooth")
    if not n_seen:
        return Finding("rfkill", Level.WARNING, "not known: the kernel shows no switch for Bluetooth")
    return Finding("rfkill", Level.OK, "nothing blocks Bluetooth")


def check_shared_chip(adapter: str, root: Path) -> Finding:
    """Whether Wi-Fi uses the chip of the adapter: they then take turns, and links break while Wi-Fi is busy."""
    name = "shared chip"
    wifi = [
        path.name
        for path in sorted((root / "sys/class/net").glob("*"))
        if (path / "wireless").is_dir() and _text(path / "operstate") == "up"
    ]
    if not (root / "sys/class/net").is_dir():
        return Finding(name, Level.WARNING, "not known: the kernel shows no network interfaces")
    if not wifi:
        return Finding(name, Level.OK, "Wi-Fi is not in use")
    bus = _bus(adapter, root)
    model = _text(root / "proc/device-tree/model")
    if "Raspberry Pi" not in model or not bus:
        words = f"not known whether Wi-Fi ({', '.join(wifi)}) and {adapter or 'the adapter'} are one chip"
        return Finding(name, Level.WARNING, words, "where links break, switch Wi-Fi off, or use a USB dongle")
    if bus == "usb":
        return Finding(name, Level.OK, f"{adapter} is on USB, Wi-Fi on the board's chip")
    return Finding(
        name,
        Level.WARNING,
        f"{adapter} and Wi-Fi ({', '.join(wifi)}) are one chip of this {model}",
        "where links break, use a cable or Wi-Fi at 5 GHz, or a USB dongle with dtoverlay=disable-bt",
    )


def check_clock(root: Path, timedatectl: str = "timedatectl") -> Finding:
    """Whether messages and recordings carry the right time of day; sample times do not depend on it."""
    advice = "connect it to a network once, or set it: sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"
    if (root / "run/systemd/timesync/synchronized").exists():
        return Finding("clock", Level.OK, "was set by a time server since the machine started")
    try:
        run = subprocess.run(
            [timedatectl, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        answer = run.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    if answer == "yes":
        return Finding("clock", Level.OK, "is kept by a time server")
    if answer == "no":
        return Finding("clock", Level.WARNING, "no time server has set it: messages may carry a wrong date", advice)
    return Finding("clock", Level.WARNING, "not known whether a time server has set it: timedatectl does not say")


def check_disk(config: Config) -> Finding:
    """Room for the ring where runs go, and for what is kept where state goes; both writable."""
    try:
        run_folder = runtime_dir()
    except RingError as error:
        return Finding("disk", Level.FAILURE, str(error))
    needed_bytes = config.live.ring_slots * DEFAULT_SLOT_BYTES + _MIB  # the ring, and the settings of its processes
    kept_folder = next(path for path in (state_dir(), *state_dir().parents) if os.access(path, os.F_OK))
    for folder in (run_folder, kept_folder):
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding("disk", Level.FAILURE, f"{folder} cannot be written to", "make it this user's own")
    run_bytes, kept_bytes = (shutil.disk_usage(folder).free for folder in (run_folder, kept_folder))
    if run_bytes < needed_bytes:
        words = f"{run_folder} has {run_bytes / _MIB:.1f} MiB free, a run needs {needed_bytes / _MIB:.1f}"
        return Finding("disk", Level.FAILURE, words, "make room, or lower live.ring_slots")
    if kept_bytes < _ROOM_FOR_RECORDINGS_BYTES:
        words = f"{kept_folder} has only {kept_bytes // _MIB} MiB free"
        return Finding("disk", Level.WARNING, words, "make room: df -h shows where")
    words = f"{run_bytes // _MIB} MiB free for runs in {run_folder}, {kept_bytes // _MIB} MiB for what is kept"
    return Finding("disk", Level.OK, words)


def _bus(adapter: str, root: Path) -> str:
    """``usb`` or ``uart``, by the way the kernel's device tree takes to the adapter; ``""`` for any other or none."""
    path = root / "sys/class/bluetooth" / adapter
    if not adapter or not path.exists():
        return ""
    parts = path.resolve().parts
    if any(re.fullmatch(r"usb\d+", part) for part in parts):
        return "usb"
    return "uart" if any(re.search(r"^serial\d|\.serial$|^tty", part) for part in parts) else ""


def _text(path: Path) -> str:
    """A small file of the kernel's, without the zero that ends those of the device tree; ``""`` where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
