"""A TOML file with one person's gait figures goes in, the parameters of the virtual walker come out."""

from pathlib import Path

import msgspec

from edge.errors import ConfigError
from edge.paths import configs_dir
from edge.sources.register import Label
from edge.toml import read_toml
from firmware_bridge.gait import Figure, GaitParameters


class _FigureEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mean: float
    std: float


class _Gait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`GaitParameters` as it stands in the file."""

    stride_time_s: _FigureEntry
    load_percent: _FigureEntry
    foot_flat_percent: _FigureEntry
    push_percent: _FigureEntry
    swing_percent: _FigureEntry
    toe_off_angle_deg: _FigureEntry
    heel_strike_angle_deg: _FigureEntry
    stride_length_m: _FigureEntry
    clearance_m: _FigureEntry


class _WalkerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``label`` is what the person's register says; the walker does not use it."""

    label: Label
    gait: _Gait


def walker_path(name: str) -> Path:
    """The file of a walker by its name, or a TOML file of the user's own by its path."""
    return Path(name) if name.endswith(".toml") else configs_dir() / "walkers" / f"{name}.toml"


def read_walker(path: Path) -> GaitParameters:
    """The gait of one walker; `ConfigError` names the file and the figure that does not fit."""
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (configs_dir() / "walkers").glob("*.toml")))
        raise ConfigError(f"{path}: no such walker; known are {known}, or name a TOML file of your own")
    gait = read_toml(path, _WalkerFile).gait
    try:
        figures = {name: getattr(gait, name) for name in _Gait.__struct_fields__}
        return GaitParameters(**{name: Figure(entry.mean, entry.std) for name, entry in figures.items()})
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
