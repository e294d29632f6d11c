"""From the configuration to a checked bundle and a classifier that is ready: for every command that runs a model."""

from pathlib import Path

from edge.bundle import Bundle, load_bundle
from edge.config import ModelConfig
from edge.errors import ConfigError
from edge.model import RUNTIMES, Classifier
from edge.paths import default_bundle_dir


def open_model(config: ModelConfig) -> tuple[Bundle, Classifier]:
    """The bundle in force, every field and hash checked, and its classifier."""
    if config.runtime and config.runtime not in RUNTIMES:
        raise ConfigError(f"model.runtime = {config.runtime!r} is unknown: choose {' or '.join(RUNTIMES)}")
    bundle = load_bundle(Path(config.bundle) if config.bundle else default_bundle_dir(), config.variant or None)
    runtime = next((name for name in RUNTIMES if name == config.runtime), None)
    return bundle, Classifier(bundle, runtime)
