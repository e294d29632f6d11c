"""Configuration: typed, read from TOML, every key with its default here; unknown keys are errors.

``configs/default.toml`` shows all keys with their defaults and what they are for. A file given by ``--config`` holds
only what differs; a command's options come last.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.bus import DEFAULT_ENDPOINT, DEFAULT_QUEUE_MESSAGES
from edge.errors import ConfigError
from edge.manifest import Manifest
from edge.messages import Encoding
from edge.stream.gate import MIN_WALKING_SHARE
from edge.stream.quality import Flag, QualityThresholds
from edge.stream.screen import REFUSED_FLAGS, Gravity, Mounting, ScreenSpec
from edge.toml import read_toml

MAX_SENSORS: Final = 2
"""One a foot: what one radio and one processor of a Pi were measured to carry."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are errors."""


class ModelConfig(_Section, frozen=True):
    """Which bundle runs, and how; an empty string stands for the default named here."""

    bundle: str = ""  # a folder; default: the bundle that ships
    variant: str = ""  # default: the one its manifest names
    runtime: str = ""  # ai_edge_litert or tflite_runtime; default: the first of them that is installed


class PublishConfig(_Section, frozen=True):
    """Where results go."""

    endpoint: str = DEFAULT_ENDPOINT
    encoding: Encoding = "msgpack"
    coefficients: bool = False
    signal_decimation: int = 4
    queue_messages: int = DEFAULT_QUEUE_MESSAGES


class LiveConfig(_Section, frozen=True):
    """The processes of `frailedge live`."""

    ring_slots: int = 2048
    max_restarts: int = 10


class SensorConfig(_Section, frozen=True):
    """One sensor that is known: how it is called here, and how it is told from others."""

    name: str  # in every topic
    match: str = ""  # its advertised name, or the id that `frailedge scan` prints; default: the one sensor of ``kind``
    kind: str = ""  # of `frailedge live --list-sensors`, or a TOML file; default: as its advertisement says
    axes: str = ""  # which of its axes point to the toe, to the left and up; default: x,y,z


class BleConfig(_Section, frozen=True):
    """The radio, and how patient to be with it; ``sensors`` are worn at the same time."""

    backend: str = "bluez"  # or a bumble transport, such as usb:0 or tcp-client:127.0.0.1:6402
    adapter: str = ""  # such as hci1; default: the first
    search_s: float = 20.0
    silent_after_s: float = 2.0
    low_rate: bool = False
    sensors: tuple[SensorConfig, ...] = ()


class VirtualConfig(_Section, frozen=True):
    """Who walks in the virtual sensor: names of ``configs/walkers/*.toml``, or paths of such files."""

    sensor: str = "virtual"
    walker: str = "robust"
    then: str = ""
    then_after_s: float = 30.0
    rate_hz: float = 104.0
    seed: int = 1
    drop_share: float = 0.0


# The section has the fields of the signal path's own dataclass, which holds the defaults and their reasons.
_QualityConfig: Any = msgspec.defstruct(
    "QualityConfig",
    [(field.name, type(field.default), field.default) for field in dataclasses.fields(QualityThresholds)],
    bases=(_Section,),
    frozen=True,
    kw_only=True,
)


class ScreenConfig(_Section, frozen=True):
    """Which windows a decision may rest on; where a flag is raised stands in ``quality``."""

    gate: bool = True
    mounting: Mounting = "correct"
    min_walking_share: float = MIN_WALKING_SHARE
    refused_flags: tuple[Flag, ...] = REFUSED_FLAGS
    quality: _QualityConfig = _QualityConfig()

    def spec(self, gravity: Gravity, *, keeps_slope: bool = False) -> ScreenSpec:
        """For signals with gravity ``included`` or ``removed``; `ConfigError` for a threshold that cannot be."""
        try:
            quality = QualityThresholds(**msgspec.structs.asdict(self.quality))
        except ValueError as error:
            raise ConfigError(f"screen.quality: {error}") from error
        return ScreenSpec(
            gravity, self.gate, self.mounting, keeps_slope, self.min_walking_share, self.refused_flags, quality
        )

    def spec_for(self, manifest: Manifest) -> ScreenSpec:
        """For what a model was trained on."""
        return self.spec(manifest.gravity, keeps_slope=not manifest.training.in_foot_frame)


class RecordConfig(_Section, frozen=True):
    """The recording of `frailedge live`."""

    on: bool = False
    directory: str = "recordings"
    rotate_minutes: float = 10.0  # a new file so often; 0 for one file
    person: str = ""  # a pseudonym: letters and digits


class Config(_Section, frozen=True):
    """Everything that can be set."""

    model: ModelConfig = ModelConfig()
    publish: PublishConfig = PublishConfig()
    live: LiveConfig = LiveConfig()
    ble: BleConfig = BleConfig()
    screen: ScreenConfig = ScreenConfig()
    record: RecordConfig = RecordConfig()
    virtual: VirtualConfig = VirtualConfig()


def _check(config: Config) -> Config:
    """Bounds that a type does not say."""
    bounds: list[tuple[str, float, float, float]] = [
        ("publish.signal_decimation", config.publish.signal_decimation, 1, 104),
        ("publish.queue_messages", config.publish.queue_messages, 1, 1_000_000),
        ("live.ring_slots", config.live.ring_slots, 64, 65_536),
        ("live.max_restarts", config.live.max_restarts, 0, 1_000_000),
        ("ble.search_s", config.ble.search_s, 1, 3600),
        ("ble.silent_after_s", config.ble.silent_after_s, 0.5, 60),
        ("screen.min_walking_share", config.screen.min_walking_share, 0, 1),
        ("record.rotate_minutes", config.record.rotate_minutes, 0, 1440),
        ("virtual.rate_hz", config.virtual.rate_hz, 50, 500),
        ("virtual.then_after_s", config.virtual.then_after_s, 0, 1e9),
        ("virtual.seed", config.virtual.seed, 0, 2**32 - 2),
        ("virtual.drop_share", config.virtual.drop_share, 0, 0.9),
    ]
    for key, value, lowest, highest in bounds:
        if not lowest <= value <= highest:
            raise ConfigError(f"{key} = {value:g} is out of range: give a value from {lowest:g} to {highest:g}")
    config.screen.spec("included")
    if not re.fullmatch(r"[A-Za-z0-9]{0,32}", config.record.person):
        raise ConfigError(
            f"record.person {config.record.person!r}: give a pseudonym of at most 32 letters and digits, never a name"
        )
    if config.record.on and not config.record.directory:
        raise ConfigError("record.directory is empty: name the folder for recordings")
    check_sensor_name("virtual.sensor", config.virtual.sensor)
    names = [sensor.name for sensor in config.ble.sensors]
    for name in names:
        check_sensor_name("ble.sensors.name", name)
    if len(set(names)) != len(names):
        raise ConfigError(f"ble.sensors: {', '.join(names)}: give each sensor a name of its own")
    if len(names) > MAX_SENSORS:
        raise ConfigError(f"ble.sensors: {len(names)} sensors; at most {MAX_SENSORS} run at once, one a foot")
    return config


def check_sensor_name(where: str, name: str) -> None:
    """`ConfigError` for a name that cannot stand in a topic."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ConfigError(
            f"{where} {name!r}: a sensor's name has 1 to 64 letters, digits, points, dashes or underscores and no slash"
        )


def load_config(path: Path | None, options: dict[str, Any] | None = None) -> Config:
    """The configuration in force: the defaults, the file, then ``options`` (``{"publish.endpoint": ...}``) not None."""
    config = Config() if path is None else read_toml(path, Config)
    values: dict[str, Any] = msgspec.to_builtins(config)
    for key, value in (options or {}).items():
        if value is not None:
            section, name = key.split(".")
            values[section][name] = value
    return _check(msgspec.convert(values, Config))
