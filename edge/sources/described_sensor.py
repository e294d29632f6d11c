"""A TOML file that describes a sensor of the user's own goes in; a `DeviceKind` that speaks to it comes out.

Whatever is wrong with the file is one line that names it, the key, and what to do. No byte of a sensor is read here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from edge.errors import ConfigError
from edge.sources.conventions import ACC_UNITS, GYR_UNITS
from edge.toml import read_toml
from firmware_bridge.device import DeviceKind, Write
from firmware_bridge.devices.described import described_kind
from firmware_bridge.devices.description import Channel, Clock, Counter, Counts, Description, Number

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHORT_UUID = re.compile(r"[0-9a-f]{4}")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown and missing keys are errors."""


class Acc(_Strict, frozen=True):
    """Where the three accelerations stand, and what a count is worth; ``scale`` is one, or one for each axis."""

    type: str
    offsets: tuple[int, int, int]
    unit: Literal["g", "m/s^2"]
    scale: float | tuple[float, float, float]


class Gyr(_Strict, frozen=True):
    """The same for the three angular rates."""

    type: str
    offsets: tuple[int, int, int]
    unit: Literal["deg/s", "rad/s"]
    scale: float | tuple[float, float, float]


class CounterField(_Strict, frozen=True):
    """A counter, ``modulo`` 0 for its type's."""

    type: str
    offset: int
    counts: Literal["packets", "samples"]
    modulo: int = 0


class ClockField(_Strict, frozen=True):
    """A clock of ticks of ``tick_us``, ``modulo`` 0 for its type's."""

    type: str
    offset: int
    tick_us: float
    sample: Literal["first", "last"] = "first"
    modulo: int = 0


class WriteField(_Strict, frozen=True):
    """Bytes in hexadecimal to write."""

    uuid: str
    hex: str
    with_response: bool = True


class SensorDescription(_Strict, frozen=True):
    """A whole file; ``docs/sensors.md`` says what each key means."""

    key: str
    data: str
    rate_hz: float
    acc_range_g: float
    gyr_range_deg_s: float
    packet_bytes: int
    acc: Acc
    gyr: Gyr
    title: str = ""
    name_prefix: str = ""
    service: str = ""
    samples_per_packet: int = 1
    stride_bytes: int = 0
    axes: str = "the sensor's own"
    frame: Literal["sensor", "foot"] = "sensor"
    counter: CounterField | None = None
    clock: ClockField | None = None
    start: tuple[WriteField, ...] = ()
    stop: tuple[WriteField, ...] = ()


def load_described(path: Path) -> DeviceKind:
    """The sensor that a TOML file describes; `ConfigError` says in a line what is wrong with it."""
    return described_kind(read_description(path))


def read_description(path: Path) -> Description:
    """The same as a description, of which a virtual sensor can be made too."""
    given = read_toml(path, SensorDescription)
    try:
        return _description(given, path)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; docs/sensors.md says what each key means") from error


def _description(given: SensorDescription, path: Path) -> Description:
    if _KEY.fullmatch(given.key) is None:
        raise ValueError(f"key {given.key!r}: a key has 1 to 64 letters, digits, points, dashes or underscores")
    return Description(
        key=given.key,
        title=given.title or given.key,
        data_uuid=_uuid("data", given.data),
        rate_hz=given.rate_hz,
        acc_range_g=given.acc_range_g,
        gyr_range_deg_s=given.gyr_range_deg_s,
        channels=_channels("acc", given.acc, ACC_UNITS[given.acc.unit])
        + _channels("gyr", given.gyr, GYR_UNITS[given.gyr.unit]),
        packet_bytes=given.packet_bytes,
        samples_per_packet=given.samples_per_packet,
        stride_bytes=given.stride_bytes,
        name_prefix=given.name_prefix,
        service_uuid=_uuid("service", given.service) if given.service else "",
        counter=None if given.counter is None else _counter(given.counter),
        clock=None if given.clock is None else _clock(given.clock),
        start=tuple(_write("start", step) for step in given.start),
        stop=tuple(_write("stop", step) for step in given.stop),
        axes=given.axes,
        is_foot_frame=given.frame == "foot",
        source=path.name,
    )


def _channels(name: str, given: Acc | Gyr, si_per_unit: float) -> tuple[Channel, ...]:
    scales = given.scale if isinstance(given.scale, tuple) else (given.scale,) * 3
    with _named(name):
        return tuple(
            Channel(Number(given.type, offset), scale * si_per_unit)
            for offset, scale in zip(given.offsets, scales, strict=True)
        )


def _counter(given: CounterField) -> Counter:
    with _named("counter"):
        return Counter(Number(given.type, given.offset), Counts(given.counts), given.modulo)


def _clock(given: ClockField) -> Clock:
    with _named("clock"):
        return Clock(Number(given.type, given.offset), given.tick_us * 1000, given.modulo, given.sample == "last")


def _write(name: str, given: WriteField) -> Write:
    with _named(name):
        try:
            data = bytes.fromhex(given.hex)
        except ValueError:
            raise ValueError(
                f'hex = {given.hex!r}; write bytes as two hexadecimal digits each, such as "01 0a"'
            ) from None
        if not data:
            raise ValueError("hex is empty; leave the write out, or give its bytes")
        return Write(_uuid("uuid", given.uuid), data, given.with_response)


def _uuid(name: str, given: str) -> str:
    """Whole and in lower case."""
    uuid = given.lower().removeprefix("0x")
    if _SHORT_UUID.fullmatch(uuid):
        return f"0000{uuid}-0000-1000-8000-00805f9b34fb"
    if _UUID.fullmatch(uuid) is None:
        raise ValueError(f"{name} = {given!r} is no UUID; write 32 hexadecimal digits with dashes, or 4")
    return uuid


@contextmanager
def _named(table: str) -> Iterator[None]:
    """Say which table of the file a ValueError is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"in [{table}]: {error}") from error
