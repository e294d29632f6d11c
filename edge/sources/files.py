"""The one way from a file to a `Recording`: by its sensor's description where one is named, else as GSTRIDE has it."""

from pathlib import Path

from edge.errors import ConfigError
from edge.sources.described import read_described
from edge.sources.gstride import Overrides, read_gstride
from edge.sources.recording import Recording


def read_recording(
    path: Path,
    *,
    sensor: str | None = None,
    side: str | None = None,
    rate_hz: float | None = None,
    units: str | None = None,
    axes: str | None = None,
    sensors_dir: Path | None = None,
) -> Recording:
    """Read a recorded file; the arguments are the command's options of the same names.

    ``sensor`` is a name in ``sensors_dir`` (default: the ``sensors`` folder of `edge.paths.configs_dir`) or the path of
    a TOML file. `RecordingError` says what is wrong with the file, `ConfigError` what is wrong with an option.
    """
    if side not in {None, "left", "right"}:
        raise ConfigError(f"--side {side}: say left or right")
    if sensor is not None:
        given = {"--rate-hz": rate_hz, "--units": units, "--axes": axes}
        if stray := [option for option, value in given.items() if value is not None]:
            raise ConfigError(
                f"{' and '.join(stray)} with --sensor {sensor}: the sensor's file says that; leave it out"
            )
        return read_described(path, sensor, side, sensors_dir)
    if side is not None:
        raise ConfigError(f"--side {side} needs --sensor: GSTRIDE recordings have one foot")
    return read_gstride(path, Overrides(rate_hz, units, axes))
