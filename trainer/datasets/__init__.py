"""Datasets, one adapter a file; `open_dataset` finds the one that fits a folder.

A new dataset is one file with ``recognises(folder)`` and a loader that makes a `Dataset`, and one line in `ADAPTERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import ConfigError, DatasetError
from edge.sources.gstride import Overrides
from trainer.datasets import folder as any_folder
from trainer.datasets import gstride, truong
from trainer.datasets.dataset import Dataset, ReadProgress


@dataclass(frozen=True, slots=True)
class Adapter:
    """``load`` takes a folder, ``target`` and ``progress``, with ``takes_overrides`` also ``overrides``."""

    load: Callable[..., Dataset]
    recognises: Callable[[Path], bool]
    looks_for: str
    takes_overrides: bool = False


ADAPTERS: Final[dict[str, Adapter]] = {
    "gstride": Adapter(
        gstride.load_gstride,
        gstride.recognises,
        "its register, or recordings named like V001.txt",
        takes_overrides=True,
    ),
    "truong": Adapter(truong.load_truong, truong.recognises, truong.LOOKS_FOR),
    "folder": Adapter(any_folder.load_folder, any_folder.recognises, any_folder.LOOKS_FOR),
}


def open_dataset(
    folder: Path,
    *,
    kind: str | None = None,
    target: str | None = None,
    overrides: Overrides | None = None,
    progress: ReadProgress | None = None,
) -> Dataset:
    """Read a folder by the adapter ``kind``, else by the only one that recognises it.

    `DatasetError` where none or several do, or where the chosen one refuses the folder or cannot read it;
    `ConfigError` for a kind that there is not, and for ``overrides`` where the adapter knows rate, units and axes for
    certain.
    """
    if kind is not None and kind not in ADAPTERS:
        raise ConfigError(f"--kind {kind}: choose {', '.join(ADAPTERS)}")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    try:
        chosen = kind or _recognise(folder)
        adapter = ADAPTERS[chosen]
        if overrides in {None, Overrides()}:
            overrides = None
        elif not adapter.takes_overrides:
            raise ConfigError(
                f"rate, units and axes of a {chosen} dataset are known: leave --rate-hz, --units, --axes out"
            )
        return adapter.load(
            folder, target=target, progress=progress, **({"overrides": overrides} if adapter.takes_overrides else {})
        )
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error


def _recognise(folder: Path) -> str:
    fitting = [kind for kind, adapter in ADAPTERS.items() if adapter.recognises(folder)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DatasetError(f"{folder}: may be {' or '.join(fitting)}; say which by --kind")
    wanted = "; ".join(f"{kind}: {adapter.looks_for}" for kind, adapter in ADAPTERS.items())
    raise DatasetError(f"{folder}: no dataset that is known here; looked for {wanted}")
