"""The virtual foot sensor in the place of a radio: a walker's notifications, ready when a real sensor's would be.

No sleeping and no clock here: whoever drives it says how far device time has come.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from edge.config import VirtualConfig
from edge.errors import ConfigError
from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.channels import Samples
from firmware_bridge.gait import GaitParameters
from firmware_bridge.packet_v1 import Frame, Info
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.virtual_sensor import RATES_TENTH_HZ, Faults, SampleSource
from firmware_bridge.walker import Walker

_CHUNK_S: Final = 0.25


def virtual_foot(config: VirtualConfig) -> PeripheralV1:
    """A sensor worn by the configured walker; `ConfigError` for a rate or a walker that there is not."""
    rate_tenth_hz = round(config.rate_hz * 10)
    if rate_tenth_hz not in RATES_TENTH_HZ or rate_tenth_hz < 500:
        rates = ", ".join(f"{rate / 10:g}" for rate in RATES_TENTH_HZ if rate >= 500)
        raise ConfigError(f"virtual.rate_hz = {config.rate_hz:g}: the virtual sensor has {rates} Hz")
    return PeripheralV1(
        walk_source(config),
        faults=Faults(radio_drop=config.drop_share),
        seed=config.seed,
        info=Info(rate_tenth_hz=rate_tenth_hz, boot_id=secrets.randbits(32), frame=Frame.FOOT),
    )


def walk_source(config: VirtualConfig) -> SampleSource:
    """The configured walker's samples at any rate, and after ``then_after_s`` those of the second, if there is one."""
    first = read_walker(walker_path(config.walker))
    second = read_walker(walker_path(config.then)) if config.then else None

    def samples(rate_hz: float) -> Iterable[Samples]:
        return _samples(first, second, config, rate_hz)

    return samples


def _samples(
    first: GaitParameters, second: GaitParameters | None, config: VirtualConfig, rate_hz: float
) -> Iterator[Samples]:
    n_chunk = round(_CHUNK_S * rate_hz)
    left_before_change = None if second is None else round(config.then_after_s * rate_hz)
    walker = Walker(first, rate_hz=rate_hz, seed=config.seed)
    while True:
        if left_before_change is not None and left_before_change <= 0 and second is not None:
            walker = Walker(second, rate_hz=rate_hz, seed=config.seed + 1)
            left_before_change = None
        n_samples = n_chunk if left_before_change is None else min(n_chunk, left_before_change)
        if left_before_change is not None:
            left_before_change -= n_samples
        yield walker.advance(n_samples)
