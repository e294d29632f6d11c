"""Checks of what this program needs of itself: its configuration, its model, the address where it publishes.

The configuration in force goes in, findings come out. The model classifies one window of zeros and the address is
bound for a moment; both are given back.
"""

from pathlib import Path
from typing import Final

import numpy as np

from edge.ble.selection import find_kind
from edge.bus import Publisher, Subscriber
from edge.config import Config, SensorConfig
from edge.doctor.finding import Finding, Level
from edge.errors import BundleError, ConfigError, PublishError, RecordingError
from edge.opening import check_fits_live, open_model
from edge.sources.conventions import parse_axes
from firmware_bridge.channels import N_CHANNELS

_HEARD_WITHIN_S: Final = 1.5
"""A running `frailedge live` says how it is about once a second."""


def check_configuration(config: Config, path: Path | None) -> Finding:
    """Whether its sensors can be used; that its keys and values can be was found when it was read."""
    where = "the defaults" if path is None else str(path)
    wrong = [f"ble.sensors {sensor.name}: {why}" for sensor in config.ble.sensors if (why := _problem(sensor))]
    if wrong:
        return Finding("configuration", Level.FAILURE, f"{where}: {'; '.join(wrong)}")
    names = ", ".join(sensor.name for sensor in config.ble.sensors)
    return Finding("configuration", Level.OK, f"{where}; sensors: {names or 'none named, the only one near is taken'}")


def check_model(config: Config) -> Finding:
    """Whether the bundle is whole, its model runs here, and `live` would take it."""
    try:
        bundle, classifier = open_model(config.model)
        check_fits_live(bundle.manifest, config.screen.spec_for(bundle.manifest))
        classifier.predict(np.zeros((bundle.manifest.wavelet.n_coefficients, N_CHANNELS), np.float32))
    except (BundleError, ConfigError) as error:
        return Finding("model", Level.FAILURE, str(error))
    labels = ", ".join(classifier.labels)
    words = f"{bundle.folder.name}, {classifier.variant_name} on {classifier.runtime_name}: {labels}"
    return Finding("model", Level.OK, words)


def check_ports(endpoint: str) -> Finding:
    """Whether a run could publish; where the address is taken, whether a `frailedge` is heard there."""
    try:
        Publisher(endpoint).close()
    except PublishError as error:
        refusal = str(error)
    else:
        return Finding("ports", Level.OK, f"{endpoint} is free to publish at")
    if _is_frailedge_there(endpoint):
        words = f"a running frailedge publishes at {endpoint}"
        return Finding("ports", Level.WARNING, words, "end it before another run, or give that one another --endpoint")
    return Finding("ports", Level.FAILURE, refusal)


def _is_frailedge_there(endpoint: str) -> bool:
    try:
        subscriber = Subscriber(endpoint)
    except PublishError:
        return False
    try:
        return subscriber.receive(_HEARD_WITHIN_S) is not None
    finally:
        subscriber.close()


def _problem(sensor: SensorConfig) -> str:
    try:
        if sensor.kind:
            find_kind(sensor.kind)
        if sensor.axes:
            parse_axes(sensor.axes)
    except (ConfigError, RecordingError) as error:
        return str(error)
    return ""
