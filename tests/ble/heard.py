"""A session in the test's own event loop, over bleak's BlueZ backend: what it writes into its ring is heard at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.ble.ingest import make_session
from edge.ble.radio import Radio
from edge.ble.session import Session
from edge.config import BleConfig
from edge.records import LinkState, LinkStatus, decode_record
from edge.ring import RingWriter
from edge.run_settings import RunSensor
from firmware_bridge.device import Device, DeviceKind
from firmware_bridge.devices.v1 import KIND
from firmware_bridge.events import Block, Event
from tests.ble.central import LEFT

CONFIG = BleConfig(silent_after_s=0.4)
Item = Event | LinkStatus


class HeardRing(RingWriter):
    """A ring's writer that keeps what it wrote, and wakes who waits for it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.items: list[Item] = []
        self._n_looked_at = 0
        self._news = asyncio.Event()

    def write(self, payload: bytes) -> int:
        """As its parent, and kept."""
        self.items.append(decode_record(payload).item)
        self._news.set()
        return super().write(payload)

    async def until(self, is_wanted: Callable[[Item], bool]) -> Item:
        """The next item that is wanted, of those that were not looked at before."""
        while True:
            while self._n_looked_at < len(self.items):
                self._n_looked_at += 1
                if is_wanted(self.items[self._n_looked_at - 1]):
                    return self.items[self._n_looked_at - 1]
            self._news.clear()
            await self._news.wait()

    async def state(self, state: LinkState) -> LinkStatus:
        """The next status of a link that stands so."""
        item = await self.until(lambda item: isinstance(item, LinkStatus) and item.state is state)
        assert isinstance(item, LinkStatus)
        return item

    async def blocks(self, n: int) -> None:
        """So many more blocks."""
        for _ in range(n):
            await self.until(lambda item: isinstance(item, Block))

    @property
    def states(self) -> list[LinkState]:
        """How the link stood, one after the other."""
        told = [item.state for item in self.items if isinstance(item, LinkStatus)]
        return [state for at, state in enumerate(told) if at == 0 or state is not told[at - 1]]


@dataclass
class Running:
    """A session that runs; ``ended`` is its task, and ``stop`` ends it in order."""

    session: Session
    ring: HeardRing
    stop: asyncio.Event
    ended: asyncio.Task[None]

    async def end(self) -> None:
        """Stop it, and wait for its end."""
        self.stop.set()
        await self.ended


@asynccontextmanager
async def running(
    folder: Path,
    radio: Radio,
    *,
    address: str = LEFT,
    advertised: str = "",
    config: BleConfig = CONFIG,
    has_worked: bool = False,
    kind: DeviceKind = KIND,
    device: Device | None = None,
) -> AsyncIterator[Running]:
    """The session of one sensor, run as long as the context lasts."""
    sensor = RunSensor(stream_id=0, name="left", address=address, advertised=advertised, kind=kind.key)
    with HeardRing(folder / f"ring-{time.monotonic_ns()}") as ring:
        session = make_session(radio, config, sensor, ring, has_worked=has_worked)
        if device is not None:
            session._device = device
        stop = asyncio.Event()
        ended = asyncio.create_task(session.run(stop))
        try:
            yield Running(session, ring, stop, ended)
        finally:
            ended.cancel()
            await asyncio.wait((ended,))
