"""The report of a run: one page that tells all of it and needs nothing else, no network, no script.

Everything a run knows goes in as a `ReportContext`; ``report.html`` comes out. By person comes first, every protocol is
named wherever its figures stand, and what the network loses is told like what it wins. Nothing is trained here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.manifest import Manifest
from edge.page import banner, bullets, heading, page, paragraph
from trainer import report_figures as figures
from trainer import report_run as about
from trainer.inspection import Inspection
from trainer.page import STYLE
from trainer.protocols import Leak
from trainer.summary import Summary
from trainer.trial import TrialResult

REPORT_NAME: Final = "report.html"
_DEVICE: Final = "Research tool, no medical device: nothing here may be used to find, judge or treat any condition."
_SYNTHETIC: Final = "SYNTHETIC TWINS: not valid for people. The people in it are computed, not measured."


@dataclass(frozen=True, slots=True)
class ReportContext:
    """All that a report tells.

    ``leaks`` holds what `trainer.protocols.find_leak` found, by the fold's name; ``versions`` names and versions of all
    that figures may depend on; ``commands`` repeat the run, a line each. ``summary`` is None and ``results`` empty
    where no protocol was run, ``bundle`` is None where none was made; ``failures`` are trials
    without an answer, and why.
    """

    name: str
    created: str
    dataset: Inspection
    config_text: str
    versions: Mapping[str, str]
    commands: Sequence[str]
    summary: Summary | None = None
    results: Sequence[TrialResult] = ()
    leaks: Mapping[str, Leak] | None = None
    failures: Sequence[str] = ()
    bundle: Manifest | None = None


def write_report(folder: Path, context: ReportContext) -> Path:
    """Write ``report.html`` into a folder that is there; gives its path. `OSError` where it cannot be written."""
    path = folder / REPORT_NAME
    path.write_text(make_report(context), encoding="utf-8")
    return path


def make_report(context: ReportContext) -> str:
    """The page as text."""
    dataset, summary = context.dataset, context.summary
    title = f"{context.name}: {dataset.target} on {dataset.n_people} people of {dataset.kind}"
    if dataset.synthetic:
        title += " (synthetic twins)"
    body = [banner(_SYNTHETIC)] if dataset.synthetic else []
    body += [banner(_DEVICE), paragraph(f"Made {context.created}. Classes: {', '.join(dataset.labels)}.")]
    body += about.protocols(context.results, context.leaks or {})
    if context.failures:
        body += [banner("Trials without an answer: the figures lack them."), bullets(context.failures)]
    if summary is None or not summary.rows:
        body += [heading("Figures"), paragraph("No protocol was run: there are no figures by person.")]
    else:
        body += figures.main(summary)
        body += figures.claims(summary)
        body += figures.classes(summary)
        body += figures.by_window(summary)
        body += figures.training(context.results)
        body += figures.trust(summary, context.results)
    if context.bundle is not None:
        body += about.bundle(context.bundle)
    body += about.dataset(dataset)
    if summary is not None and summary.rows:
        body += figures.people(summary)
    body += about.repeat(context.config_text, context.versions, context.commands)
    body += [heading("Licence and credit"), paragraph(dataset.licence), bullets([dataset.credit])]
    return page(title, body, STYLE)
