"""Ring, `multiprocessing.Queue` and ZeroMQ ipc between two processes: `python -m tests.benchmarks.ring`.

Records are as long as a full block. Each transport has one echoing process for the whole run. A round takes each
transport in turn: round trips at 200 a second, then a burst as fast as it goes, timed until the last one is answered.
The ring is made large enough for a burst, so that every record arrives by every way. Prints medians over rounds and
the ratio to the ring of the same round; hosts differ, ratios hold.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, Protocol

import zmq

from edge.records import MAX_RECORD_BYTES
from edge.ring import RingReader, RingWriter, create_ring, open_doorbell

N_ROUNDS: Final = 7
N_PACED: Final = 200
PERIOD_S: Final = 1 / 200
N_BURST: Final = 10_000
PATIENCE_S: Final = 1.0

_ANSWER, _SWALLOW, _END = b"A", b"S", b"E"
_REST: Final = bytes(MAX_RECORD_BYTES - 1)

Fork = multiprocessing.get_context("fork")  # hands doorbells and queues on as they are


class Channel(Protocol):
    """Both directions as one end sees them."""

    def send(self, record: bytes) -> None: ...

    def receive(self) -> bytes: ...


class RingChannel:
    """Two rings with a doorbell each."""

    def __init__(self, out: Path, out_bell: int, into: Path, into_bell: int) -> None:
        self._writer = RingWriter(out, slots=2 * N_BURST, doorbell=out_bell)
        self._reader = RingReader(into, 0, doorbell=into_bell)

    def send(self, record: bytes) -> None:
        self._writer.write(record)

    def receive(self) -> bytes:
        while (found := self._reader.read()) is None:
            self._reader.wait(PATIENCE_S)
        self._reader.commit()
        if self._reader.lost:
            raise RuntimeError("ring: records were lost, so the comparison is not one")
        return found[1]


class QueueChannel:
    """Two queues."""

    def __init__(self, out: "multiprocessing.Queue[bytes]", into: "multiprocessing.Queue[bytes]") -> None:
        self._out, self._into = out, into

    def send(self, record: bytes) -> None:
        self._out.put(record)

    def receive(self) -> bytes:
        return self._into.get()


class ZmqChannel:
    """PUSH and PULL over ipc, with no limit on what may wait: nothing is dropped or held up."""

    def __init__(self, out: str, into: str) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._push, self._pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        for socket in (self._push, self._pull):
            socket.set_hwm(0)
            socket.linger = 0
        self._push.bind(out)
        self._pull.connect(into)

    def send(self, record: bytes) -> None:
        self._push.send(record)

    def receive(self) -> bytes:
        record = self._pull.recv()
        assert isinstance(record, bytes)
        return record


def echo(open_end: Callable[[], Channel]) -> None:
    """The other process: answers each record that asks for it, until the end."""
    channel = open_end()
    while (record := channel.receive())[:1] != _END:
        if record[:1] == _ANSWER:
            channel.send(record)


@dataclass(frozen=True, slots=True)
class Transport:
    """One way between two processes: how either end is opened."""

    name: str
    open_far: Callable[[], Channel]
    open_near: Callable[[], Channel]


def transports(folder: Path) -> list[Transport]:
    """The three, the ring first; every ratio is to that."""
    there, back = folder / "there", folder / "back"
    for path in (there, back):
        create_ring(path, slots=2 * N_BURST)
    there_bell, back_bell = open_doorbell(), open_doorbell()
    there_queue: multiprocessing.Queue[bytes] = Fork.Queue()
    back_queue: multiprocessing.Queue[bytes] = Fork.Queue()
    there_ipc, back_ipc = f"ipc://{folder}/there.ipc", f"ipc://{folder}/back.ipc"
    return [
        Transport(
            "ring",
            lambda: RingChannel(back, back_bell, there, there_bell),
            lambda: RingChannel(there, there_bell, back, back_bell),
        ),
        Transport(
            "multiprocessing.Queue",
            lambda: QueueChannel(back_queue, there_queue),
            lambda: QueueChannel(there_queue, back_queue),
        ),
        Transport(
            "ZeroMQ ipc PUSH/PULL",
            lambda: ZmqChannel(back_ipc, there_ipc),
            lambda: ZmqChannel(there_ipc, back_ipc),
        ),
    ]


def round_trip_s(channel: Channel) -> float:
    """Median of `N_PACED` round trips that start 5 ms apart."""
    trips_s = []
    start_s = time.perf_counter()
    for trip in range(N_PACED):
        time.sleep(max(0.0, start_s + trip * PERIOD_S - time.perf_counter()))
        sent_s = time.perf_counter()
        channel.send(_ANSWER + _REST)
        channel.receive()
        trips_s.append(time.perf_counter() - sent_s)
    return statistics.median(trips_s)


def burst_s(channel: Channel) -> float:
    """How long `N_BURST` records take, the answer to the last included."""
    start_s = time.perf_counter()
    for _ in range(N_BURST - 1):
        channel.send(_SWALLOW + _REST)
    channel.send(_ANSWER + _REST)
    channel.receive()
    return time.perf_counter() - start_s


def measure(channels: dict[str, Channel]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Round trips and bursts of each round, in seconds; the order within a round turns with the round."""
    names = list(channels)
    trips_s: dict[str, list[float]] = {name: [] for name in names}
    bursts_s: dict[str, list[float]] = {name: [] for name in names}
    for number in range(N_ROUNDS):
        for at in range(len(names)):
            name = names[(number + at) % len(names)]
            trips_s[name].append(round_trip_s(channels[name]))
            bursts_s[name].append(burst_s(channels[name]))
    return trips_s, bursts_s


def table(trips_s: dict[str, list[float]], bursts_s: dict[str, list[float]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield f"| {MAX_RECORD_BYTES}-byte records | round trip at 200 Hz | ratio | {N_BURST:,} flat out | ratio |"
    yield "|---|---|---|---|---|"
    for name, own_trips_s in trips_s.items():
        own_bursts_s = bursts_s[name]
        trip_ratio = statistics.median(a / b for a, b in zip(own_trips_s, trips_s["ring"], strict=True))
        burst_ratio = statistics.median(a / b for a, b in zip(own_bursts_s, bursts_s["ring"], strict=True))
        rate_hz = N_BURST / statistics.median(own_bursts_s)
        yield (
            f"| {name} | {statistics.median(own_trips_s) * 1e6:.0f} µs | {trip_ratio:.2f} "
            f"| {rate_hz:,.0f} records/s | {burst_ratio:.2f} |"
        )


def main() -> None:
    """Start the other ends, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        ways = transports(Path(name))
        others: list[BaseProcess] = [Fork.Process(target=echo, args=(way.open_far,), daemon=True) for way in ways]
        for other in others:  # before any of the libraries has started a thread here
            other.start()
        channels = {way.name: way.open_near() for way in ways}
        for channel in channels.values():
            burst_s(channel)  # everything is up and warm after this
        trips_s, bursts_s = measure(channels)
        for channel, other in zip(channels.values(), others, strict=True):
            channel.send(_END)
            other.join()
    print(f"medians of {N_ROUNDS} interleaved rounds, ratio = time over the ring's time of the same round")
    print("\n".join(table(trips_s, bursts_s)))


if __name__ == "__main__":
    main()
