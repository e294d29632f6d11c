"""Pseudonyms of sensors: a Bluetooth address enters, a short id leaves that says nothing about it elsewhere.

The salt is random, made once an installation and kept in a file that only its user can read; with it the id of a sensor
stays the same from run to run, without it nobody can tell which address an id stands for. Addresses themselves never
go into messages, recordings or logs.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from edge.errors import ConfigError

_SALT_BYTES: Final = 16
ID_CHARACTERS: Final = 8


def state_dir() -> Path:
    """Where this program keeps what outlives a run (``XDG_STATE_HOME``)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "frailedge"


def load_salt(folder: Path | None = None) -> bytes:
    """The installation's salt, made where there is none yet; `ConfigError` where that cannot be."""
    path = (folder or state_dir()) / "salt"
    try:
        salt = _read_or_make(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: the salt for sensor ids cannot be kept: {error.strerror}; make the folder writable, or set "
            "XDG_STATE_HOME to one that is"
        ) from error
    if len(salt) != _SALT_BYTES:
        raise ConfigError(f"{path}: {len(salt)} bytes where a salt has {_SALT_BYTES}: delete it, a new one is made")
    return salt


def sensor_id(address: str, salt: bytes) -> str:
    """The pseudonym of an address: `ID_CHARACTERS` hexadecimal digits."""
    return hashlib.blake2b(address.upper().encode(), key=salt, digest_size=ID_CHARACTERS // 2).hexdigest()


def _read_or_make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"salt.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(_SALT_BYTES))
            # Two commands at once make two drafts; a link never overwrites, so both read the first one's.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        return path.read_bytes()
    finally:
        draft.unlink(missing_ok=True)
