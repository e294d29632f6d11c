"""An inspected dataset goes in; a folder comes out: one page that needs no network, and each of its pictures as a PNG.

Synthetic data is called so in the title, at the top of the page and in every picture.
"""

import base64
import html
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edge.errors import DatasetError
from edge.sources.recording import Recording
from trainer.datasets.dataset import Dataset, Subject
from trainer.inspection import Crossing, Inspection, PersonLine, duration_s
from trainer.inspection_windows import windows_table

SHOWN_S: Final = 10.0
_AXES: Final = (("x", "#0072b2"), ("y", "#d55e00"), ("z", "#009e73"))
_DPI: Final = 80
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: .6rem 0; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
th { font-weight: 600; border-bottom: 1px solid #bbb; } td.n, th.n { text-align: right; }
.synthetic { background: #fff3cd; border: 1px solid #e0c060; padding: .6rem 1rem; font-weight: 600; }
.warning { color: #8a3b00; } .walks { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); }
figure { margin: .6rem .8rem .6rem 0; } img { max-width: 100%; height: auto; } figcaption { font-size: .85rem; }
"""


def write_page(
    inspection: Inspection, dataset: Dataset, out: Path, *, progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Write ``index.html`` and the pictures; returns the page. `DatasetError` where the folder cannot be written."""
    try:
        (out / "people").mkdir(parents=True, exist_ok=True)
        overview = [_picture(out / "classes.png", _draw_classes(inspection), "People by class and device")]
        overview.append(_picture(out / "minutes.png", _draw_minutes(inspection), "Minutes of signal a person"))
        overview += [
            _picture(
                out / f"class_by_{_file_name(crossing.by)}.png",
                _draw_crossing(inspection, crossing),
                f"Class by {crossing.by}: darker where more of a column are of that class",
            )
            for crossing in inspection.crossings
        ]
        walks: dict[str, list[str]] = {label: [] for label in inspection.labels}
        for i, (subject, line) in enumerate(zip(dataset.subjects, inspection.people, strict=True), start=1):
            name = out / "people" / f"{i:03d}_{_file_name(subject.id)}.png"
            caption = _caption(line)
            walks[subject.label].append(_picture(name, _draw_walk(subject, inspection.synthetic), caption))
            if progress is not None:
                progress(subject.id, i, inspection.n_people)
        page = out / "index.html"
        page.write_text(_page(inspection, overview, walks), encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"--out {out}: cannot be written: {error.strerror}") from error
    return page


def middle_of(recording: Recording, shown_s: float = SHOWN_S) -> slice:
    """The samples of the middle seconds, by time; fewer where the recording is shorter."""
    middle_ns = (int(recording.time_ns[0]) + int(recording.time_ns[-1])) // 2
    half_ns = round(shown_s * 0.5e9)
    first, stop = np.searchsorted(recording.time_ns, [middle_ns - half_ns, middle_ns + half_ns])
    return slice(int(first), int(stop))


def _draw_walk(subject: Subject, synthetic: bool) -> Figure:
    """The middle of a person's longest walk; samples that are missing leave the line open."""
    recording = max((walk.recording for walk in subject.walks), key=duration_s)
    part = middle_of(recording)
    time_s, samples = recording.time_ns[part] / 1e9, recording.samples[part]
    gaps = np.flatnonzero(np.diff(time_s) > 1.5 / recording.rate_hz) + 1
    time_s, samples = np.insert(time_s, gaps, np.nan), np.insert(samples, gaps, np.nan, axis=0)
    figure = Figure(figsize=(7.2, 2.1))
    figure.subplots_adjust(0.05, 0.17, 0.99, 0.9, wspace=0.13)  # a layout found anew takes as long as the drawing
    named = f"{subject.id}, {subject.label}" + (" (synthetic)" if synthetic else "")
    for place, (values, unit) in enumerate(
        ((samples[:, :3], "acceleration, m/s²"), (np.rad2deg(samples[:, 3:]), "rate, deg/s")), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        for channel, (axis, colour) in enumerate(_AXES):
            axes.plot(time_s, values[:, channel], color=colour, linewidth=0.8, label=axis)
        axes.set_title(f"{named}: {unit}", fontsize=8, loc="left")
        axes.set_xlabel("time, s", fontsize=7)
        _plain(axes)
    axes.legend(
        fontsize=6,
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 0.98),
        frameon=False,
        borderaxespad=0,
        handlelength=0.8,
        columnspacing=0.8,
    )
    return figure


def _draw_classes(inspection: Inspection) -> Figure:
    devices = sorted({line.device for line in inspection.people})
    figure = Figure(figsize=(6.0, 0.9 + 0.45 * len(inspection.labels)), layout="constrained")
    axes = figure.add_subplot()
    left = np.zeros(len(inspection.labels))
    for i, device in enumerate(devices):
        n = np.array(
            [sum(p.label == label and p.device == device for p in inspection.people) for label in inspection.labels]
        )
        axes.barh(inspection.labels, n, left=left, label=device, color=colormaps["Set2"](i % 8))
        left += n
    for label, total in zip(inspection.labels, left, strict=True):
        axes.annotate(f" {total:.0f}", (total, label), va="center", fontsize=8)
    axes.set_xlim(0, max(left) * 1.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    axes.legend(fontsize=7)
    return _titled(figure, axes, "people by class and device", inspection)


def _draw_minutes(inspection: Inspection) -> Figure:
    figure = Figure(figsize=(6.0, 0.9 + 0.45 * len(inspection.labels)), layout="constrained")
    axes = figure.add_subplot()
    for row, line in enumerate(inspection.classes):
        minutes = sorted(person.signal_min for person in inspection.people if person.label == line.label)
        height = row + 0.5 * (np.arange(len(minutes)) * 0.618034 % 1.0 - 0.5)  # spread evenly, the same each time
        axes.plot(minutes, height, "o", markersize=3, alpha=0.5, color="#0072b2")
        axes.plot([line.median_min] * 2, [row - 0.35, row + 0.35], color="#222", linewidth=2)
    axes.set_yticks(range(len(inspection.labels)), inspection.labels)
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    return _titled(figure, axes, "minutes of signal a person; the bar is the median", inspection)


def _draw_crossing(inspection: Inspection, crossing: Crossing) -> Figure:
    counts = np.array(crossing.counts, np.float64)
    shares = counts / np.maximum(counts.sum(axis=0), 1.0)
    figure = Figure(
        figsize=(max(4.5, 1.6 + 0.85 * len(crossing.values)), 0.9 + 0.45 * len(counts)), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.55 else "#222"
        axes.annotate(f"{n:.0f}", (column, row), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(crossing.values)), [_short(value) for value in crossing.values])
    axes.set_yticks(range(len(counts)), inspection.labels)
    v = "" if crossing.cramers_v is None else f", Cramér's V {crossing.cramers_v:.2f}"
    return _titled(figure, axes, f"people: class by {crossing.by}{v}", inspection)


def _titled(figure: Figure, axes: Axes, title: str, inspection: Inspection) -> Figure:
    axes.set_title(f"{'synthetic data: ' if inspection.synthetic else ''}{title}", fontsize=9)
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _picture(path: Path, figure: Figure, caption: str) -> str:
    """Write one PNG; returns it as an element that carries the picture in it."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=_DPI)
    path.write_bytes(data.getvalue())
    text = html.escape(caption)
    encoded = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<figure><img alt="{text}" src="data:image/png;base64,{encoded}"><figcaption>{text}</figcaption></figure>'


def _caption(line: PersonLine) -> str:
    walks = "" if line.n_walks == 1 else f" in {line.n_walks} recordings"
    rates = " and ".join(f"{rate_hz:g}" for rate_hz in line.rates_hz)
    parts = [f"{line.id}: {line.label}", line.device, f"{line.signal_min:.1f} min{walks}", f"{rates} Hz"]
    if line.missing_samples:
        parts.append(f"{line.missing_percent:.2f} % of the samples missing")
    if line.n_duplicates:
        parts.append(f"{line.n_duplicates} repeated rows dropped")
    return ", ".join([*parts, *(f"{name} {value}" for name, value in line.traits.items() if name != "device")])


def _page(inspection: Inspection, overview: Sequence[str], walks: dict[str, list[str]]) -> str:
    synthetic = "SYNTHETIC DATA: " if inspection.synthetic else ""
    title = html.escape(f"{synthetic}{Path(inspection.folder).resolve().name}, inspected")
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f"</head><body><h1>{title}</h1>",
    ]
    if inspection.synthetic:
        parts.append('<p class="synthetic">Synthetic data: nobody walked here. Not valid for people.</p>')
    parts.append(
        f"<p>{inspection.n_people} people, {inspection.n_walks} recordings, {inspection.total_min:.0f} minutes of "
        f"signal; classes by {html.escape(inspection.target)}; gravity {inspection.gravity}. Read as {inspection.kind} "
        f"from {html.escape(inspection.register)}.</p>"
        f"<p>Licence of weights made of it: {html.escape(inspection.licence)}. "
        f"Credit: {html.escape(inspection.credit)}</p>"
    )
    judged = []
    if inspection.windows:
        judged = ["<h2>Windows, judged as the edge would</h2>", _table(*windows_table(inspection.windows))]
    parts += [
        "<h2>Warnings</h2>",
        _list(inspection.warnings, "warning"),
        "<h2>Problems</h2>",
        _list(inspection.problems, ""),
        f"<h2>People without a recording</h2><p>{html.escape(', '.join(inspection.without_recording)) or 'none'}</p>",
        "<h2>Classes</h2>",
        _table(
            ("class", "people", "recordings", "least minutes", "median", "most"),
            (
                (c.label, c.n_people, c.n_walks, f"{c.least_min:.1f}", f"{c.median_min:.1f}", f"{c.most_min:.1f}")
                for c in inspection.classes
            ),
        ),
        "<h2>Devices and rates</h2>",
        _table(
            ("device", "rate, Hz", "people", "recordings", "minutes"),
            ((d.device, d.rate_hz, d.n_people, d.n_walks, f"{d.total_min:.0f}") for d in inspection.devices),
        ),
        *judged,
        "<h2>What was found in the files, and how</h2>",
        _table(("recordings", "statement"), ((found.n_walks, found.text) for found in inspection.found)),
        "<h2>What could be mistaken for the class</h2>",
        *overview,
    ]
    if inspection.spreads:
        parts.append(
            _table(
                ("quartiles a person", *inspection.labels),
                (
                    (s.what, *("none" if q is None else " / ".join(f"{x:.3g}" for x in q) for q in s.quartiles))
                    for s in inspection.spreads
                ),
            )
        )
    for label, pictures in walks.items():
        parts.append(
            f"<h2>{html.escape(label)}: {SHOWN_S:.0f} s from the middle of each person's longest recording</h2>"
            f'<div class="walks">{"".join(pictures)}</div>'
        )
    return "\n".join([*parts, "</body></html>", ""])


def _list(lines: Sequence[str], kind: str) -> str:
    if not lines:
        return "<p>none</p>"
    return f'<ul class="{kind}">' + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def row(cells: Sequence[object], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    return f"<table>{row(header, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"


def _file_name(text: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in text)


def _short(text: str) -> str:
    return text if len(text) <= 14 else text[:13] + "…"
