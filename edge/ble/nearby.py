"""What is near, for `frailedge scan`, and the search before a run: a configuration enters, sensors by their ids leave.

The two functions here that others call open the radio, use it and close it again; they are no coroutines.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import msgspec

from edge.ble.identity import load_salt, sensor_id
from edge.ble.radio import LinkError, Radio, Seen
from edge.ble.selection import Kinds, find_kind, find_sensors, kind_of, known_kinds, wanted_sensors
from edge.config import BleConfig
from edge.errors import RadioError
from edge.run_settings import RunSensor
from edge.sources.conventions import parse_axes

_BATTERY_WITHIN_S: Final = 10.0
Result = TypeVar("Result")


class Nearby(msgspec.Struct, frozen=True):
    """A sensor on the air; ``kind`` is empty where no decoder fits."""

    name: str
    id: str
    rssi_dbm: int
    kind: str
    battery_percent: int | None

    def as_json(self) -> str:
        """One line."""
        return msgspec.json.encode(self).decode()


def scan(config: BleConfig, seconds: float, *, with_battery: bool) -> list[Nearby]:
    """Listen for so long; known kinds first, then by strength of signal."""
    return _with_radio(_scan(config, seconds, load_salt(), with_battery=with_battery))


def look_for_sensors(config: BleConfig, asked: list[str]) -> tuple[RunSensor, ...]:
    """The sensors of a run: those ``asked`` for, those configured, or the only one that is known."""
    wanted = wanted_sensors(config, asked)
    for sensor in wanted:
        parse_axes(sensor.axes or "x,y,z")
        if sensor.kind:
            find_kind(sensor.kind)
    what = " and ".join(sensor.match or sensor.name for sensor in wanted) or "a sensor that is known"
    print(f"looking for {what}, {config.search_s:g} s at most ...", file=sys.stderr)

    async def look() -> tuple[RunSensor, ...]:
        async with Radio(config) as radio:
            return await find_sensors(radio, config, wanted, load_salt())

    return _with_radio(look())


def _with_radio(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(coroutine)
    except LinkError as error:
        raise RadioError(f"the radio does not work: {error}; `frailedge doctor` looks for the reason") from error


async def _scan(config: BleConfig, seconds: float, salt: bytes, *, with_battery: bool) -> list[Nearby]:
    kinds = known_kinds(config)
    async with Radio(config) as radio:
        async with radio.listening() as seen:
            await asyncio.sleep(seconds)
        found = sorted(seen.values(), key=lambda one: (kind_of(one.advert, kinds) is None, -one.rssi_dbm))
        return [await _nearby(radio, one, salt, kinds, with_battery=with_battery) for one in found]


async def _nearby(radio: Radio, seen: Seen, salt: bytes, kinds: Kinds, *, with_battery: bool) -> Nearby:
    name = kind_of(seen.advert, kinds)
    kind = kinds[name] if name else None
    battery_percent = None
    if kind is not None and with_battery:
        try:
            async with asyncio.timeout(_BATTERY_WITHIN_S):
                battery_percent = await _battery(radio, seen, kind.battery_uuid)
        except (LinkError, TimeoutError):
            pass  # it stays unknown, and is shown so: a sensor in use elsewhere is no error of a scan
    return Nearby(
        name=seen.advert.name,
        id=sensor_id(seen.address, salt),
        rssi_dbm=seen.rssi_dbm,
        kind=kind.key if kind else "",
        battery_percent=battery_percent,
    )


async def _battery(radio: Radio, seen: Seen, uuid: str) -> int | None:
    connection = await radio.connect(seen, lambda: None)
    try:
        value = await connection.read(uuid) if connection.has(uuid) else b""
    finally:
        await connection.close()
    return value[0] if value and value[0] <= 100 else None
