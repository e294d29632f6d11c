"""The virtual foot sensor in the place of a radio: a walker's notifications, ready when a real sensor's would be.

No sleeping and no clock here: whoever drives it says how far device time has come.
"""

import secrets
from collections.abc import Iterator
from typing import Final

from edge.config import VirtualConfig
from edge.errors import ConfigError
from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.channels import Samples
from firmware_bridge.gait import GaitParameters
from firmware_bridge.packet_v1 import Command, Info
from firmware_bridge.virtual_sensor import RATES_TENTH_HZ, Faults, VirtualSensorV1
from firmware_bridge.walker import Walker

_CHUNK_S: Final = 0.25


class VirtualFoot:
    """A sensor worn by the configured walker, and after ``then_after_s`` by the second one, if there is one."""

    def __init__(self, config: VirtualConfig) -> None:
        rate_tenth_hz = round(config.rate_hz * 10)
        if rate_tenth_hz not in RATES_TENTH_HZ or rate_tenth_hz < 500:
            rates = ", ".join(f"{rate / 10:g}" for rate in RATES_TENTH_HZ if rate >= 500)
            raise ConfigError(f"virtual.rate_hz = {config.rate_hz:g}: the virtual sensor has {rates} Hz")
        self._config = config
        self._first = read_walker(walker_path(config.walker))
        self._second = read_walker(walker_path(config.then)) if config.then else None
        self.info = Info(rate_tenth_hz=rate_tenth_hz, boot_id=secrets.randbits(32))
        self._sensor = VirtualSensorV1(
            self._samples, self.info, faults=Faults(radio_drop=config.drop_share), seed=config.seed
        )
        self._sensor.write_control(bytes(Command.start()), 0)

    def notifications(self, until_us: int) -> Iterator[tuple[int, bytes]]:
        """All notifications ready up to a device time, each with the time at which it is ready."""
        return self._sensor.notifications(until_us)

    def _samples(self, rate_hz: float) -> Iterator[Samples]:
        n_chunk = round(_CHUNK_S * rate_hz)
        left_before_change = None if self._second is None else round(self._config.then_after_s * rate_hz)
        walker = self._walker(self._first, rate_hz, 0)
        while True:
            if left_before_change is not None and left_before_change <= 0 and self._second is not None:
                walker = self._walker(self._second, rate_hz, 1)
                left_before_change = None
            n_samples = n_chunk if left_before_change is None else min(n_chunk, left_before_change)
            if left_before_change is not None:
                left_before_change -= n_samples
            yield walker.advance(n_samples)

    def _walker(self, gait: GaitParameters, rate_hz: float, person: int) -> Walker:
        return Walker(gait, rate_hz=rate_hz, seed=self._config.seed + person)
