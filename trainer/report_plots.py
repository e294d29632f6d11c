"""The pictures of a report, as SVG that stands in the page itself: drawn on white, so that a dark page shows them too.

Figures of a summary and answers of trials go in, SVG text comes out. Nothing is computed here but what a curve needs.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.by_person import pool_by_person, test_rows
from trainer.calibration import reliability, risk_coverage
from trainer.summary import Matrix, Row, Summary
from trainer.trial import TrialResult

# Okabe and Ito's colours, told apart by people who don't see red and green as well.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_GREY: Final = "#767676"
_PANELS_IN_A_ROW: Final = 4
_LONGEST_NAME: Final = 22
# Names come from users' files: a dollar sign in one begins no formula.
_STYLE: Final[dict[Any, Any]] = {"svg.hashsalt": "frailedge", "text.parse_math": False}


def svg(figure: Figure) -> str:
    """A figure as SVG text, the same for the same figure."""
    file = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def method_colours(summary: Summary) -> dict[str, str]:
    """A colour for each method, the same in all pictures."""
    methods = dict.fromkeys(row.method for row in summary.rows)
    return {method: _COLOURS[index % len(_COLOURS)] for index, method in enumerate(methods)}


@mpl.rc_context(_STYLE)
def draw_balanced_accuracies(summary: Summary) -> Figure:
    """Every method under every protocol: balanced accuracy by person, its interval, a dot for each seed, chance."""
    protocols = list(dict.fromkeys(row.protocol_name for row in summary.rows))
    heights = [sum(row.protocol_name == name for row in summary.rows) for name in protocols]
    figure = Figure(figsize=(8.5, 0.6 * len(protocols) + 0.34 * sum(heights) + 0.4), layout="constrained")
    panels = figure.subplots(
        len(protocols), 1, sharex=True, squeeze=False, height_ratios=[own + 0.6 for own in heights]
    )
    colours = method_colours(summary)
    for axes, name in zip(panels[:, 0], protocols, strict=True):
        rows = [row for row in summary.rows if row.protocol_name == name]
        for place, row in enumerate(rows):
            found, colour = row.balanced_accuracy, colours[row.method]
            axes.plot([found.lower, found.upper], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot(found.value, place, "o", color=colour, markersize=7, markeredgecolor="white")
            seeds = [seed.balanced_accuracy for seed in row.seeds]
            axes.plot(seeds, np.full(len(seeds), place + 0.25), "|", color=colour, markersize=6, alpha=0.8)
        axes.axvline(summary.chance, color=_GREY, linestyle=":", linewidth=1)
        axes.set_yticks(range(len(rows)), [_short(row.method) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_title(textwrap.fill(name, 100), loc="left", fontsize=9, fontweight="bold")
        axes.grid(axis="x", color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set(xlim=(0, 1.02), xlabel="balanced accuracy by person (dotted: chance; strokes: the seeds)")
    return figure


@mpl.rc_context(_STYLE)
def draw_confusions(rows: Sequence[Row], labels: Sequence[str]) -> Figure:
    """A confusion matrix by person for each row, all seeds together, shaded by the share of the true class."""
    n_columns = min(_PANELS_IN_A_ROW, len(rows))
    n_lines = -(-len(rows) // n_columns)
    figure = Figure(figsize=(1.1 + 2.5 * n_columns, 2.75 * n_lines), layout="constrained")
    panels = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    for place, (axes, row) in enumerate(zip(panels, rows, strict=False)):
        _confusion(axes, row.confusion, labels)
        axes.set_title(_short(row.method), fontsize=9)
        if place % n_columns:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("truth")
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    figure.supxlabel("answer", fontsize=9)
    return figure


def _confusion(axes: Axes, confusion: Matrix, labels: Sequence[str]) -> None:
    counts = np.array(confusion)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        shade = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
    names = [_short(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=20)
    axes.set_yticks(range(len(labels)), names)


@mpl.rc_context(_STYLE)
def draw_training(results: Sequence[TrialResult]) -> Figure | None:
    """Loss and accuracy over the epochs, a line for each trial of one method; None where nothing was trained."""
    histories = [result.history for result in results if result.history is not None]
    if not histories:
        return None
    figure = Figure(figsize=(8.5, 2.9), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, what in zip(panels, ("loss", "accuracy"), strict=True):
        for index, history in enumerate(histories):
            epochs = range(1, len(history.epochs) + 1)
            for side, colour in (("train", _COLOURS[0]), ("validation", _COLOURS[1])):
                values = [getattr(epoch, f"{side}_{what}") for epoch in history.epochs]
                axes.plot(epochs, values, color=colour, alpha=0.55, linewidth=1, label="" if index else side)
                if side == "validation":
                    best = history.best_epoch
                    axes.plot(best + 1, values[best], "o", color=colour, markersize=4, label="" if index else "kept")
        axes.set(xlabel="epoch", ylabel=f"{what} by window")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


@mpl.rc_context(_STYLE)
def draw_reliability(results: Sequence[TrialResult]) -> Figure:
    """How often an answer is right against its probability, as answered and with each fold's temperature."""
    answered, tempered, truth = test_rows(results)
    figure = Figure(figsize=(7, 3.3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, likely, title in zip(panels, (answered, tempered), ("as answered", "with temperature"), strict=True):
        bins = reliability(likely, truth)
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":", linewidth=1)
        sizes = 12 + 160 * bins.n_rows / bins.n_rows.sum()
        axes.plot(bins.confidence, bins.accuracy, color=_COLOURS[0], linewidth=1)
        axes.scatter(bins.confidence, bins.accuracy, s=sizes, color=_COLOURS[0], edgecolor="white", zorder=3)
        axes.set(title=title, xlabel="probability of the answer", xlim=(0, 1), ylim=(0, 1.02))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share right")
    return figure


@mpl.rc_context(_STYLE)
def draw_risk_coverage(by_method: Mapping[str, Sequence[TrialResult]], colours: Mapping[str, str]) -> Figure:
    """What is wrong of what is answered as the least sure people are left out, all seeds together."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    for method, results in by_method.items():
        pooled = pool_by_person(results)
        tested = [pooled.tested(index) for index in range(len(pooled.seeds))]
        scores = np.concatenate([pooled.scores[index, own] for index, own in enumerate(tested)])
        curve = risk_coverage(scores, np.concatenate([pooled.truth[own] for own in tested]))
        axes.plot(curve.answered_share, curve.wrong_share, color=colours[method], label=_short(method), linewidth=1.4)
    axes.set(xlabel="share of people answered", ylabel="share wrong of them", xlim=(0, 1.01), ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
