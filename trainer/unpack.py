"""A zip goes in, its files come out below one folder; what would lie outside is refused before anything is written.

Each file appears whole or not at all. One that is there already with the same content is left as it is; one with
another content is never overwritten.
"""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from edge.errors import DatasetError
from trainer.fetch import CHUNK_BYTES, told_where_unwritable

_ENCRYPTED: Final = 0x1


def unpack(archive: Path, folder: Path, *, on_file: Callable[[int, int], None] | None = None) -> int:
    """Unpack a zip; returns how many files it has. ``on_file`` gets how many are done, and of how many.

    `DatasetError` where the archive is damaged, has a path that leads out of the folder, a link or an encrypted file,
    where it cannot fit on the disk, or where another file of that name is there.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [info for info in opened.infolist() if not info.is_dir()]
            for info in opened.infolist():
                _refuse_unsafe(archive, info)
            names = {info.filename for info in files}
            if len(names) < len(files) or any(str(up) in names for name in names for up in PurePosixPath(name).parents):
                raise DatasetError(f"{archive}: two of its files have one name; nothing was unpacked")
            missing = [info for info in files if not _is_there(archive, folder, info)]
            needed, free = sum(info.file_size for info in missing), shutil.disk_usage(folder).free
            if needed > free:
                raise DatasetError(
                    f"{folder}: unpacking {archive.name} needs {needed} bytes, {free} are free; make room"
                )
            for done, info in enumerate(missing, start=len(files) - len(missing) + 1):
                _extract(opened, info, folder, archive)
                if on_file is not None:
                    on_file(done, len(files))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{archive}: no zip that can be read: {error}; delete it and fetch it anew") from error
    return len(files)


def _refuse_unsafe(archive: Path, info: zipfile.ZipInfo) -> None:
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in info.filename:
        raise DatasetError(f"{archive}: {info.filename!r} would lie outside of the folder; nothing was unpacked")
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise DatasetError(f"{archive}: {info.filename} is a link or a device, not a file; nothing was unpacked")
    if info.flag_bits & _ENCRYPTED:
        raise DatasetError(f"{archive}: {info.filename} is encrypted; nothing was unpacked")


def _is_there(archive: Path, folder: Path, info: zipfile.ZipInfo) -> bool:
    """Whether the file lies there with the same content; links inside the folder must not lead out of it either."""
    target = folder / info.filename
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"{archive}: {info.filename!r} would lie outside of the folder; nothing was unpacked")
    if not target.exists():
        return False
    if target.is_file() and target.stat().st_size == info.file_size:
        crc = 0
        with target.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                crc = zlib.crc32(chunk, crc)
        if crc == info.CRC:
            return True
    raise DatasetError(
        f"{target}: there already, and not the file of {archive.name}; move it away; nothing was unpacked"
    )


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, archive: Path) -> None:
    target = folder / info.filename
    new = target.with_name(f"{target.name}.new")
    with told_where_unwritable(archive):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with opened.open(info) as packed, new.open("wb") as file:
                shutil.copyfileobj(packed, file, CHUNK_BYTES)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
