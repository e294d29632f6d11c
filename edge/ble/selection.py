"""Which sensors a run shall use: what the user asked for and what is on the air enter, the run's sensors leave.

Whatever does not fit is a `SensorError` that lists what was seen, by name and salted id; addresses stay inside.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge.ble.identity import sensor_id
from edge.ble.radio import Radio, Seen
from edge.config import MAX_SENSORS, BleConfig, SensorConfig
from edge.errors import ConfigError, SensorError
from edge.run_settings import RunSensor
from edge.sources.described_sensor import load_described
from firmware_bridge.device import Advert, DeviceKind
from firmware_bridge.kinds import KINDS

LOOK_AROUND_S: Final = 3.0
"""After the first known sensor, so long for a second: two on the air, and none is chosen by chance."""
LOOK_AROUND_NAMED_S: Final = 1.5
"""Likewise for what a name or a kind says, of which there is seldom a second. An id has none."""
Kinds = Mapping[str, DeviceKind]
"""Kinds by what `find_kind` finds them by: a key, or the TOML file that describes one."""
KINDS_BY_KEY: Final[Kinds] = {kind.key: kind for kind in KINDS}
_LISTED: Final = 8


def find_kind(name: str) -> DeviceKind:
    """The kind of a key, or of a TOML file; `ConfigError` where there is none."""
    if name.endswith(".toml"):
        return load_described(Path(name))
    if name not in KINDS_BY_KEY:
        known = ", ".join(KINDS_BY_KEY)
        raise ConfigError(f"sensor kind {name!r}: known are {known}, or name a TOML file that describes your sensor")
    return KINDS_BY_KEY[name]


def known_kinds(config: BleConfig) -> Kinds:
    """Those that the configuration describes, then those of the table."""
    described = {sensor.kind: find_kind(sensor.kind) for sensor in config.sensors if sensor.kind.endswith(".toml")}
    return {**described, **KINDS_BY_KEY}


def kind_of(advert: Advert, kinds: Kinds = KINDS_BY_KEY) -> str | None:
    """The first one in ``kinds`` whose sensors advertise like this."""
    return next((name for name, kind in kinds.items() if kind.fits(advert)), None)


def wanted_sensors(config: BleConfig, asked: list[str]) -> tuple[SensorConfig, ...]:
    """``asked`` holds names of configured sensors, advertised names or ids; empty: all that are configured."""
    if not asked:
        return config.sensors
    if len(asked) > MAX_SENSORS:
        raise ConfigError(f"--sensor was given {len(asked)} times: at most {MAX_SENSORS} sensors run at once")
    if len(set(asked)) != len(asked):
        raise ConfigError(f"--sensor {asked[0]} was given twice: name two different sensors")
    by_name = {sensor.name: sensor for sensor in config.sensors}
    return tuple(by_name.get(value) or SensorConfig(name="", match=value) for value in asked)


async def find_sensors(
    radio: Radio, config: BleConfig, wanted: tuple[SensorConfig, ...], salt: bytes
) -> tuple[RunSensor, ...]:
    """Look for the wanted sensors, or for the only known one, ``config.search_s`` at most."""
    kinds = known_kinds(config)
    end_s = time.monotonic() + config.search_s
    found_s: float | None = None
    async with radio.listening() as seen:
        while (now_s := time.monotonic()) < end_s:
            found = [_matches(sensor, seen.values(), salt, kinds) for sensor in wanted or (SensorConfig(name=""),)]
            if all(found):
                found_s = now_s if found_s is None else found_s
                by_id = (_is_by_id(sensor, one, salt) for sensor, (one, *_) in zip(wanted, found, strict=False))
                look_around_s = LOOK_AROUND_NAMED_S if wanted else LOOK_AROUND_S
                if (wanted and all(by_id)) or now_s - found_s > look_around_s:
                    break
            await asyncio.sleep(0.1)
    on_air = dict(seen)
    if not wanted:
        return (_only_known(on_air, salt, kinds),)
    chosen = tuple(_chosen(index, sensor, on_air, salt, kinds, config) for index, sensor in enumerate(wanted))
    if len({sensor.address for sensor in chosen}) != len(chosen):
        raise SensorError(
            f"the sensors asked for are one and the same: {_listed(on_air, salt, kinds)}; name different ones"
        )
    return chosen


def _matches(sensor: SensorConfig, seen: Iterable[Seen], salt: bytes, kinds: Kinds) -> list[Seen]:
    """All that answer to the description."""
    wanted = sensor.match.casefold()
    if wanted:
        return [one for one in seen if wanted in (one.advert.name.casefold(), sensor_id(one.address, salt))]
    if sensor.kind:
        kind = find_kind(sensor.kind)
        return [one for one in seen if kind.fits(one.advert)]
    return [one for one in seen if kind_of(one.advert, kinds) is not None]


def _is_by_id(sensor: SensorConfig, one: Seen, salt: bytes) -> bool:
    return sensor.match.casefold() == sensor_id(one.address, salt)


def _chosen(
    index: int, sensor: SensorConfig, on_air: Mapping[str, Seen], salt: bytes, kinds: Kinds, config: BleConfig
) -> RunSensor:
    found = _matches(sensor, on_air.values(), salt, kinds)
    called = sensor.match or sensor.name
    if not found:
        raise SensorError(
            f"sensor {called!r} was not found within {config.search_s:g} s; seen: {_listed(on_air, salt, kinds)}; "
            "switch it on, bring it near, or name one that is there"
        )
    if len(found) > 1:
        ids = ", ".join(sensor_id(one.address, salt) for one in found)
        raise SensorError(f"sensor {called!r} is not one but {len(found)} ({ids}): name one by its id")
    (one,) = found
    if not sensor.name:
        sensor = _as_configured(sensor, one, config.sensors, salt, kinds)
    kind = sensor.kind or kind_of(one.advert, kinds)
    if kind is None:
        raise SensorError(
            f"sensor {called!r} is there, but no decoder fits what it advertises: say its kind in ble.sensors (one of "
            "`frailedge live --list-sensors`), or describe it in a TOML file"
        )
    return _run_sensor(index, one, sensor, kind, on_air, salt)


def _as_configured(
    asked: SensorConfig, one: Seen, configured: Iterable[SensorConfig], salt: bytes, kinds: Kinds
) -> SensorConfig:
    """With the name, kind and axes of the sensor in the configuration that this is, whatever it was asked for by."""
    known = [sensor for sensor in configured if sensor.match and _matches(sensor, [one], salt, kinds)]
    return msgspec.structs.replace(known[0], match=asked.match) if len(known) == 1 else asked


def _only_known(on_air: Mapping[str, Seen], salt: bytes, kinds: Kinds) -> RunSensor:
    known = [one for one in on_air.values() if kind_of(one.advert, kinds) is not None]
    if not known:
        raise SensorError(
            f"no sensor that is known was found; seen: {_listed(on_air, salt, kinds)}; switch it on and bring it "
            "near, or describe yours in ble.sensors of a --config file"
        )
    if len(known) > 1:
        raise SensorError(
            f"{len(known)} sensors that are known were found: choose by --sensor: {_listed(on_air, salt, kinds)}"
        )
    kind = kind_of(known[0].advert, kinds)
    assert kind is not None, "it was chosen for its kind"
    return _run_sensor(0, known[0], SensorConfig(name=""), kind, on_air, salt)


def _run_sensor(
    index: int, one: Seen, sensor: SensorConfig, kind: str, on_air: Mapping[str, Seen], salt: bytes
) -> RunSensor:
    name = one.advert.name
    is_only_one = bool(name) and sum(other.advert.name == name for other in on_air.values()) == 1
    # Default names are many sensors'; only one whose address changes cannot be known by it.
    goes_by_name = is_only_one and one.changes_address and not _is_by_id(sensor, one, salt)
    return RunSensor(
        stream_id=index,
        name=sensor.name or sensor_id(one.address, salt),
        address=one.address,
        advertised=name if goes_by_name else "",
        kind=kind,
        axes=sensor.axes,
    )


def _listed(on_air: Mapping[str, Seen], salt: bytes, kinds: Kinds) -> str:
    """What was seen, known kinds and strong signals first."""
    ranked = sorted(on_air.values(), key=lambda one: (kind_of(one.advert, kinds) is None, -one.rssi_dbm))
    words = []
    for one in ranked[:_LISTED]:
        kind = kind_of(one.advert, kinds)
        called = kinds[kind].key if kind else "unknown kind"
        words.append(f"{one.advert.name or 'without name'} ({sensor_id(one.address, salt)}, {called})")
    more = f" and {len(ranked) - _LISTED} more" if len(ranked) > _LISTED else ""
    return ", ".join(words) + more if words else "nothing"
