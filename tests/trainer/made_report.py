"""A report's context of invented results, for tests and, by ``python -m tests.trainer.made_report DIR``, to look at."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.tiny_bundle import tiny_manifest
from tests.trainer.made_results import LABELS, made_results
from trainer.inspection import ClassLine, Crossing, DeviceLine, Inspection, Spread
from trainer.protocols import Leak
from trainer.report import ReportContext, write_report
from trainer.summary import summarise


def made_inspection(**changes: Any) -> Inspection:
    """Sixty people on two devices."""
    found = Inspection(
        kind="folder",
        folder="recordings",
        register="people.csv",
        target="gait-speed",
        synthetic=False,
        gravity="removed",
        licence="weights made of it: CC BY-NC-SA 4.0",
        credit="A. Uthor, A set of walks, 2026",
        labels=LABELS,
        n_people=60,
        n_walks=120,
        total_min=240.0,
        classes=tuple(ClassLine(label, 20, 40, 1.5, 4.0, 6.5) for label in LABELS),
        devices=(DeviceLine("alpha", 104, 30, 60, 120.0), DeviceLine("beta", 128, 30, 60, 120.0)),
        found=(),
        crossings=(Crossing("device", ("alpha", "beta"), ((20, 0), (10, 10), (0, 20)), 0.8),),
        spreads=(Spread("minutes of signal", (20, 20, 20), ((3.0, 4.0, 5.0), None, (2.0, 3.0, 4.0)), 0.1),),
        people=(),
        without_recording=("P099",),
        warnings=("class and device hang together (Cramér's V 0.80): a model may learn the device",),
        problems=("P017: 3 rows repeated, dropped",),
    )
    return msgspec.structs.replace(found, **changes)


def made_context(dataset: Inspection | None = None, **changes: Any) -> ReportContext:
    """Three protocols, a network, a variant and two baselines, one of which the network loses to."""
    results = []
    for protocol, note, right in (
        ("window", "", 0.95),
        ("person", "", 0.7),
        ("transfer", "trained on alpha, tested on beta", 0.6),
    ):
        results += made_results("network", right=right, protocol=protocol, note=note)
        results += made_results("baseline:hand", right=0.85, protocol=protocol, note=note, unit="walk")
        results += made_results("baseline:majority", right=0.33, protocol=protocol, note=note, unit="person")
    results += made_results("with focal loss", right=0.7)
    people = 60
    parts: dict[str, Any] = {
        "name": "gait-speed",
        "created": "2026-11-22T18:00:00+00:00",
        "dataset": dataset or made_inspection(),
        "config_text": 'name = "gait-speed"\n[protocol]\nseeds = [1, 2]\n',
        "versions": {"frailedge": "0.3.0", "numpy": "1.26.4"},
        "commands": ["frailedge train recordings --config gait-speed"],
        "summary": summarise(results, LABELS),
        "results": results,
        "leaks": {
            own.fold: Leak(
                people if own.protocol == "window" else 0, people, 480 if own.protocol == "window" else 0, 480
            )
            for own in results
        },
        "bundle": tiny_manifest(labels=LABELS),
    }
    return ReportContext(**{**parts, **changes})


if __name__ == "__main__":
    print(write_report(Path(sys.argv[1] if len(sys.argv) > 1 else "."), made_context()))
