"""Connection parameters that bluetoothd gives the kernel: ``/etc/bluetooth/main.conf`` in, a finding out.

The kernel's own are a 30-50 ms interval and 0.42 s until a silent link counts as lost: too slow for a sensor that
sends 26 times a second, and too impatient for a foot that the body hides. bluetoothd reads one file and has no folder
for additions, so the lines must stand in that file.
"""

from pathlib import Path
from typing import Final

from edge.doctor.finding import Finding, Level

WANTED: Final = {
    "MinConnectionInterval": 12,
    "MaxConnectionInterval": 12,
    "ConnectionLatency": 0,
    "ConnectionSupervisionTimeout": 400,
}
"""Intervals in 1.25 ms, the timeout in 10 ms: an exchange every 15 ms, none left out, lost after 4 s."""

_ADVICE: Final = (
    "frailedge doctor --main-conf | sudo tee -a /etc/bluetooth/main.conf && sudo systemctl restart bluetooth"
)


def fragment() -> str:
    """The lines to append to ``main.conf``; a second ``[LE]`` adds to the first, and the last of two values counts."""
    lines = [
        "# frailedge: an exchange every 12 x 1.25 = 15 ms, none skipped; a silent link is lost after 400 x 10 ms = 4 s",
        "[LE]",
        *(f"{key}={value}" for key, value in WANTED.items()),
    ]
    return "\n".join(lines) + "\n"


def check_main_conf(root: Path) -> Finding:
    """Whether the file asks for links at least as quick and as patient as `WANTED`.

    What the kernel goes by can only root see; the file is in force once bluetoothd was started after its last change.
    """
    path = root / "etc/bluetooth/main.conf"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if not path.parent.is_dir():
            return Finding("main.conf", Level.WARNING, f"there is no {path.parent}", "sudo apt install bluez")
        return _warning("there is no such file, so the kernel's 30-50 ms interval and 0.42 s timeout are in force")
    except OSError as error:
        return Finding("main.conf", Level.WARNING, f"not known: it cannot be read: {error.strerror}")
    values = _le_values(text)
    if isinstance(values, int):
        words = f"bluetoothd ignores the file: its line {values} is no [group], key=value or # comment"
        return Finding("main.conf", Level.WARNING, words, "correct the line, then sudo systemctl restart bluetooth")
    wrong = [f"{key} {_shown(values.get(key))}" for key in WANTED if not _fits(key, values.get(key))]
    if wrong:
        return _warning(f"[LE] {', '.join(wrong)}: links are slower or lost sooner than they need be")
    interval_ms = _number(values["MaxConnectionInterval"]) or 0
    timeout_s = (_number(values["ConnectionSupervisionTimeout"]) or 0) / 100
    words = f"asks for an interval of {interval_ms * 1.25:g} ms and a timeout of {timeout_s:g} s"
    return Finding("main.conf", Level.OK, words)


def _fits(key: str, given: str | None) -> bool:
    wanted = WANTED[key]
    value = None if given is None else _number(given)
    if value is None:
        return False
    return value >= wanted if key == "ConnectionSupervisionTimeout" else value <= wanted


def _shown(given: str | None) -> str:
    if given is None:
        return "is not set"
    return f"is {given}" if _number(given) is not None else f"is {given!r}, which is no number"


def _number(text: str) -> int | None:
    """As bluetoothd reads a number: decimal or hexadecimal."""
    try:
        return int(text, 0)
    except ValueError:
        return None


def _le_values(text: str) -> dict[str, str] | int:
    """The keys of ``[LE]``, or the number of the first line for which GLib's reader gives the whole file up."""
    values: dict[str, str] = {}
    group = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif "=" in line and group:
            key, _, value = line.partition("=")
            if group == "LE":
                values[key.strip()] = value.strip()
        else:
            return number
    return values


def _warning(words: str) -> Finding:
    return Finding("main.conf", Level.WARNING, words, _ADVICE)
