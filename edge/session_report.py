"""The report of a recorded session: its result enters, one HTML page that needs no network leaves.

It shows what was told and what it rests on, also where that is little; it computes no result of its own and names no
person beyond the pseudonym of the recording.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge import page, reference
from edge.card_page import card_html
from edge.errors import RecordingError
from edge.manifest import Manifest
from edge.recording.entries import SessionInfo
from edge.recording.settings import session_configuration
from edge.session_result import BLOCK_S, ClassResult, SensorResult, SessionResult
from edge.stream.bouts import MAX_BREAK_NS, MIN_STRIDES
from edge.stream.gait_figures import RunningFigure
from edge.timeline import timeline
from edge.totals import count_words

DISCLAIMER: Final = "Research use only. No medical device: not for diagnosis."

_REFERENCE_SOURCE: Final = (
    "Reference: 5 to 95 % of the means of "
    + ", ".join(f"{n} {label}" for n, label in zip(reference.N_PEOPLE, reference.LABELS, strict=True))
    + f" people of the GSTRIDE register with a recording, derived from {reference.SOURCE}. The classes overlap, so one "
    "figure tells no class. Steps of both feet are taken as twice the strides of this one."
)
_FIGURES: Final = (
    ("stride_time_s", "stride time, s", 2),
    ("cadence_strides_min", "cadence of this foot, strides/min", 1),
    ("stance_percent", "stance, % of the stride", 1),
    ("swing_percent", "swing, % of the stride", 1),
    ("stride_length_m", "stride length, m", 2),
    ("gait_speed_m_s", "gait speed, m/s", 2),
)
_LINK: Final = {
    "samples": "n_samples",
    "lost samples": "n_lost_samples",
    "gaps": "n_gaps",
    "bad packets": "n_corrupt",
    "reconnects": "n_reconnects",
    "restarts": "n_restarts",
    "lost in the ring": "ring_lost",
}
"""Columns, and the counts of `Health` in them."""
_HOW: Final = (
    "The class is that of the mean log-probability over the used windows of all bouts; every window counts alike. "
    "Steps that belong to no bout make no class.",
    f"The 95 % interval comes from drawing stretches of {BLOCK_S:g} s with replacement, because windows overlap and "
    "neighbouring strides resemble each other. It says how far another walk like this one would move the figure. It "
    "does not say how often the model is wrong: for that see the model's card above.",
    f"A bout is walking with {MIN_STRIDES} strides or more and breaks of up to {MAX_BREAK_NS / 1e9:g} s; where it "
    "begins and ends is known to a window. A stride belongs to it where the foot came down. Those of the last minute "
    "before it was found how the sensor sits are counted too; earlier ones are not.",
)


def make_report(
    info: SessionInfo, result: SessionResult, manifest: Manifest, card: str, losses: Sequence[str] = ()
) -> str:
    """The whole page; ``manifest`` and ``card`` (Markdown, or empty) are of the model of the session."""
    return page.page(f"Gait session {info.session}", _body(info, result, manifest, card, losses))


def write_report(path: Path, text: str, *, force: bool) -> None:
    """Put a whole page in place, or none; nobody but its owner may read what it says of a person's health.

    `RecordingError` where ``path`` exists (without ``force``), or cannot be written.
    """
    try:
        if path.exists() and not force:
            raise RecordingError(f"{path}: is there already; give another --out, or --force to replace it")
        # Beside its place: what is renamed is whole.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as workplace:
            fresh = Path(workplace) / path.name
            fresh.touch(0o600)
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error


def _body(
    info: SessionInfo, result: SessionResult, manifest: Manifest, card: str, losses: Sequence[str]
) -> Iterator[str]:
    trained_on = manifest.training.trained_on
    virtual = [sensor.name for sensor in info.sensors if not sensor.kind]
    yield page.banner(DISCLAIMER)
    if trained_on.startswith("synthetic"):
        yield page.banner(
            f"Synthetic: the model was trained on {trained_on}, which are computed and nobody's gait. "
            "Its class says nothing about a person."
        )
    if virtual:
        yield page.banner(f"Synthetic: {', '.join(virtual)} is a virtual sensor. Nobody walked.")
    of_whom = f"Person {info.person}" if info.person else "No pseudonym was recorded"
    sensors = ", ".join(f"{sensor.name} ({sensor.kind or 'virtual'})" for sensor in info.sensors)
    yield page.paragraph(f"{of_whom}; begun {info.session} (UTC); sensors: {sensors}.")
    yield page.heading("Result")
    yield from _result("All sensors together" if len(result.sensors) > 1 else "This session", result.together)
    yield page.paragraph(_how_good(manifest))
    if len(result.sensors) > 1:
        for one in result.sensors:
            yield page.paragraph(f"{one.sensor}: {_told(one.result)}.")
    if losses:
        more = f", and {len(losses) - 1} more under Losses" if len(losses) > 1 else ""
        yield page.paragraph(f"The recording is not without faults: {losses[0]}{more}.")
    for one in result.sensors:
        yield from _sensor(one, manifest.labels)
    yield page.heading("Losses")
    yield page.bullets(losses) or page.paragraph("Whatever reached the program is in the recording.")
    yield _table_of_links(result.sensors)
    yield page.heading("Model and settings")
    screen = session_configuration(info).screen
    yield page.bullets(
        (
            f"model: {info.bundle}, sha256 {info.bundle_sha256}",
            f"windows without walking: {'refused' if screen.gate else 'used, the gate was off'}",
            f"how the sensor sits: {'found from the walk' if screen.finds_mounting else 'trusted as configured'}",
            f"recorded by frailedge {info.version}",
        )
    )
    if card:
        yield page.folded("The model's card", card_html(card))
    else:
        yield page.paragraph(
            f"Trained on: {trained_on} ({manifest.training.dataset}). Intended use: {manifest.intended_use}. "
            "The model's folder holds no card."
        )
    yield page.heading("How to read this")
    yield page.bullets(_HOW)


def _told(result: ClassResult) -> str:
    if not result.probabilities:
        return f"no result: {result.reason}"
    probability = result.probabilities[result.leader or ""]
    said = f"{result.label}, probability {probability:.2f}" if result.label else f"no result: {result.reason}"
    if result.interval_95 is None:
        return f"{said}; no 95 % interval: {result.no_interval_because}"
    of_what = "" if result.label else f" of {result.leader}"
    return f"{said}; 95 % interval{of_what} {result.interval_95[0]:.2f} to {result.interval_95[1]:.2f}"


def _how_good(manifest: Manifest) -> str:
    """What the interval leaves out: how often the model is right at all."""
    figures, what = manifest.training.figures, "test_balanced_accuracy_by_person"
    said = "The interval is about this walk, not about the model's errors."
    if not {what, f"{what}_lower_95", f"{what}_upper_95"} <= figures.keys():
        return f"{said} How often the model is right, its bundle does not say."
    low, high = figures[f"{what}_lower_95"], figures[f"{what}_upper_95"]
    return (
        f"{said} On people that it was not trained on, the model's balanced accuracy by person was "
        f"{figures[what]:.2f} ({low:.2f} to {high:.2f}); guessing gives {1 / len(manifest.labels):.2f}."
    )


def _result(what: str, result: ClassResult) -> Iterator[str]:
    yield page.answer(f"{what}: {_told(result)}")
    if result.probabilities:
        yield page.table(
            "Probability of each class",
            ("class", "probability"),
            [(label, f"{share:.3f}") for label, share in result.probabilities.items()],
        )
    if result.lead_share is not None and result.leader is not None:
        yield page.paragraph(f"{result.leader} leads in {result.lead_share:.1%} of the drawn sessions.")
    yield page.paragraph(
        f"Windows used: {result.n_windows}. Stretches of {BLOCK_S:g} s with any of them: {result.n_blocks}."
    )


def _sensor(one: SensorResult, labels: Sequence[str]) -> Iterator[str]:
    yield page.heading(f"Sensor {one.sensor}")
    if not one.windows:
        yield page.paragraph("No window was published.")
    else:
        caption = f"Sensor {one.sensor}: what the foot did, the class told at the time, and what was refused, over time"
        yield page.drawing(timeline(one.windows, labels, caption), caption)
    if not one.figures.n_strides and any(window.motion == "walking" for window in one.windows):
        yield page.paragraph("The foot walked, but no stride of it is known, so no bout can be told, and no class.")
    else:
        yield page.paragraph(
            f"Walked {one.walked_s:.0f} s in {len(one.bouts)} bout{'' if len(one.bouts) == 1 else 's'}"
            f" ({sum(bout.n_strides for bout in one.bouts)} strides)."
        )
    if one.bouts:
        rows = [
            (
                str(i),
                f"{bout.start_ns / 1e9:.1f}",
                f"{bout.stop_ns / 1e9:.1f}",
                str(bout.n_strides),
                f"{bout.break_ns / 1e9:.1f}",
            )
            for i, bout in enumerate(one.bouts, 1)
        ]
        yield page.table("Bouts", ("bout", "from, s", "to, s", "strides", "breaks in it, s"), rows)
    yield from _gait(one)
    n_windows = len(one.windows)
    rows_of_quality = [
        ("used, in a bout", one.result.n_windows),
        *([("used at the time, outside every bout", one.n_outside_bouts)] if one.n_outside_bouts else []),
        *((f"refused: {why}", n) for why, n in sorted(one.n_refused.items())),
        *([("prediction lost", one.n_lost)] if one.n_lost else []),
        *((f"flagged: {flag}", n) for flag, n in sorted(one.n_flags.items())),
    ]
    yield page.table(
        f"Windows and signal quality, of {n_windows} windows",
        ("", "windows", "share"),
        [(what, str(n), _share(n, n_windows)) for what, n in rows_of_quality],
    )
    if not one.n_flags and one.windows:
        yield page.paragraph("No window's signal was flagged.")


def _gait(one: SensorResult) -> Iterator[str]:
    gait, figures = one.gait, one.figures
    if not figures.n_strides:
        why = f": {gait.mounting_reason}" if gait is not None and gait.mounting_reason else ""
        yield page.paragraph(f"No stride was measured, so there are no gait figures{why}.")
    else:
        rows = []
        for name, text, digits in _FIGURES:
            figure: RunningFigure = getattr(figures, name)
            told = [f"{low:.{digits}f} to {high:.{digits}f}" for low, high in reference.RANGES[name]]
            rows.append((text, _number(figure.mean, digits), _number(figure.deviation, digits), str(figure.n), *told))
            if name == "cadence_strides_min":
                steps = [f"{2 * low:.0f} to {2 * high:.0f}" for low, high in reference.RANGES[name]]
                mean = _number(figures.cadence_steps_min, 0)
                rows.append(("cadence of both feet, steps/min", mean, "–", str(figure.n), *steps))
        header = ("figure", "mean", "deviation", "strides", *reference.LABELS)
        yield page.table("Gait figures of this foot, and the reference by class", header, rows)
        yield page.paragraph(_REFERENCE_SOURCE)
    if one.n_implausible:
        yield page.paragraph(
            f"Left out as no stride that anybody takes: {one.n_implausible}, beside {figures.n_strides} that count."
        )
    if gait is not None:
        reason = f" ({gait.mounting_reason})" if gait.mounting_reason else ""
        yield page.paragraph(f"How the sensor sits: {gait.mounting}{reason}.")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _share(n: int, n_all: int) -> str:
    return f"{n / n_all:.1%}" if n_all else "–"


def _table_of_links(sensors: Sequence[SensorResult]) -> str:
    rows = [
        (one.sensor, *(count_words(one.health, name, one.at_least) for name in _LINK.values()))
        for one in sensors
        if one.health is not None
    ]
    if not rows:
        return page.paragraph("Nothing about the link was recorded.")
    return page.table("The link, over the whole session", ("sensor", *_LINK), rows)
