"""The model card: what a bundle is, what it was trained on, how good it is, in words and pictures for people.

Enters: the manifest with all its figures, the test figures and the history of the training. Leaves: the text
of ``MODEL_CARD.md`` and the PNG pictures it shows. Every number comes from what is passed in; nothing is
computed anew.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge.bundle import Manifest, Training
from trainer.agreement import FLOAT_MARGIN
from trainer.evaluate import Counts, Figures, Interval
from trainer.training import History

CONFUSION_PICTURE = "confusion.png"
TRAINING_PICTURE = "training.png"
# One colour each for training and validation, told apart by people who don't see red and green as well.
_TRAINING_COLOUR, _VALIDATION_COLOUR = "#1f77b4", "#d95f02"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another way to the same answer, on the same test people, for the card's table."""

    name: str
    balanced_accuracy_by_person: Interval
    note: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whose data it is and on what terms; ``cross_validated`` are figures by person of all methods, where there are."""

    credit: str
    licence: str
    cross_validated: Sequence[Comparison] = ()


def write_card(
    manifest: Manifest,
    figures: Figures,
    comparisons: Sequence[Comparison],
    max_abs_cells: Sequence[float],
    pictures: Sequence[str],
    provenance: Provenance,
    left_out: Sequence[str] = (),
) -> str:
    """``MODEL_CARD.md`` of a bundle whose default variant has these test ``figures``."""
    decision = manifest.decision
    training = manifest.training
    is_synthetic = training.trained_on.startswith("synthetic")
    title = f"# {manifest.name}: " + (
        "a demonstration, not valid for people" if is_synthetic else "research model, no medical device"
    )
    people = ", ".join(f"{training.n_people[label]} {label}" for label in manifest.labels)
    lines = [
        title,
        "",
        f"- **Trained on: {training.trained_on}** ({training.dataset}; {people})",
        *(
            ["- The people in it are computed, not measured: its figures say nothing about real ones."]
            if is_synthetic
            else []
        ),
        f"- Windows: {_windows(training)}",
        f"- Split: {training.split}; seed {training.seed}; code {training.code_version}; {manifest.created}",
        f"- Intended use: {manifest.intended_use}",
        "- It is no medical device. It must not be used to find, judge or treat frailty or any other condition.",
        "",
        "## How good it is",
        "",
        f"Variant {manifest.default_variant}, on {figures.n_people} test people ({figures.n_windows} windows) "
        "that took part in neither training nor validation. A person's class is the largest mean log-probability "
        "over that person's windows. The 95 % intervals come from drawing people, within their class, with "
        f"replacement. Chance is a balanced accuracy of {1 / len(manifest.labels):.2f}.",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        _row("balanced accuracy by person", figures.balanced_accuracy_by_person),
        _row("accuracy by person", figures.accuracy_by_person),
        _row("balanced accuracy by window", figures.balanced_accuracy_by_window),
        _row("accuracy by window", figures.accuracy_by_window),
        "",
        "Windows of one person overlap and resemble each other: the figures by window are given for comparison with "
        "work that reports them, the ones by person are what a new person meets.",
        "",
    ]
    if comparisons:
        lines += [
            "Beside it, on the same test people:",
            "",
            "| what | balanced accuracy by person | 95 % interval | |",
            "|---|---|---|---|",
            _row("this network", figures.balanced_accuracy_by_person) + " |",
            *(f"{_row(other.name, other.balanced_accuracy_by_person)} {other.note} |" for other in comparisons),
            "",
        ]
    if provenance.cross_validated:
        lines += [
            "The same settings by cross-validation over all people, each tested by a network that had not seen them:",
            "",
            "| what | balanced accuracy by person | 95 % interval | |",
            "|---|---|---|---|",
            *(f"{_row(row.name, row.balanced_accuracy_by_person)} {row.note} |" for row in provenance.cross_validated),
            "",
        ]
    for unit, confusion in (("people", figures.confusion_by_person), ("windows", figures.confusion_by_window)):
        lines += _confusion_table(unit, manifest.labels, confusion)
    lines += [f"![{name.removesuffix('.png')}]({name})" for name in pictures]
    lines += ["", *_variant_table(manifest)]
    for why in left_out:
        lines += [f"**Left out:** {why}.", ""]
    cells = ", ".join(f"{peak:.1f}" for peak in max_abs_cells)
    lines += [
        f"Largest LSTM cell state, layer by layer, over the test windows: {cells}. TensorFlow's TFLite fusion "
        "would clip them at 10; this bundle's models have that clip removed.",
        "",
        "## Decision",
        "",
        f"A class needs {decision.min_windows} windows and a smoothed probability of "
        f"{decision.least_confidence:.3f} or more; below it there is no decision. This threshold was chosen on "
        f"validation people{_abstention(training.figures)}. The expected calibration error on test windows is "
        f"{training.figures['test_expected_calibration_error']:.3f} with the temperature "
        f"{manifest.temperature:.3g}, {training.figures['test_expected_calibration_error_raw']:.3f} without.",
        "",
        "## Signal",
        "",
        f"{manifest.window_samples} samples at {manifest.sample_rate_hz:g} Hz, a window every {manifest.hop_samples}; "
        f"{', '.join(manifest.channels)} in {', '.join(dict.fromkeys(manifest.units))}; frame: {manifest.frame}; "
        f"gravity {manifest.gravity}; {manifest.wavelet.name} to level {manifest.wavelet.level}, "
        f"{manifest.wavelet.n_coefficients} coefficients a channel; temperature {manifest.temperature:.3g}.",
        "",
        "## Credit",
        "",
        f"Data: {provenance.credit}",
        "",
        f"Terms of these weights: {provenance.licence}. The network follows McFly's DeepConvLSTM; the code is under "
        "Apache-2.0.",
        "",
    ]
    return "\n".join(lines)


def draw_pictures(labels: Sequence[str], figures: Figures, history: History) -> dict[str, bytes]:
    """PNG bytes by file name: the two confusion matrices, and loss and accuracy over the epochs."""
    confusion = Figure(figsize=(9, 4), layout="constrained")
    by_person, by_window = confusion.subplots(1, 2)
    _draw_confusion(by_person, "people", labels, figures.confusion_by_person)
    _draw_confusion(by_window, "windows", labels, figures.confusion_by_window)

    training = Figure(figsize=(9, 3.5), layout="constrained")
    loss, accuracy = training.subplots(1, 2)
    epochs = range(1, len(history.epochs) + 1)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for kind, colour in (("train", _TRAINING_COLOUR), ("validation", _VALIDATION_COLOUR)):
            values = [getattr(epoch, f"{kind}_{name}") for epoch in history.epochs]
            axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=kind)
        axes.axvline(history.best_epoch + 1, color="0.6", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=f"{name} by window")
        axes.legend(frameon=False)
    return {CONFUSION_PICTURE: _png(confusion), TRAINING_PICTURE: _png(training)}


def _windows(training: Training) -> str:
    if training.windows == "all":
        return "all, also of standing and turning, which the edge may refuse to classify"
    mounting = "corrected" if training.mounting == "correct" else "trusted as configured"
    return f"only those that the edge would classify: walking, of a sound signal; mounting {mounting}"


def _abstention(figures: Mapping[str, float]) -> str:
    return (
        f": {figures['validation_answered_share']:.0%} of their rolling decisions are answered, "
        f"{figures['validation_wrong_share']:.0%} of these wrongly"
    )


def _row(name: str, interval: Interval) -> str:
    return f"| {name} | {interval.value:.3f} | {interval.lower:.3f} to {interval.upper:.3f} |"


def _confusion_table(unit: str, labels: Sequence[str], confusion: Counts) -> list[str]:
    return [
        f"| {unit}: truth down, answer across | {' | '.join(labels)} |",
        "|---" * (len(labels) + 1) + "|",
        *(f"| {label} | {' | '.join(map(str, row))} |" for label, row in zip(labels, confusion, strict=True)),
        "",
    ]


def _variant_table(manifest: Manifest) -> list[str]:
    rows = [
        "## Variants",
        "",
        f"Agreement with the float network on the test windows; with margin: on those where the float network's first "
        f"class leads by {FLOAT_MARGIN} or more.",
        "",
        "| variant | bytes | agreement (95 %, Wilson) | with margin | largest and mean Δp | by person (float) |",
        "|---|---|---|---|---|---|",
    ]
    for name, variant in manifest.variants.items():
        found = variant.agreement
        lower, upper = found.raw_interval_95
        default = " (default)" if name == manifest.default_variant else ""
        rows.append(
            f"| {name}{default} | {variant.n_bytes} "
            f"| {found.raw:.4f} ({lower:.4f} to {upper:.4f}) of {found.n_windows} "
            f"| {found.with_margin:.4f} of {found.n_windows_with_margin} "
            f"| {found.max_abs_probability_difference:.3f}, {found.mean_abs_probability_difference:.4f} "
            f"| {found.balanced_accuracy_by_person:.3f} ({found.balanced_accuracy_by_person_float:.3f}) |"
        )
    return [*rows, ""]


def _draw_confusion(axes: Axes, unit: str, labels: Sequence[str], confusion: Counts) -> None:
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / totals.clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(labels)):
        for column in range(len(labels)):
            axes.text(
                column,
                row,
                f"{confusion[row, column]}\n{shares[row, column]:.0%}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(title=f"{unit} ({int(totals.sum())})", xlabel="answer", ylabel="truth")


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
