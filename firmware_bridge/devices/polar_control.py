"""Polar's measurement control point: which measurements there are, their settings, and its answers.

Values read and indications enter, values and commands leave; whatever is not as Polar's SDK has it (``PmdFeature``,
``PmdSetting``, ``PmdControlPointResponse``) is a `DeviceError`. Nothing is sent from here.
"""

import math
import struct
from collections.abc import Mapping
from typing import Final

from firmware_bridge.device import DeviceError

GET_SETTINGS: Final = 1
START: Final = 2
STOP: Final = 3

RATE: Final = 0
RESOLUTION: Final = 1
RANGE: Final = 2
RANGE_MILLI: Final = 3
CHANNELS: Final = 4
FACTOR: Final = 5

DONE: Final = 0
ALREADY: Final = 6

Settings = Mapping[int, tuple[int, ...]]
"""By setting: the values on offer."""

_FIELD_BYTES: Final = {RATE: 2, RESOLUTION: 2, RANGE: 2, RANGE_MILLI: 4, CHANNELS: 1, FACTOR: 4}
_FEATURES: Final = 0x0F
_ANSWER: Final = 0xF0
_COMMANDS: Final = {GET_SETTINGS: "say its settings", START: "start", STOP: "stop"}
_KINDS: Final = {2: "acceleration", 5: "rotation"}
_STATUSES: Final = (
    "done",
    "invalid command",
    "invalid measurement type",
    "not supported",
    "invalid length",
    "invalid parameter",
    "already in that state",
    "invalid resolution",
    "invalid sample rate",
    "invalid range",
    "invalid MTU",
    "invalid number of channels",
    "invalid state",
    "it is in its charger",
    "its disk is full",
)


def features(value: bytes) -> frozenset[int]:
    """The measurement types in a read of the control point, a bit each."""
    if len(value) < 2 or value[0] != _FEATURES:
        raise DeviceError(f"its control point says {value[:4].hex(' ')} instead of its features; update its firmware")
    return frozenset(kind for kind in range(8) if value[1] >> kind & 1)


def parse_settings(parameters: bytes) -> Settings:
    """Settings on offer: each its number, how many values, and these."""
    found: dict[int, tuple[int, ...]] = {}
    rest = parameters
    while rest:
        width = _FIELD_BYTES.get(rest[0])
        end = 2 + rest[1] * width if width is not None and len(rest) >= 2 else 0
        if width is None or end == 0 or end > len(rest):
            raise DeviceError(f"its settings cannot be read ({parameters.hex(' ')}); update its firmware")
        found[rest[0]] = tuple(int.from_bytes(rest[at : at + width], "little") for at in range(2, end, width))
        rest = rest[end:]
    return found


def factor(settings: Settings) -> float:
    """From counts to the frame's unit; 1 where the sensor says none."""
    if not settings.get(FACTOR):
        return 1.0
    value: float = struct.unpack("<f", settings[FACTOR][0].to_bytes(4, "little"))[0]
    if not (math.isfinite(value) and value > 0):
        raise DeviceError(f"its conversion factor is {value}; update its firmware")
    return value


def get_settings(kind: int) -> bytes:
    """Ask what is on offer."""
    return bytes([GET_SETTINGS, kind])


def start(kind: int, chosen: Mapping[int, int]) -> bytes:
    """Start a measurement with one value for each setting."""
    command = bytes([START, kind])
    for setting, value in chosen.items():
        command += bytes([setting, 1]) + value.to_bytes(_FIELD_BYTES[setting], "little")
    return command


def stop(kind: int) -> bytes:
    """Stop a measurement."""
    return bytes([STOP, kind])


def status(answer: bytes, command: int, kind: int) -> int:
    """What an answer says, once it is one to that command."""
    if len(answer) < 4 or answer[0] != _ANSWER or answer[1] != command or answer[2] != kind:
        raise DeviceError(
            f"its answer to {_COMMANDS[command]} for {_KINDS[kind]} is none ({answer[:8].hex(' ')}); "
            "switch it off and on"
        )
    return answer[3]


def parameters(answer: bytes, command: int, kind: int) -> bytes:
    """What follows in an answer that says done."""
    code = status(answer, command, kind)
    if code != DONE:
        words = _STATUSES[code] if code < len(_STATUSES) else "unknown"
        raise DeviceError(
            f"it does not {_COMMANDS[command]} for {_KINDS[kind]}: {words} (status {code}); "
            "take it off its charger, end other recordings, switch it off and on"
        )
    if len(answer) > 4 and answer[4] != 0:
        raise DeviceError(f"its answer to {_COMMANDS[command]} has more parts than one; update its firmware")
    return answer[5:]
