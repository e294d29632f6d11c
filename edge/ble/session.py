"""One sensor from searching to the last sample: the loop that connects, starts, watches and connects again.

Notifications enter in bleak's callback, are stamped first thing, decoded and written to the ring, and that is all that
happens there. Nothing here waits for inference, disk or a subscriber.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.ble.link import Link
from edge.ble.radio import Connection, LinkError, Radio, Seen
from edge.intake import Intake
from edge.records import LinkState
from firmware_bridge.device import Ask, Device, DeviceError, DeviceKind, Pause, Read, Subscribe, Talk, Write

ANSWER_WITHIN_S: Final = 5.0
"""Ten times the longest supervision timeout's share: an answer that takes longer will not come."""
START_WITHIN_S: Final = 20.0
STOP_WITHIN_S: Final = 0.8
"""Ctrl-C has two seconds for everything."""
BATTERY_EVERY_S: Final = 60.0
WATCH_EVERY_S: Final = 0.25
_EARLY_NOTIFICATIONS: Final = 512  # between a sensor's first notification and the end of its start: some seconds


class Session:
    """One sensor's link, kept up until it is told to stop."""

    def __init__(
        self,
        radio: Radio,
        kind: DeviceKind,
        device: Device,
        intake: Intake,
        link: Link,
        *,
        address: str,
        is_it: Callable[[Seen], bool],
        on_started: Callable[[Device], object] = lambda _: None,
    ) -> None:
        self._radio = radio
        self._kind = kind
        self._device = device
        self._intake = intake
        self._link = link
        self._address = address
        self._is_it = is_it
        self._on_started = on_started
        self._has_streamed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; a sensor that cannot be used ends it with its `DeviceError`."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                attempt = asyncio.create_task(self._attempt(stop))
                await asyncio.wait((attempt, stopped), return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set() and self._link.state in (LinkState.SEARCHING, LinkState.CONNECTING):
                    attempt.cancel()
                await asyncio.wait((attempt,))
                if attempt.cancelled():
                    break
                reason = attempt.result()
                if stop.is_set():
                    break
                backoff_s = self._link.failed(reason, time.monotonic_ns())
                self._tell()
                await asyncio.wait((stopped,), timeout=backoff_s)
                if not stop.is_set():
                    self._to(LinkState.SEARCHING)
        finally:
            stopped.cancel()
            self._to(LinkState.ENDED)

    def tick(self) -> None:
        """Say how the link is doing; to be called about once a second."""
        self._tell()

    async def _attempt(self, stop: asyncio.Event) -> str:
        """One connection from searching to its end; gives why it ended."""
        try:
            await self._radio.release(self._address)
            seen = await self._radio.find(self._is_it)
            self._intake.rssi_dbm = seen.rssi_dbm
            self._to(LinkState.CONNECTING)
            lost = asyncio.Event()
            connection = await self._radio.connect(seen, lost.set)
        except LinkError as error:
            return str(error)
        try:
            self._to(LinkState.SUBSCRIBING)
            conversation = _Conversation(connection, self._device, self._intake, lost)
            try:
                async with asyncio.timeout(START_WITHIN_S):
                    await conversation.carry_out(self._device.start(time.monotonic_ns()))
            except TimeoutError:
                return f"the sensor was not started within {START_WITHIN_S:g} s"
            except DeviceError as error:
                if not self._has_streamed:
                    raise
                return str(error)  # it could be used before: it will be again
            self._on_started(self._device)
            conversation.begin()
            self._has_streamed = True
            self._to(LinkState.STREAMING)
            self._intake.n_reconnects = self._link.n_reconnects
            reason = await self._watch(connection, lost, stop)
            if stop.is_set():
                await _goodbye(conversation, self._device)
        except LinkError as error:
            return str(error)
        else:
            return reason
        finally:
            await connection.close()

    async def _watch(self, connection: Connection, lost: asyncio.Event, stop: asyncio.Event) -> str:
        battery_at_s = 0.0
        waits = [asyncio.create_task(lost.wait()), asyncio.create_task(stop.wait())]
        try:
            while not lost.is_set() and not stop.is_set():
                if time.monotonic() >= battery_at_s:
                    battery_at_s = time.monotonic() + BATTERY_EVERY_S
                    await self._read_battery(connection)
                await asyncio.wait(waits, timeout=WATCH_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                before = self._link.state
                is_over = self._link.watch(self._intake.heard_ns, time.monotonic_ns())
                if self._link.state is not before:
                    self._tell()
                if is_over and not lost.is_set() and not stop.is_set():
                    return "connected, but no data came"
        finally:
            for wait in waits:
                wait.cancel()
        return "the link was lost"

    async def _read_battery(self, connection: Connection) -> None:
        if connection.has(self._kind.battery_uuid):
            value = await connection.read(self._kind.battery_uuid)
            self._intake.battery_percent = value[0] if value and value[0] <= 100 else None

    def _to(self, state: LinkState) -> None:
        self._link.to(state, time.monotonic_ns())
        self._tell()

    def _tell(self) -> None:
        self._intake.status(self._link.state, time.monotonic_ns())


class _Conversation:
    """What is said over one connection, and what comes back."""

    def __init__(self, connection: Connection, device: Device, intake: Intake, lost: asyncio.Event) -> None:
        self._connection = connection
        self._device = device
        self._intake = intake
        self._lost = lost
        # What the characteristic that is asked says next is its answer, and no data.
        self._asked: tuple[str, asyncio.Future[bytes]] | None = None
        # What comes before the sensor has said what it sends.
        self._early: deque[tuple[str, bytes, int]] | None = deque(maxlen=_EARLY_NOTIFICATIONS)

    async def carry_out(self, talk: Talk) -> None:
        """Every step of a talk; `LinkError` where one cannot be, and what the talk raises."""
        answer: bytes | None = None
        while True:
            try:
                step = next(talk) if answer is None else talk.send(answer)
            except StopIteration:
                return
            if self._lost.is_set():
                raise LinkError("the link was lost")
            answer = b""
            match step:
                case Read():
                    if not step.is_optional or self._connection.has(step.uuid):
                        answer = await self._connection.read(step.uuid)
                case Write():
                    await self._connection.write(step.uuid, step.data, with_response=step.with_response)
                case Subscribe():
                    await self._subscribe(step)
                case Ask():
                    answer = await self._ask(step)
                case Pause():
                    await asyncio.sleep(step.duration_s)

    def begin(self) -> None:
        """The sensor has said what it sends: take what came meanwhile, and from now on everything at once."""
        self._intake.started(self._device.stream, time.monotonic_ns())
        early, self._early = self._early, None
        for uuid, data, received_ns in early or ():
            self._take(uuid, data, received_ns)

    async def _subscribe(self, step: Subscribe) -> None:
        uuid = step.uuid

        def received(data: bytes) -> None:
            received_ns = time.monotonic_ns()
            if self._asked is not None and self._asked[0] == uuid and not self._asked[1].done():
                self._asked[1].set_result(data)
            elif not step.is_data:
                pass  # nobody asked
            elif self._early is not None:
                self._early.append((uuid, data, received_ns))
            elif not self._lost.is_set():  # an old connection's echo is not this sensor's word
                self._take(uuid, data, received_ns)

        await self._connection.subscribe(uuid, received)

    def _take(self, uuid: str, data: bytes, received_ns: int) -> None:
        self._intake.heard_ns = received_ns
        self._intake.put(self._device.feed(uuid, data, received_ns))

    async def _ask(self, step: Ask) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked = (step.reply_uuid, answer)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._connection.write(step.uuid, step.data, with_response=step.with_response)
                return await answer
        except TimeoutError as error:
            raise LinkError(f"no answer to {step.data.hex()} within {ANSWER_WITHIN_S:g} s") from error
        finally:
            self._asked = None


async def _goodbye(conversation: _Conversation, device: Device) -> None:
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await conversation.carry_out(device.stop())
    except TimeoutError as error:
        raise LinkError("the sensor did not take the stop command") from error
