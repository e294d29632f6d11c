"""`frailedge search`: a thin shell around `trainer.search`, imported when it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from edge.cli.train import Axes, Cluster, ConfigName, Folder, Kind, RateHz, Target, UnitNames, Workers
from edge.cli.trials import make_log, read_dataset, trial_lines
from edge.errors import ConfigError
from edge.sources.gstride import Overrides

if TYPE_CHECKING:
    from trainer.search import Search


def command(
    folder: Folder,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the search; one that holds part of it is gone on with.")
    ] = Path("search"),
    config: ConfigName = "paper",
    models: Annotated[int, typer.Option("--models", help="Networks to draw and train.")] = 2,
    epochs: Annotated[int | None, typer.Option("--epochs", help="At most so many a network.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of the networks drawn.")] = 1,
    kind: Kind = None,
    target: Target = None,
    rate_hz: RateHz = None,
    units: UnitNames = None,
    axes: Axes = None,
    workers: Workers = 1,
    cluster: Cluster = None,
) -> None:
    """Draw networks at random from McFly's ranges, train each, and write the best as a configuration for `train`."""
    from trainer.train_config import load_train_config  # noqa: PLC0415 - the edge starts without the trainer

    checked = load_train_config(config)
    if epochs is not None and epochs < 1:
        raise ConfigError(f"--epochs {epochs}: 1 or more")
    try:
        from trainer.demo import held_out_of  # noqa: PLC0415
        from trainer.experiment import Where  # noqa: PLC0415
        from trainer.search import search  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'frailedge[train]'") from error

    log = make_log()
    dataset = read_dataset(
        log, folder, kind=kind, target=target or checked.target, overrides=Overrides(rate_hz, units, axes)
    )
    fit = checked.fit if epochs is None else msgspec.structs.replace(checked.fit, n_epochs=epochs)
    with trial_lines(log) as hooks:
        done = search(
            dataset,
            checked,
            out,
            fit=fit,
            n_models=models,
            seed=seed,
            held_out=held_out_of(dataset),
            where=Where(workers, cluster),
            hooks=hooks,
        )
    _print(log, done, dataset.is_synthetic)


def _print(log: Console, done: "Search", is_synthetic: bool) -> None:
    from trainer.search import BEST, PLOT, TABLE, by_person  # noqa: PLC0415

    log.print(
        f"validation people{' (synthetic twins, not valid for people)' if is_synthetic else ''}, who also chose the "
        "epoch: for comparing these networks, no figure of any of them"
    )
    for candidate in done.candidates:
        if candidate.best is None:
            log.print(f"  {candidate.name}: {candidate.result.note}")
        elif (figure := by_person(candidate)) is not None:
            log.print(
                f"  {candidate.name}: balanced accuracy by person {figure.value:.3f} ({figure.lower:.3f} to "
                f"{figure.upper:.3f}); by window accuracy {candidate.best.validation_accuracy:.3f}, "
                f"loss {candidate.best.validation_loss:.3f}"
            )
    log.print(f"best by validation accuracy by window, as McFly judges: {done.candidates[0].name}")
    log.print(f"table: {done.folder / TABLE}, plot: {done.folder / PLOT}")
    log.print(f"to train it: frailedge train --config {done.folder / BEST} FOLDER")
