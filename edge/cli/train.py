"""`frailedge train` and `frailedge baselines`: thin shells around `trainer.experiment`, imported when they run.

The edge runs without TensorFlow; without the extra `train` these commands say what to install.
"""

import dataclasses
import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from edge.cli.trials import make_log, read_dataset, trial_lines
from edge.errors import ConfigError
from edge.sources.gstride import Overrides

if TYPE_CHECKING:
    from trainer.experiment import Run
    from trainer.train_config import TrainConfig

Folder = Annotated[Path, typer.Argument(help="Folder of recordings: GSTRIDE, twins, Truong et al., or your own.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run; one that holds part of this run is gone on with.")]
ConfigName = Annotated[
    str, typer.Option("--config", help="Name of a file in configs/train, or the path of such a file.")
]
Kind = Annotated[str | None, typer.Option("--kind", help="gstride, truong or folder; default: found out.")]
Target = Annotated[str | None, typer.Option("--target", help="What to learn: frailty, falls, gait-speed.")]
RateHz = Annotated[float | None, typer.Option("--rate-hz", help="Of all recordings, where it cannot be found.")]
UnitNames = Annotated[str | None, typer.Option("--units", help="Of all recordings, like g,deg/s.")]
Axes = Annotated[str | None, typer.Option("--axes", help="Of all recordings, like x,-z,y.")]
Workers = Annotated[int, typer.Option("--workers", help="Processes to run folds and methods in.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", help="Address of a Ray cluster to run them on (extra `cluster`).")
]


def train_command(
    folder: Folder,
    out: Out = Path("run"),
    config: ConfigName = "paper",
    kind: Kind = None,
    target: Target = None,
    rate_hz: RateHz = None,
    units: UnitNames = None,
    axes: Axes = None,
    workers: Workers = 1,
    cluster: Cluster = None,
    protocols: Annotated[
        bool, typer.Option("--protocols/--no-protocols", help="Run the protocols; without them, only the bundle.")
    ] = True,
    bundle: Annotated[bool, typer.Option("--bundle/--no-bundle", help="Make a bundle as well as figures.")] = True,
) -> None:
    """Train and test as a configuration says, and leave a run folder: figures, report.html and a model bundle."""
    _run(
        folder,
        out,
        config,
        (kind, target, Overrides(rate_hz, units, axes)),
        (workers, cluster),
        only_baselines=False,
        with_protocols=protocols,
        with_bundle=bundle,
    )


def baselines_command(
    folder: Folder,
    out: Out = Path("baselines"),
    config: ConfigName = "paper",
    kind: Kind = None,
    target: Target = None,
    rate_hz: RateHz = None,
    units: UnitNames = None,
    axes: Axes = None,
    workers: Workers = 1,
    cluster: Cluster = None,
) -> None:
    """The baselines alone, on the folds that `frailedge train` with the same configuration has."""
    _run(
        folder,
        out,
        config,
        (kind, target, Overrides(rate_hz, units, axes)),
        (workers, cluster),
        only_baselines=True,
        with_protocols=True,
        with_bundle=False,
    )


def _run(
    folder: Path,
    out: Path,
    config_name: str,
    source: tuple[str | None, str | None, Overrides],
    where: tuple[int, str | None],
    *,
    only_baselines: bool,
    with_protocols: bool,
    with_bundle: bool,
) -> None:
    from trainer.train_config import load_train_config  # noqa: PLC0415 - the edge starts without the trainer

    checked = load_train_config(config_name)
    if importlib.util.find_spec("tensorflow") is None:
        raise ConfigError("training needs tensorflow: pip install 'frailedge[train]'")
    if only_baselines:
        checked = _for_baselines(checked, config_name)
    log = make_log()
    kind, target, overrides = source
    # What is wrong with the recordings is said before TensorFlow takes its seconds to be imported.
    dataset = read_dataset(log, folder, kind=kind, target=target or checked.target, overrides=overrides)
    try:
        from trainer.demo import held_out_of  # noqa: PLC0415
        from trainer.experiment import Where, run  # noqa: PLC0415
        from trainer.run_report import report_run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'frailedge[train]'") from error

    command = " ".join(["frailedge", *map(shlex.quote, sys.argv[1:])])

    def report(done: "Run") -> str:
        return report_run(done, dataset, checked, command=command)

    with trial_lines(log) as hooks:
        done = run(
            dataset,
            checked,
            out,
            held_out=held_out_of(dataset),
            where=Where(*where),
            hooks=dataclasses.replace(hooks, figures=report),
            only_baselines=only_baselines,
            with_protocols=with_protocols,
            with_bundle=with_bundle,
        )
    page = report(done)
    _print_figures(log, done, dataset.is_synthetic)
    log.print(f"report: {page}")
    if done.bundle is not None:
        log.print(f"bundle: {done.bundle.folder} ({done.bundle.manifest.training.trained_on}); see its MODEL_CARD.md")


def _for_baselines(config: "TrainConfig", name: str) -> "TrainConfig":
    """The baselines that a configuration names, or all of them; `ConfigError` where it has no folds."""
    from trainer.baselines import BASELINES  # noqa: PLC0415

    if not config.protocol.run:
        raise ConfigError(f"--config {name} runs no protocol (protocol.run is empty): there are no folds for baselines")
    return config if config.baselines else msgspec.structs.replace(config, baselines=tuple(BASELINES))


def _print_figures(log: Console, done: "Run", is_synthetic: bool) -> None:
    if done.summary is None:
        return
    log.print(f"balanced accuracy by person{' (synthetic twins, not valid for people)' if is_synthetic else ''}:")
    for row in done.summary.rows:
        figure = row.balanced_accuracy
        log.print(
            f"  {row.protocol_name}: {row.method}: {figure.value:.3f} ({figure.lower:.3f} to {figure.upper:.3f}), "
            f"{row.n_people} people, {len(row.seeds)} seeds"
        )
