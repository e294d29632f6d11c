"""A virtual sensor from its first advertisement to its summary, in one event loop: what the user reads leaves.

The sensor and the faults of its link enter. It ends by signal, by time, or with the controller; every ending but
the last prints a summary. Samples are written out between two turns of the radio, never within one.
"""

import asyncio
import contextlib
import signal
import sys
import time
from dataclasses import replace
from typing import Final

from edge.ble.bumble_host import open_host
from edge.ble.bumble_peripheral import BumblePeripheral, LinkFaults, static_address
from edge.ble.selection import kind_of
from edge.ble.sent import SentSamples
from firmware_bridge.device import Advert, DeviceKind
from firmware_bridge.peripheral import Peripheral
from firmware_bridge.virtual_sensor import SensorCounts

__all__ = ["LinkFaults", "VirtualRun"]

_STATUS_S: Final = 5.0
_WRITE_OUT_S: Final = 0.5


class VirtualRun:
    """One virtual sensor at one transport; ``sent`` gets all that it hands to the radio."""

    def __init__(self, kind: DeviceKind, peripheral: Peripheral, sent: SentSamples | None, seed: int) -> None:
        self._kind = kind
        self._peripheral = peripheral
        self._sent = sent
        self._seed = seed
        self._begin_s = time.monotonic()
        self._told = SensorCounts()

    async def serve(self, transport: str, speed: float, faults: LinkFaults, duration_s: float | None) -> None:
        """Until a signal comes, the time is over or the controller is gone."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        name = self._peripheral.name
        async with open_host(transport, name=name, address=static_address(name, self._seed)) as host:
            served = BumblePeripheral(
                host,
                self._peripheral,
                speed=speed,
                faults=faults,
                seed=self._seed,
                on_connected=None if self._sent is None else self._sent.linked,
                on_sent=None if self._sent is None else self._sent.take,
            )
            self._say(*self._title(served, transport))
            self._begin_s = time.monotonic()
            end_s = float("inf") if duration_s is None else self._begin_s + duration_s
            serving = asyncio.create_task(served.run())
            stopping = asyncio.create_task(stop.wait())
            status_s = self._begin_s + _STATUS_S
            try:
                while not stopping.done() and not serving.done() and (now_s := time.monotonic()) < end_s:
                    await asyncio.wait(
                        {serving, stopping}, timeout=min(_WRITE_OUT_S, end_s - now_s), return_when="FIRST_COMPLETED"
                    )
                    if self._sent is not None:
                        self._sent.write_out()
                    if time.monotonic() >= status_s:
                        status_s += _STATUS_S
                        self._say(self._status(served))
            finally:
                stopping.cancel()
                serving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving
            if self._sent is not None:
                self._sent.write_out()
            self._say(*self._summary(served))

    def _title(self, served: BumblePeripheral, transport: str) -> list[str]:
        peripheral, advert = self._peripheral, served.advertisement
        uuids = ", ".join(peripheral.advertised_uuids) or "no service"
        lines = [f"{self._kind.title} at {transport}, advertised as {advert.name!r} with {uuids}"]
        if advert.name != peripheral.name:
            lines.append(f"the name {peripheral.name!r} has no room in an advertisement and was cut")
        known = kind_of(
            Advert(advert.name, frozenset(peripheral.advertised_uuids), frozenset(peripheral.manufacturer_data))
        )
        if known != self._kind.key:
            took = known or "no known kind"
            lines.append(f"so advertised, `frailedge live` takes it for {took}: set kind = {self._kind.key!r} there")
        return lines

    def _status(self, served: BumblePeripheral) -> str:
        counts, told = self._peripheral.counts, self._told
        self._told = replace(counts)
        is_streaming = served.is_connected and counts.samples_sent > told.samples_sent
        link = "streaming" if is_streaming else "connected" if served.is_connected else "advertising"
        return (
            f"{time.monotonic() - self._begin_s:6.0f} s  {link}  sent {counts.samples_sent:,}  "
            f"dropped {counts.samples_dropped:,}  spoilt {counts.samples_spoilt:,}"
        )

    def _summary(self, served: BumblePeripheral) -> list[str]:
        counts, link = self._peripheral.counts, served.counts
        lines = [
            f"Summary: {time.monotonic() - self._begin_s:.1f} s, {link.connections} connections",
            f"samples  taken {counts.samples_taken}, idle {counts.samples_idle}, sent {counts.samples_sent}, "
            f"dropped {counts.samples_dropped}, spoilt {counts.samples_spoilt}",
            f"packets  sent {counts.packets_sent}, dropped {counts.packets_dropped}, spoilt {counts.packets_spoilt}",
            f"link     broken on purpose {link.disconnects_made}, silences {link.silences}; of the samples sent, "
            f"{link.samples_silenced} kept back by silences, {link.samples_unsent} by a link that was full",
        ]
        if self._sent is not None:
            lines.append(f"written  {self._sent.n_samples} samples to {self._sent.path}, {self._sent.sensor_path}")
        return lines

    def _say(self, *lines: str) -> None:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
