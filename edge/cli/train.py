"""`frailedge train` and `frailedge baselines`: thin shells around `trainer.experiment`, imported when they run.

The edge runs without TensorFlow; without the extra `train` these commands say what to install.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edge.errors import ConfigError
from edge.sources.gstride import Overrides

if TYPE_CHECKING:
    from trainer.experiment import Hooks, Run
    from trainer.history import Progress as Trained
    from trainer.trial import Trial, TrialResult

_BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

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
    try:
        from trainer.datasets import open_dataset  # noqa: PLC0415
        from trainer.demo import held_out_of  # noqa: PLC0415
        from trainer.experiment import Where, run  # noqa: PLC0415
        from trainer.run_report import report_run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'frailedge[train]'") from error

    log = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    kind, target, overrides = source
    with Progress(*_BAR, console=log, disable=not log.is_terminal) as bar:
        reading = bar.add_task("reading", total=None)
        dataset = open_dataset(
            folder,
            kind=kind,
            target=target or checked.target,
            overrides=overrides,
            progress=lambda _, done, total: bar.update(reading, completed=done, total=total),
        )
    counts = ", ".join(f"{list(dataset.label_of.values()).count(label)} {label}" for label in dataset.labels)
    log.print(
        f"{folder}: {len(dataset.subjects)} people ({counts}), {dataset.trained_on}, labels of {dataset.register}"
    )
    for problem in dataset.problems:
        log.print(f"problem: {problem}")
    if dataset.without_recording:
        log.print(f"without a recording: {', '.join(dataset.without_recording)}")
    with Progress(*_BAR, TextColumn("{task.fields[speed]}"), console=log, disable=not log.is_terminal) as bar:
        done = run(
            dataset,
            checked,
            out,
            held_out=held_out_of(dataset),
            where=Where(*where),
            hooks=_Lines(log, bar).hooks(),
            only_baselines=only_baselines,
            with_protocols=with_protocols,
            with_bundle=with_bundle,
        )
    report = report_run(done, dataset, checked, command=_command(folder, out, config_name, only_baselines))
    _print_figures(log, done, dataset.is_synthetic)
    log.print(f"report: {report}")
    if done.bundle is not None:
        log.print(f"bundle: {done.bundle.folder} ({done.bundle.manifest.training.trained_on}); see its MODEL_CARD.md")


def _command(folder: Path, out: Path, config_name: str, only_baselines: bool) -> str:
    return f"frailedge {'baselines' if only_baselines else 'train'} {folder} --config {config_name} --out {out}"


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


class _Lines:
    """A bar for all trials and one for each that runs; where there is no terminal, a line an epoch and a trial."""

    def __init__(self, log: Console, bar: Progress) -> None:
        self._log, self._bar = log, bar
        self._total: TaskID | None = None
        self._running: dict[str, TaskID] = {}
        self._epochs: dict[str, int] = {}

    def hooks(self) -> "Hooks":
        from trainer.experiment import Hooks  # noqa: PLC0415

        return Hooks(
            say=self._log.print,
            start=self.start,
            progress=self.progress,
            done=self.done,
            retry=lambda trial, why: self._log.print(f"{trial.key}: again: {why}"),
            total=self.total,
        )

    def total(self, n_trials: int, n_done: int) -> None:
        if n_done:
            self._log.print(f"{n_done} of {n_trials} trials were done before")
        self._total = self._bar.add_task("trials", total=n_trials, completed=n_done, speed="")

    def start(self, trial: "Trial") -> None:
        if trial.key not in self._running:
            self._running[trial.key] = self._bar.add_task(trial.key, total=None, speed="")

    def progress(self, trial: "Trial", at: "Trained") -> None:
        self.start(trial)
        done = (at.epoch - 1) * at.n_windows + at.windows_done
        left = f"at most {at.remaining_s / 60:.0f} min left"
        speed = f"epoch {at.epoch} of {at.n_epochs}, {at.windows_per_s:.0f} windows/s, {left}"
        self._bar.update(self._running[trial.key], completed=done, total=at.n_epochs * at.n_windows, speed=speed)
        if not self._log.is_terminal and at.epoch > self._epochs.get(trial.key, 0):
            self._epochs[trial.key] = at.epoch
            self._log.print(f"{trial.key}: {speed}")

    def done(self, trial: "Trial", result: "TrialResult") -> None:
        if trial.key in self._running:
            self._bar.remove_task(self._running.pop(trial.key))
        if self._total is not None and trial.fold.name != "bundle":
            self._bar.advance(self._total)
        if not self._log.is_terminal:
            self._log.print(f"{trial.key}: done in {result.duration_s:.0f} s")
