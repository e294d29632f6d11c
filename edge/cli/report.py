"""`frailedge report`: what a recorded session says, as one page to read and to print."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.bundle import load_bundle
from edge.cli import options as opt
from edge.errors import ConfigError
from edge.paths import default_bundle_dir
from edge.session_report import make_report, write_report
from edge.session_result import KINDS, session_result
from edge.sources.session import read_session


def command(
    session: Annotated[
        Path, typer.Argument(help="A session's file, its folder, or DIR/NAME where a folder holds several.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page to write.", metavar="FILE.html")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.html where it is there already.")] = False,
    config: opt.ConfigFile = None,
    bundle: opt.BundleDir = None,
) -> None:
    """Write the result of a session, and what it rests on, as one HTML page; research use only, no diagnosis."""
    found = read_session(session, KINDS)
    for loss in found.losses:
        print(f"frailedge: {loss}", file=sys.stderr)
    model = opt.configured(config, model__bundle=bundle).model
    manifest = load_bundle(Path(model.bundle) if model.bundle else default_bundle_dir()).manifest
    if found.info.bundle_sha256 not in {variant.sha256 for variant in manifest.variants.values()}:
        raise ConfigError(
            f"{session}: was recorded with model {found.info.bundle}, and {manifest.name} at hand is another one: "
            "give its folder with --bundle"
        )
    result = session_result(
        found.messages,
        min_windows=manifest.decision.min_windows,
        least_confidence=manifest.decision.least_confidence,
        sensors=[sensor.name for sensor in found.info.sensors],
    )
    write_report(out, make_report(found, result, manifest), force=force)
    print(out)
