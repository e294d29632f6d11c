"""The parts of a report that tell what was done: protocols and leaks, the bundle, the dataset, how to repeat it.

Facts go in, pieces of HTML come out. No figure of a method stands here but those of the bundle.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from edge.manifest import Manifest
from edge.page import banner, bullets, heading, paragraph, table
from trainer.difference import IN_SAMPLE
from trainer.inspection import Inspection
from trainer.page import literal
from trainer.protocols import MEANING, Leak
from trainer.train_config import ProtocolName
from trainer.trial import TrialResult


def protocols(results: Sequence[TrialResult], leaks: Mapping[str, Leak]) -> Iterator[str]:
    """What was run: each protocol in plain words, its folds and seeds, and what the leak check found."""
    yield heading("What was run")
    rows = []
    for name in get_args(ProtocolName):
        own = [result for result in results if result.protocol == name]
        if own:
            folds = dict.fromkeys(result.fold for result in own)
            rows.append(
                (
                    name if name != "window" else f"window ({IN_SAMPLE})",
                    MEANING[name],
                    ", ".join(map(str, sorted({result.seed for result in own}))),
                    str(len(folds)),
                    _span([result.n_train_people for result in own]),
                    _span([len(set(result.test.person_ids.tolist())) for result in own]),
                    _leak_line([leaks[fold] for fold in folds if fold in leaks]),
                )
            )
    if not rows:
        yield paragraph("No protocol: the bundle's own split by person is all there is.")
        return
    header = ("protocol", "meaning", "seeds", "folds", "people trained on", "people tested", "leak check")
    yield table("Protocols, each with its leak check", header, rows)
    total_s = sum(result.duration_s for result in results)
    methods = ", ".join(dict.fromkeys(result.method for result in results))
    yield paragraph(f"{len(results)} trials, {total_s / 60:.1f} minutes of computing in all. Methods: {methods}.")
    if any(result.protocol == "window" for result in results):
        yield banner(
            f"Figures of the protocol window are {IN_SAMPLE}: windows of the same people are trained on and tested. "
            "They say nothing about a new person."
        )


def _span(numbers: Sequence[int]) -> str:
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)}-{max(numbers)}"


def _leak_line(leaks: Sequence[Leak]) -> str:
    if not leaks:
        return "not checked"
    people, windows = sum(leak.n_people for leak in leaks), sum(leak.n_overlapping_windows for leak in leaks)
    verdict = "none" if not people and not windows else "LEAKS"
    return (
        f"{verdict}: in {len(leaks)} folds {people} of {sum(leak.n_test_people for leak in leaks)} test people and "
        f"samples of {windows} of {sum(leak.n_test_windows for leak in leaks)} test windows were trained on"
    )


def bundle(manifest: Manifest) -> Iterator[str]:
    """The bundle: its own split, every variant beside the float network, and when it abstains."""
    training = manifest.training
    yield heading("The bundle: quantised beside float")
    yield paragraph(
        f"Split: {training.split}; seed {training.seed}; code {training.code_version}. "
        f"Temperature {manifest.temperature:.3g}. Intended use: {manifest.intended_use}."
    )
    rows = []
    for name, variant in manifest.variants.items():
        found = variant.agreement
        lower, upper = found.raw_interval_95
        rows.append(
            (
                f"{name} (default)" if name == manifest.default_variant else name,
                f"{variant.n_bytes / 1024:.0f} KiB",
                f"{found.raw:.4f} ({lower:.4f} to {upper:.4f}) of {found.n_windows}",
                f"{found.max_abs_probability_difference:.3f}",
                f"{found.balanced_accuracy_by_person:.3f}",
                f"{found.balanced_accuracy_by_person_float:.3f}",
            )
        )
    header = (
        "variant",
        "size",
        "windows answered as by float (95 %)",
        "largest difference",
        "balanced accuracy by person",
        "float",
    )
    yield table("Variants, on the bundle's test people (split by person)", header, rows)
    least = manifest.decision.least_confidence
    yield paragraph(
        f"It abstains below a confidence of {least:.3f}, found on the rolling decisions of validation people: "
        f"{training.figures.get('validation_answered_share', 0):.0%} of them are answered, "
        f"{training.figures.get('validation_wrong_share', 0):.0%} of these wrongly."
        if least > 0
        else "It never abstains: its least confidence is 0."
    )
    figures = [(name.replace("_", " "), f"{value:g}") for name, value in sorted(training.figures.items())]
    yield table("All figures of the manifest (split by person)", ("figure", "value"), figures)


def dataset(found: Inspection) -> Iterator[str]:
    """Who is in the dataset, what could be mistaken for the class, and what is wrong with it."""
    yield heading("Dataset")
    yield paragraph(
        f"{found.n_people} people, {found.n_walks} walks, {found.total_min:.0f} minutes; gravity {found.gravity}; "
        f"labels from {found.register}."
    )
    classes = [
        (line.label, str(line.n_people), str(line.n_walks), f"{line.least_min:.1f}", f"{line.median_min:.1f}")
        for line in found.classes
    ]
    yield table("People by class", ("class", "people", "walks", "least minutes a person", "median"), classes)
    for crossing in found.crossings:
        together = "" if crossing.cramers_v is None else f" (Cramér's V {crossing.cramers_v:.2f})"
        cells = [(label, *map(str, counts)) for label, counts in zip(found.labels, crossing.counts, strict=True)]
        yield table(f"People by class and {crossing.by}{together}", ("class", *crossing.values), cells)
    for spread in found.spreads:
        quartiles = [
            (label, str(n), *(("-",) * 3 if own is None else (f"{value:.3g}" for value in own)))
            for label, n, own in zip(found.labels, spread.n_people, spread.quartiles, strict=True)
        ]
        header = ("class", "people", "lower quartile", "median", "upper quartile")
        yield table(f"By class: {spread.what}", header, quartiles)
    if found.warnings:
        yield heading("What could be mistaken for the class", 3)
        yield bullets(found.warnings)
    missing = [f"without a recording: {', '.join(found.without_recording)}"] if found.without_recording else []
    yield heading("Problems of the dataset", 3)
    yield bullets([*found.problems, *missing]) or paragraph("None found.")


def repeat(config_text: str, versions: Mapping[str, str], commands: Sequence[str]) -> Iterator[str]:
    """How to run it again."""
    yield heading("To repeat it")
    yield literal("\n".join(commands))
    yield heading("Configuration", 3)
    yield literal(config_text)
    yield table("Versions", ("what", "version"), versions.items())
