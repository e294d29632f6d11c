"""The model bundle: a folder in which a model travels with its contract.

``manifest.json`` (`edge.manifest`), its sha256 in ``manifest.json.sha256`` (as ``sha256sum`` writes it), one
``.tflite`` file a variant, ``MODEL_CARD.md`` with its pictures. `load_bundle` checks every hash and every
field before anything may give a file to an interpreter; `write_bundle` puts a whole bundle in place or
changes nothing. This module never runs a model; see `edge.model` for that.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge.errors import BundleError
from edge.manifest import (
    SCHEMA_VERSION,
    Agreement,
    Decision,
    Manifest,
    OutlierLimits,
    Quantisation,
    Scaler,
    Training,
    Variant,
    Wavelet,
    manifest_problems,
)

__all__ = [
    "CARD_NAME",
    "CHECKSUM_NAME",
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "Agreement",
    "Bundle",
    "Decision",
    "Manifest",
    "OutlierLimits",
    "Quantisation",
    "Scaler",
    "Training",
    "Variant",
    "Wavelet",
    "checksum_text",
    "load_bundle",
    "write_bundle",
]

MANIFEST_NAME: Final = "manifest.json"
CHECKSUM_NAME: Final = "manifest.json.sha256"
CARD_NAME: Final = "MODEL_CARD.md"
_MAX_MANIFEST_BYTES: Final = 1 << 20
_MAX_MODEL_BYTES: Final = 1 << 28


class _Versioned(msgspec.Struct):
    """Read first: a manifest of another version is named as such, not by a field it has more or less."""

    schema_version: int


class Bundle(msgspec.Struct, frozen=True):
    """A checked bundle: its folder, its manifest, and the chosen variant's bytes, whose hash was checked."""

    folder: Path
    manifest: Manifest
    variant_name: str
    model: bytes

    @property
    def variant(self) -> Variant:
        """The variant in use."""
        return self.manifest.variants[self.variant_name]


def checksum_text(manifest_bytes: bytes) -> str:
    """What ``sha256sum manifest.json`` prints for these bytes: the content of ``manifest.json.sha256``."""
    return f"{hashlib.sha256(manifest_bytes).hexdigest()}  {MANIFEST_NAME}\n"


def load_bundle(folder: Path, variant_name: str | None = None) -> Bundle:
    """Read and check a bundle with all its variants; ``variant_name`` None chooses the manifest's default.

    `BundleError` says in one line the file, the field, and what is wrong with it. Whether the model's own
    shapes fit the manifest only an interpreter can tell: `edge.model.Classifier` checks that.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is no model bundle: there is no such folder")
    manifest = _read_manifest(folder)
    chosen = manifest.default_variant if variant_name is None else variant_name
    if chosen not in manifest.variants:
        raise BundleError(f"{folder} has no variant {chosen!r}; it has {', '.join(manifest.variants)}")
    models = {name: _read_model(folder, variant) for name, variant in manifest.variants.items()}
    return Bundle(folder, manifest, chosen, models[chosen])


def write_bundle(
    folder: Path,
    manifest: Manifest,
    models: Mapping[str, bytes],
    card: str,
    pictures: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Put a whole bundle in place of ``folder``, or change nothing; returns it as `load_bundle` reads it.

    ``models`` has the bytes of each variant of the manifest; ``file``, ``sha256`` and ``n_bytes`` of its
    variants must describe them. ``pictures`` are files of the card by name. The bundle is written beside
    ``folder``, read back with every check, and renamed into place; one that was there before is removed only
    then. `BundleError` where the parts don't fit together, ``folder`` holds something that is no bundle, or it can't be
    written.
    """
    if set(models) != set(manifest.variants):
        raise BundleError(f"{folder}: the models {sorted(models)} are not the variants {sorted(manifest.variants)}")
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    files = {MANIFEST_NAME: content, CHECKSUM_NAME: checksum_text(content).encode(), CARD_NAME: card.encode()}
    files.update({manifest.variants[name].file: model for name, model in models.items()})
    files.update(pictures or {})
    for name in files:
        if Path(name).name != name:
            raise BundleError(f"{folder}: {name!r} is no plain file name")
    try:
        if folder.exists() and not (folder.is_dir() and _is_replaceable(folder)):
            raise BundleError(f"{folder} exists and is no model bundle: choose another folder")
        _put_in_place(folder.absolute(), files)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BundleError(f"{folder} can't be written: {error.strerror or error}{where}") from error
    return load_bundle(folder.absolute())


def _put_in_place(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workplace:
        fresh = Path(workplace) / "fresh"
        fresh.mkdir()
        for name, data in files.items():
            _write_durably(fresh / name, data)
        load_bundle(fresh)
        # Beside the workplace, which is removed whatever happens: the old bundle must not go with it.
        old = Path(f"{workplace}.old")
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
        if old.exists():
            shutil.rmtree(old)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_NAME
    content = _read(path, _MAX_MANIFEST_BYTES)
    if _read(folder / CHECKSUM_NAME, 1024) != checksum_text(content).encode():
        raise BundleError(f"{path} does not match {CHECKSUM_NAME}: one of them is damaged or edited; take a fresh copy")
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise BundleError(f"{path}: schema_version is {version}, this program reads version {SCHEMA_VERSION}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path}: {' '.join(str(error).split())}") from error
    for problem in manifest_problems(manifest):
        raise BundleError(f"{path}: {problem}")
    return manifest


def _read_model(folder: Path, variant: Variant) -> bytes:
    path = folder / variant.file
    model = _read(path, _MAX_MODEL_BYTES)
    if len(model) != variant.n_bytes:
        raise BundleError(
            f"{path} has {len(model)} bytes, the manifest says {variant.n_bytes}: incomplete, or another file"
        )
    if hashlib.sha256(model).hexdigest() != variant.sha256:
        raise BundleError(
            f"{path} does not have the sha256 of the manifest: it is damaged; take a fresh copy of the bundle"
        )
    return model


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise BundleError(f"{path} is missing: the bundle is incomplete")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise BundleError(f"{path} has more than {max_bytes} bytes: no file of a bundle is that large")
    return content


def _is_replaceable(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file() or not any(folder.iterdir())


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
