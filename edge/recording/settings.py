"""What the recorder is told by the supervisor, and what each file of a session says of itself."""

from pathlib import Path
from typing import Any

import msgspec

from edge import __version__
from edge.bundle import Bundle
from edge.config import Config
from edge.recording.entries import RecordedSensor, SessionInfo
from edge.run_settings import RunSettings


class RecordSettings(RunSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run with a recorder; ``session`` is `edge.recording.files.session_name` of its beginning."""

    session: str


def session_info(settings: RecordSettings, bundle: Bundle, wall_minus_monotonic_ns: int) -> SessionInfo:
    """What every file of the session says of itself."""
    return SessionInfo(
        session=settings.session,
        part=0,
        person=settings.config.record.person,
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
