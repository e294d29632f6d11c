"""`frailedge report`: what a recorded session says, as one page to read and to print."""

import itertools
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.bundle import CARD_NAME, load_bundle
from edge.cli import options as opt
from edge.errors import ConfigError
from edge.paths import default_bundle_dir
from edge.session_report import make_report, write_report
from edge.session_result import KINDS, session_result
from edge.sources.session_reader import SessionReader


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
    reader = SessionReader(session, KINDS, whole_records=False)
    parts = iter(reader)
    first = next(parts)
    model = opt.configured(config, model__bundle=bundle).model
    at_hand = load_bundle(Path(model.bundle) if model.bundle else default_bundle_dir())
    manifest = at_hand.manifest
    if first.info.bundle_sha256 not in {variant.sha256 for variant in manifest.variants.values()}:
        raise ConfigError(
            f"{session}: was recorded with model {first.info.bundle}, and {manifest.name} at hand is another one: "
            "give its folder with --bundle"
        )
    result = session_result(
        # File by file, so that hours of messages are never in memory at once.
        itertools.chain.from_iterable(part.published for part in itertools.chain((first,), parts)),
        min_windows=manifest.decision.min_windows,
        least_confidence=manifest.decision.least_confidence,
        sensors=[sensor.name for sensor in first.info.sensors],
    )
    for loss in reader.losses:
        print(f"frailedge: {loss}", file=sys.stderr)
    write_report(out, make_report(reader.info, result, manifest, _card(at_hand.folder), reader.losses), force=force)
    print(out)


def _card(folder: Path) -> str:
    """The bundle's model card, empty where it has none."""
    path = folder / CARD_NAME
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
