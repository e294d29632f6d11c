"""From the configuration to a checked bundle and a classifier that is ready: for every command that runs a model."""

from pathlib import Path

from edge.bundle import Bundle, load_bundle
from edge.config import ModelConfig
from edge.errors import BundleError, ConfigError
from edge.manifest import Manifest
from edge.model import RUNTIMES, Classifier
from edge.paths import default_bundle_dir
from edge.stream.screen import ScreenSpec, screen_problems


def open_model(config: ModelConfig) -> tuple[Bundle, Classifier]:
    """The bundle in force, every field and hash checked, and its classifier."""
    if config.runtime and config.runtime not in RUNTIMES:
        raise ConfigError(f"model.runtime = {config.runtime!r} is unknown: choose {' or '.join(RUNTIMES)}")
    bundle = load_bundle(Path(config.bundle) if config.bundle else default_bundle_dir(), config.variant or None)
    runtime = next((name for name in RUNTIMES if name == config.runtime), None)
    return bundle, Classifier(bundle, runtime)


def check_screen(manifest: Manifest, screen: ScreenSpec) -> None:
    """`BundleError` for windows that the screen could not judge: none of them would ever be used."""
    if not screen.gate:
        return
    for problem in screen_problems(manifest.sample_rate_hz, manifest.window_samples):
        raise BundleError(
            f"the bundle {manifest.name}: {problem}: use a bundle with longer windows (--bundle), or switch the gate "
            "off (screen.gate = false)"
        )


def check_fits_live(manifest: Manifest, screen: ScreenSpec) -> None:
    """`BundleError` for a model that was not trained on what sensors send, gravity and all, or cannot be screened."""
    if manifest.gravity != "included":
        raise BundleError(
            f"the bundle {manifest.name} was trained on signals with gravity {manifest.gravity}; sensors send it "
            "included: use another bundle (--bundle), and this one with `frailedge replay`"
        )
    check_screen(manifest, screen)
