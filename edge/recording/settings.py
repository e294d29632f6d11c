"""What the recorder is told by the supervisor, and what each file of a session says of itself."""

from typing import Final

import msgspec

from edge import __version__
from edge.bundle import Bundle
from edge.errors import RecordingError
from edge.recording.entries import DESCRIBED, RecordedSensor, SessionInfo
from edge.run_settings import RunSensor, RunSettings
from edge.stream.screen import ScreenSpec
from firmware_bridge.kinds import KINDS

_KNOWN_KINDS: Final = {"", *(kind.key for kind in KINDS)}


class RecordSettings(RunSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run with a recorder: ``session`` is `edge.recording.files.session_name` of its beginning.

    ``run_token``, 8 random hexadecimal digits, tells it from any other run.
    """

    session: str
    run_token: str


class RecordedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay needs to judge as live did, every value in full: no default of a later version steps in.

    Nothing else of the configuration is recorded: it tells of hosts, folders and people. ``low_rate``: sensors below
    50 Hz were insisted on.
    """

    screen: ScreenSpec
    low_rate: bool


def session_info(settings: RecordSettings, bundle: Bundle, wall_minus_monotonic_ns: int) -> SessionInfo:
    """What every file of the session says of itself."""
    config = settings.config
    recorded = RecordedSettings(screen=config.screen.spec_for(bundle.manifest), low_rate=config.ble.low_rate)
    return SessionInfo(
        session=settings.session,
        run_token=settings.run_token,
        part=0,
        person=config.record.person,
        sensors=tuple(map(_recorded, settings.sensors)),
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.variant.sha256,
        labels=bundle.manifest.labels,
        version=__version__,
        configuration=msgspec.json.encode(recorded).decode(),
        wall_minus_monotonic_ns=wall_minus_monotonic_ns,
    )


def _recorded(sensor: RunSensor) -> RecordedSensor:
    """A file of the user's own has a name that may be anybody's."""
    kind = sensor.kind if sensor.kind in _KNOWN_KINDS else DESCRIBED
    return RecordedSensor(name=sensor.name, kind=kind, axes=sensor.axes)


def session_configuration(info: SessionInfo) -> RecordedSettings:
    """What a session was judged by; `RecordingError` where this version has other settings, more or fewer."""
    data = info.configuration.encode()
    try:
        found = msgspec.json.decode(data, type=RecordedSettings)
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise RecordingError(_other_settings(info, str(error))) from error
    # What is unknown is passed over in reading, and what is absent has a default: either would judge otherwise.
    if msgspec.json.encode(found) != data:
        raise RecordingError(_other_settings(info, "other keys"))
    return found


def _other_settings(info: SessionInfo, why: str) -> str:
    return (
        f"session {info.session} was recorded by frailedge {info.version} with settings that this one does not have "
        f"({why}): use that version"
    )
