"""One sensor from searching to the last sample: the loop that connects, starts, watches and connects again.

Notifications enter in bleak's callback, are stamped first thing, decoded and written to the ring, and that is all that
happens there. Nothing here waits for inference, disk or a subscriber.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.ble.link import Link
from edge.ble.radio import Connection, LinkError, Radio, Seen
from edge.intake import Intake
from edge.records import LinkState
from firmware_bridge.device import (
    Ask,
    Device,
    DeviceBusyError,
    DeviceError,
    DeviceKind,
    Pause,
    Read,
    Subscribe,
    Talk,
    Write,
)

_LOG: Final = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 5.0
"""Ten times the longest supervision timeout's share: an answer that takes longer will not come."""
START_WITHIN_S: Final = 20.0
STOP_WITHIN_S: Final = 0.6
"""Ctrl-C has two seconds for everything."""
BATTERY_EVERY_S: Final = 60.0
BATTERY_WITHIN_S: Final = 2.0
WATCH_EVERY_S: Final = 0.25
_BEFORE_STREAMING: Final = frozenset({LinkState.SEARCHING, LinkState.CONNECTING, LinkState.SUBSCRIBING})
_EARLY_NOTIFICATIONS: Final = 512  # between a sensor's first notification and the end of its start: some seconds


class Session:
    """One sensor's link, kept up until it is told to stop.

    ``has_worked``: it was streamed from before, by a process that is gone; what it refuses now, it may grant again.
    """

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
        has_worked: bool = False,
    ) -> None:
        self._radio = radio
        self._kind = kind
        self._device = device
        self._intake = intake
        self._link = link
        self._address = address
        self._is_it = is_it
        self._on_started = on_started
        self._has_worked = has_worked
        self._begins_anew = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``, which alone is told as the end; a sensor that cannot be used raises its `DeviceError`."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                attempt = asyncio.create_task(self._attempt(stop))
                await asyncio.wait((attempt, stopped), return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set() and self._link.state in _BEFORE_STREAMING:
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
            self._take_for_it(seen)
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
            except DeviceBusyError as error:
                return str(error)
            except DeviceError as error:
                if not self._has_worked:
                    raise
                return str(error)  # it could be used before: it will be again
            self._on_started(self._device)
            conversation.begin(is_anew=self._begins_anew)
            self._has_worked, self._begins_anew = True, False
            self._to(LinkState.STREAMING)
            self._intake.n_reconnects = self._link.n_reconnects
            reason = await self._watch(connection, conversation, stop)
            if stop.is_set():
                await _goodbye(conversation, self._device)
        except LinkError as error:
            return str(error)
        else:
            return reason
        finally:
            await connection.close()

    def _take_for_it(self, seen: Seen) -> None:
        """A sensor at another address goes by the same name, and may be another one: its counters begin anew."""
        if seen.address == self._address:
            return
        self._address = seen.address
        self._device = self._kind.make()
        self._begins_anew = True
        _LOG.warning(
            "%s: a sensor of its name advertises from another private address; taken for it, counting begins anew",
            self._link.sensor,
        )

    async def _watch(self, connection: Connection, conversation: "_Conversation", stop: asyncio.Event) -> str:
        lost, broken = conversation.lost, conversation.broken
        battery = asyncio.create_task(self._ask_for_battery(connection))
        waits = (asyncio.create_task(lost.wait()), asyncio.create_task(stop.wait()))
        try:
            while not lost.is_set() and not stop.is_set():
                await asyncio.wait((*waits, broken), timeout=WATCH_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                for bug in (broken, battery):
                    if bug.done():
                        bug.result()
                before = self._link.state
                is_over = self._link.watch(
                    self._intake.heard_ns, time.monotonic_ns(), self._device.stream.longest_packet_s
                )
                if self._link.state is not before:
                    self._tell()
                if is_over and not lost.is_set() and not stop.is_set():
                    return "connected, but no data came"
        finally:
            for task in (*waits, battery):
                task.cancel()
        return "the link was lost"

    async def _ask_for_battery(self, connection: Connection) -> None:
        """Now and then; a sensor that refuses or says nothing is not asked again in this connection."""
        try:
            while connection.has(self._kind.battery_uuid):
                async with asyncio.timeout(BATTERY_WITHIN_S):
                    value = await connection.read(self._kind.battery_uuid)
                self._intake.battery_percent = value[0] if value and value[0] <= 100 else None
                await asyncio.sleep(BATTERY_EVERY_S)
        except (LinkError, TimeoutError):
            pass  # as one that has none
        self._intake.battery_percent = None

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
        self.lost = lost
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Holds what a decoder raised: in bleak's callback nobody would hear of it."""
        # What the characteristic that is asked says next, with the mark, is its answer, and no data.
        self._asked: tuple[Ask, asyncio.Future[bytes]] | None = None
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
            if self.lost.is_set():
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

    def begin(self, *, is_anew: bool) -> None:
        """The sensor has said what it sends: take what came meanwhile, and from now on everything at once.

        ``is_anew``: nothing that it counts goes on from before.
        """
        now_ns = time.monotonic_ns()
        self._intake.started(self._device.stream, now_ns)
        if is_anew:
            self._intake.began_anew(now_ns)
        early, self._early = self._early, None
        for uuid, data, received_ns in early or ():
            self._take(uuid, data, received_ns)

    async def _subscribe(self, step: Subscribe) -> None:
        uuid = step.uuid

        def received(data: bytes) -> None:
            received_ns = time.monotonic_ns()
            asked = self._asked
            if asked is not None and asked[0].is_answered_by(uuid, data) and not asked[1].done():
                asked[1].set_result(data)
            elif not step.is_data:
                pass  # nobody asked
            elif self._early is not None:
                self._early.append((uuid, data, received_ns))
            elif not self.lost.is_set() and not self.broken.done():  # an old connection's echo is not its word
                try:
                    self._take(uuid, data, received_ns)
                except Exception as error:  # noqa: BLE001  (dbus-fast would log it and go on; `broken` raises it)
                    self.broken.set_exception(error)

        await self._connection.subscribe(uuid, received)

    def _take(self, uuid: str, data: bytes, received_ns: int) -> None:
        self._intake.heard_ns = received_ns
        self._intake.put(self._device.feed(uuid, data, received_ns))

    async def _ask(self, step: Ask) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked = (step, answer)
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
