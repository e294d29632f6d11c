"""The report of a recorded session: its result enters, one HTML page that needs no network leaves.

It shows what was told and what it rests on, also where that is little; it computes no result of its own and names no
person beyond the pseudonym of the recording.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge import page
from edge.errors import RecordingError
from edge.manifest import Manifest
from edge.messages import Figure, Gait, Health
from edge.recording.settings import session_configuration
from edge.session_result import BLOCK_S, ClassResult, SensorResult, SessionResult
from edge.sources.session import Session
from edge.stream.bouts import MAX_BREAK_NS, MIN_STRIDES
from edge.timeline import timeline

DISCLAIMER: Final = "Research use only. No medical device: not for diagnosis."

REFERENCE_LABELS: Final = ("robust", "pre-frail", "frail")
REFERENCE: Final[Mapping[str, tuple[tuple[float, float], ...]]] = {
    "stride_time_s": ((0.9818, 1.449), (1.021, 1.561), (1.052, 2.448)),
    "swing_percent": ((24.5, 33.48), (23.69, 31.94), (15.7, 30.05)),
    "stride_length_m": ((0.6188, 1.427), (0.5848, 1.223), (0.366, 0.9423)),
}
"""5 % and 95 % quantiles of the people's means, by class; the same as in ``trainer/class_figures.json``."""
_REFERENCE_SOURCE: Final = (
    "Reference: 5 to 95 % of the means of 65 robust, 73 pre-frail and 20 frail people of the GSTRIDE register, "
    "García-de-Villa et al., Sci. Data 10:566 (2023), doi 10.1038/s41597-023-02428-0, CC BY 4.0. The classes overlap, "
    "so one figure tells no class. No range was derived of the figures marked –."
)
_FIGURES: Final = (
    ("stride_time_s", "stride time, s", 2),
    ("cadence_strides_min", "cadence of this foot, strides/min", 1),
    ("stance_percent", "stance, % of the stride", 1),
    ("swing_percent", "swing, % of the stride", 1),
    ("stride_length_m", "stride length, m", 2),
    ("gait_speed_m_s", "gait speed, m/s", 2),
)
_HOW: Final = (
    "The class is that of the mean log-probability over all used windows; every window counts alike.",
    f"The 95 % interval comes from drawing stretches of {BLOCK_S:g} s with replacement, because windows overlap and "
    "neighbouring strides resemble each other. It says how far another walk like this one would move the figure. It "
    "does not say how often the model is wrong: for that see the model's card.",
    f"A bout is walking with {MIN_STRIDES} strides or more and breaks of up to {MAX_BREAK_NS / 1e9:g} s. Its strides "
    "are counted where they were published, which is known to a window.",
)


def make_report(session: Session, result: SessionResult, manifest: Manifest) -> str:
    """The whole page; ``manifest`` is of the model that the session was recorded with."""
    return page.page(f"Gait session {session.info.session}", _body(session, result, manifest))


def write_report(path: Path, text: str, *, force: bool) -> None:
    """Put a whole page in place, or none; `RecordingError` where ``path`` exists (without ``force``), or can't be."""
    if path.exists() and not force:
        raise RecordingError(f"{path}: is there already; give another --out, or --force to replace it")
    try:
        # Beside its place: what is renamed is whole.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as workplace:
            fresh = Path(workplace) / path.name
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error


def _body(session: Session, result: SessionResult, manifest: Manifest) -> Iterator[str]:
    info, trained_on = session.info, manifest.training.trained_on
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
            yield page.paragraph(f"{one.sensor}: {_told(one.result)}")
    for one in result.sensors:
        yield from _sensor(one, manifest.labels)
    yield page.heading("Losses")
    yield page.bullets(session.losses) or page.paragraph("Whatever reached the program is in the recording.")
    yield _table_of_links(result.sensors)
    yield page.heading("Model and settings")
    screen = session_configuration(info).screen
    yield page.bullets(
        (
            f"model: {info.bundle}, sha256 {info.bundle_sha256}",
            f"trained on: {trained_on} ({manifest.training.dataset})",
            f"intended use: {manifest.intended_use}",
            f"windows without walking: {'refused' if screen.gate else 'used, the gate was off'}",
            "how the sensor sits: "
            + ("found from the walk" if screen.mounting == "correct" else "trusted as configured"),
            f"recorded by frailedge {info.version}",
        )
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
    yield from _gait(one.gait)
    n_windows = len(one.windows)
    rows_of_quality = [
        ("used", str(one.result.n_windows), _share(one.result.n_windows, n_windows)),
        *((f"refused: {why}", str(n), _share(n, n_windows)) for why, n in sorted(one.n_refused.items())),
        *((f"flagged: {flag}", str(n), _share(n, n_windows)) for flag, n in sorted(one.n_flags.items())),
    ]
    yield page.table(f"Windows and signal quality, of {n_windows} windows", ("", "windows", "share"), rows_of_quality)
    if not one.n_flags and n_windows:
        yield page.paragraph("No window's signal was flagged.")


def _gait(gait: Gait | None) -> Iterator[str]:
    if gait is None or not gait.session.n_strides:
        why = f": {gait.mounting_reason}" if gait is not None and gait.mounting_reason else ""
        yield page.paragraph(f"No stride was measured, so there are no gait figures{why}.")
        return
    rows = []
    for name, text, digits in _FIGURES:
        figure: Figure = getattr(gait.session, name)
        ranges = REFERENCE.get(name)
        told = [f"{low:.{digits}f} to {high:.{digits}f}" for low, high in ranges] if ranges else ["–"] * 3
        rows.append((text, _number(figure.mean, digits), _number(figure.deviation, digits), str(figure.n), *told))
    header = ("figure", "mean", "deviation", "strides", *REFERENCE_LABELS)
    yield page.table("Gait figures of this foot, and the reference by class", header, rows)
    yield page.paragraph(_REFERENCE_SOURCE)
    reason = f" ({gait.mounting_reason})" if gait.mounting_reason else ""
    yield page.paragraph(f"How the sensor sits: {gait.mounting}{reason}.")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _share(n: int, n_all: int) -> str:
    return f"{n / n_all:.1%}" if n_all else "–"


def _table_of_links(sensors: Sequence[SensorResult]) -> str:
    def row(sensor: str, health: Health) -> tuple[str, ...]:
        counts = (
            health.n_samples,
            health.n_lost_samples,
            health.n_gaps,
            health.n_corrupt,
            health.n_reconnects,
            health.n_restarts,
            health.ring_lost,
        )
        return sensor, *map(str, counts)

    rows = [row(one.sensor, one.health) for one in sensors if one.health is not None]
    if not rows:
        return page.paragraph("Nothing about the link was recorded.")
    header = ("sensor", "samples", "lost samples", "gaps", "bad packets", "reconnects", "restarts", "lost in the ring")
    return page.table("The link, as inference last told it", header, rows)
