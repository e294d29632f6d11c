"""`frailedge dataset inspect` and `frailedge dataset fetch`: thin shells around the trainer, imported when they run."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from edge.errors import ConfigError
from edge.sources.gstride import Overrides

if TYPE_CHECKING:
    from trainer.inspection import Inspection
    from trainer.inspection_windows import WindowsLine

app = typer.Typer(help="What a dataset holds, and where to get it.", no_args_is_help=True, rich_markup_mode=None)
_BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
_WIDE = 200
_TOLD_PERCENT = 10


@app.command("inspect")
def inspect_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    kind: Annotated[
        str | None, typer.Option("--kind", help="gstride, truong or folder; found out where it is not given.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="What the classes are: frailty, falls, gait-speed, or a column.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", help="Of all recordings, where it cannot be found.")
    ] = None,
    units: Annotated[str | None, typer.Option("--units", help="Of all recordings, like g,deg/s.")] = None,
    axes: Annotated[str | None, typer.Option("--axes", help="Of all recordings, like x,-z,y.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a page with a picture of each person, and PNGs.")
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Judge every window as the edge would, about 2 ms each: which it refuses.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """People, classes, devices, rates and units, what is missing, and what could be mistaken for the class."""
    with _needs_the_trainer():
        from trainer.datasets import open_dataset  # noqa: PLC0415 - the edge starts without the trainer
        from trainer.inspection import inspect_dataset  # noqa: PLC0415
        from trainer.inspection_windows import count_windows  # noqa: PLC0415

        if out is not None:
            from trainer.inspection_page import write_page  # noqa: PLC0415

    log = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    with _counting(log, "reading") as advance:
        dataset = open_dataset(
            folder, kind=kind, target=target, overrides=Overrides(rate_hz, units, axes), progress=advance
        )
    judged: tuple[WindowsLine, ...] = ()
    if windows:
        with _counting(log, "judging") as advance:
            judged = count_windows(dataset, progress=advance)
    inspection = inspect_dataset(dataset, judged)
    if json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(inspection), indent=2) + b"\n")
    else:
        _print(inspection)
    if out is not None:
        with _counting(log, "drawing") as advance:
            page = write_page(inspection, dataset, out, progress=advance)
        log.print(f"{page}: open it in a browser; the pictures lie beside it")


@app.command("fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(help="gstride.")],
    folder: Annotated[Path, typer.Argument(help="Folder to fetch and unpack into.")],
    record: Annotated[str | None, typer.Option("--record", help="Zenodo record; GSTRIDE's is the default.")] = None,
    url: Annotated[str | None, typer.Option("--from", help="Address of one file, instead of a record.")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="What the one file's must be.")] = None,
    api: Annotated[str | None, typer.Option("--api", help="Address of the records, for a mirror of Zenodo.")] = None,
) -> None:
    """Download a dataset, going on where an earlier try was cut off, check it, and unpack it."""
    with _needs_the_trainer():
        from trainer import fetch, unpack  # noqa: PLC0415 - the edge starts without the trainer

    if name != "gstride":
        raise ConfigError(f"{name} cannot be fetched: choose gstride")
    if url is not None and (record is not None or api is not None):
        raise ConfigError("--from is the address of a file: leave --record and --api out")
    if url is None and sha256 is not None:
        raise ConfigError("--sha256 belongs to one file: give its address by --from; a record states its own checksums")
    log = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if url is not None:
        sources = [fetch.source_at(url, sha256)]
    else:
        sources = fetch.sources_of_record(record or fetch.GSTRIDE_RECORD, api=api or fetch.ZENODO_API)
    for source in sources:
        log.print(f"{source.name}: from {source.url}")
        with _downloading(log, source.name) as (on_bytes, wait):
            fetched = fetch.fetch(source, folder, on_bytes=on_bytes, wait=wait)
        checked = f"{' and '.join(fetched.checked)} as stated" if fetched.checked else "no checksum to compare with"
        log.print(f"{fetched.path}: {fetched.size_bytes} bytes, {checked}")
        sys.stdout.write(f"{fetched.sha256}  {fetched.path.name}\n")
        if fetched.path.suffix.lower() == ".zip":
            with _counting(log, "unpacking") as advance:
                n_files = unpack.unpack(fetched.path, folder, on_file=partial(advance, ""))
            log.print(f"{folder}: {n_files} files of {fetched.path.name}; the archive may be deleted")
    log.print(f"GSTRIDE is CC BY 4.0, García-de-Villa et al. 2023; next: frailedge dataset inspect {folder}")


@contextmanager
def _needs_the_trainer() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"this command needs {error.name}: pip install 'frailedge[train]'") from error


@contextmanager
def _counting(log: Console, what: str) -> Iterator[Any]:
    """A bar on a terminal, a line at each tenth of the way elsewhere; gets what was done, how many, and of how many."""
    told = _Tenths(log)
    with Progress(*_BAR, console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def advance(_: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            told.at(done, total, f"{what}: {done} of {total}")

        yield advance


@contextmanager
def _downloading(log: Console, name: str) -> Iterator[tuple[Any, Any]]:
    from trainer.fetch import wait_in_silence  # noqa: PLC0415 - the edge starts without the trainer

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    told = _Tenths(log)
    with Progress(*columns, console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def on_bytes(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)
            told.at(done, total, f"{name}: {done} of {total} bytes")

        def wait(seconds: float, reason: str) -> None:
            log.print(f"{name}: {reason}; next try in {seconds:g} s")
            wait_in_silence(seconds, reason)

        yield on_bytes, wait


class _Tenths:
    """Prints a line for each tenth that is done, where no bar can be shown."""

    def __init__(self, log: Console) -> None:
        self._log = log
        self._next_percent = _TOLD_PERCENT

    def at(self, done: int, total: int | None, line: str) -> None:
        if self._log.is_terminal or not total or 100 * done < self._next_percent * total:
            return
        self._next_percent = (100 * done // total // _TOLD_PERCENT + 1) * _TOLD_PERCENT
        self._log.print(line)


def _print(inspection: "Inspection") -> None:
    out = Console(soft_wrap=True, highlight=False, markup=False)
    if not out.is_terminal:
        out = Console(width=_WIDE, highlight=False, markup=False)
    synthetic = "SYNTHETIC DATA, nobody walked here: " if inspection.synthetic else ""
    out.print(
        f"{synthetic}{inspection.folder}: {inspection.n_people} people, {inspection.n_walks} recordings, "
        f"{inspection.total_min:.0f} minutes of signal; {inspection.kind}, classes by {inspection.target}, gravity "
        f"{inspection.gravity}",
        soft_wrap=True,
    )
    out.print(f"licence of weights made of it: {inspection.licence}", soft_wrap=True)
    out.print(f"credit: {inspection.credit}", soft_wrap=True)
    _table(
        out,
        ("class", "people", "recordings", "least minutes", "median", "most"),
        [
            (c.label, c.n_people, c.n_walks, f"{c.least_min:.1f}", f"{c.median_min:.1f}", f"{c.most_min:.1f}")
            for c in inspection.classes
        ],
    )
    _table(
        out,
        ("device", "rate, Hz", "people", "recordings", "minutes"),
        [(d.device, d.rate_hz, d.n_people, d.n_walks, f"{d.total_min:.0f}") for d in inspection.devices],
    )
    if inspection.windows:
        from trainer.inspection_windows import windows_table  # noqa: PLC0415 - the edge starts without the trainer

        _table(out, *windows_table(inspection.windows))
    for crossing in inspection.crossings:
        v = "" if crossing.cramers_v is None else f" (V {crossing.cramers_v:.2f})"
        rows = [(label, *counts) for label, counts in zip(inspection.labels, crossing.counts, strict=True)]
        _table(out, (f"class by {crossing.by}{v}", *crossing.values), rows)
    if inspection.spreads:
        rows = [
            (s.what, *("none" if q is None else " / ".join(f"{x:.3g}" for x in q) for q in s.quartiles))
            for s in inspection.spreads
        ]
        _table(out, ("quartiles a person", *inspection.labels), rows)
    lossy = [line for line in inspection.people if line.missing_samples or line.n_duplicates]
    if lossy:
        _table(
            out,
            ("person with gaps", "missing samples", "%", "repeated rows"),
            [(p.id, p.missing_samples, f"{p.missing_percent:.2f}", p.n_duplicates) for p in lossy],
        )
    sections = {
        "found in the files, and how": [f"{found.n_walks} x {found.text}" for found in inspection.found],
        "people without a recording": [", ".join(inspection.without_recording)] if inspection.without_recording else [],
        "warnings": inspection.warnings,
        "problems": inspection.problems,
    }
    for title, lines in sections.items():
        out.print(f"\n{title}:{'' if lines else ' none'}")
        for line in lines:
            out.print(f"  {line}", soft_wrap=True)


def _table(out: Console, header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*map(str, row))
    out.print()
    out.print(table)
