"""What the recorder is told: its section of the configuration, and the file with which the supervisor starts it."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from edge import __version__
from edge.bundle import Bundle
from edge.config import Config
from edge.errors import ConfigError
from edge.recording.entries import RecordedSensor, SessionInfo
from edge.run_settings import RunSettings

MAX_ROTATE_MINUTES: Final = 1440.0


class RecordConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The recording of `frailedge live`."""

    on: bool = False
    directory: str = "recordings"
    rotate_minutes: float = 10.0  # a new file so often; 0 for one file
    person: str = ""  # a pseudonym: letters and digits


class RecordSettings(RunSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run with a recorder; ``session`` is `edge.recording.files.session_name` of its beginning."""

    record: RecordConfig
    session: str


def check_record(config: RecordConfig) -> None:
    """`ConfigError` for values that a type does not refuse."""
    if not 0 <= config.rotate_minutes <= MAX_ROTATE_MINUTES:
        raise ConfigError(
            f"record.rotate_minutes = {config.rotate_minutes:g} is out of range: give 0 to {MAX_ROTATE_MINUTES:g}"
        )
    if not re.fullmatch(r"[A-Za-z0-9]{0,32}", config.person):
        raise ConfigError(
            f"record.person {config.person!r}: give a pseudonym of at most 32 letters and digits, never a name"
        )
    if config.on and not config.directory:
        raise ConfigError("record.directory is empty: name the folder for recordings")


def session_info(settings: RecordSettings, bundle: Bundle, wall_minus_monotonic_ns: int) -> SessionInfo:
    """What every file of the session says of itself."""
    return SessionInfo(
        session=settings.session,
        part=0,
        person=settings.record.person,
        sensors=tuple(RecordedSensor(name=one.name, kind=_last_part(one.kind)) for one in settings.sensors),
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.variant.sha256,
        version=__version__,
        configuration=msgspec.json.encode(_public(msgspec.to_builtins(settings.config))).decode(),
        wall_minus_monotonic_ns=wall_minus_monotonic_ns,
    )


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what it may say of people and their sensors: folders, advertised names, pseudonyms."""
    hidden = {"match", "person", "directory"}
    return {key: _shown(value) for key, value in config.items() if key not in hidden}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return _public(value)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return _last_part(value) if isinstance(value, str) and not value.startswith("tcp://") else value


def _last_part(text: str) -> str:
    return Path(text).name if "/" in text else text


def session_configuration(info: SessionInfo) -> Config:
    """The configuration that a session was recorded with, as far as it was recorded."""
    return msgspec.convert(msgspec.json.decode(info.configuration), Config)
