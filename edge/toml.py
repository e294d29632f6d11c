"""The one way to read a TOML file: into a typed struct, with one clear line for whatever is wrong with it."""

import difflib
import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from edge.errors import ConfigError

Struct = TypeVar("Struct", bound=msgspec.Struct)


def read_toml(path: Path, kind: type[Struct]) -> Struct:
    """A TOML file as a struct; `ConfigError` names the file, the key, and for an unknown key the nearest known one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is no TOML: {error}") from error
    _refuse_unknown(given, kind, str(path), "")
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}{_choices(str(error), kind)}") from error


def _choices(said: str, kind: type[msgspec.Struct]) -> str:
    """What may stand where msgspec found none of it; empty where it is not about a choice."""
    place = re.search(r"^Invalid enum value .* - at `\$\.([^`]+)`$", said)
    if place is None:
        return ""
    annotation: Any = kind
    for name in re.sub(r"\[[^]]*\]", "", place[1]).split("."):
        section = _struct_in(annotation)
        fields = () if section is None else msgspec.structs.fields(section)
        annotation = next((field.type for field in fields if field.name == name), None)
    words = _texts_of(annotation)
    return f": choose {', '.join(words)}" if words else ""


def _texts_of(annotation: Any) -> list[str]:
    """The texts that a `Literal` or an enumeration knows, also within a tuple of them."""
    if isinstance(annotation, str):
        return [annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [text for part in get_args(annotation) for text in _texts_of(part)]


def _refuse_unknown(given: dict[str, Any], kind: type[msgspec.Struct], where: str, prefix: str) -> None:
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, value in given.items():
        if key not in known:
            everything = [f"{prefix}{name}" for name in known]
            nearest = difflib.get_close_matches(f"{prefix}{key}", everything, n=1, cutoff=0.0)
            raise ConfigError(f"{where}: unknown key {prefix + key!r}; the nearest known one is {nearest[0]!r}")
        section = _struct_in(known[key].type)
        if section is not None:
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    _refuse_unknown(item, section, where, f"{prefix}{key}.")


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, alone, optionally or as the items of a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for part in get_args(annotation) if (found := _struct_in(part)) is not None), None)
