"""The ZeroMQ sockets, with real peers: late joiners, restarts, names that begin alike, addresses that are refused."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from edge.bus import Publisher, Subscriber, check_loopback
from edge.errors import PublishError
from edge.messages import Message, Signal


def signal(sensor: str, start: int) -> Signal:
    return Signal(sensor=sensor, stretch=0, sample_start=start, decimation=4, rate_hz=104.0, samples=[[0.0] * 6])


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/bus"


@pytest.fixture
def publisher(endpoint: str) -> Iterator[Publisher]:
    made = Publisher(endpoint)
    yield made
    made.close()


def receive(publisher: Publisher, subscriber: Subscriber, timeout_s: float = 5.0) -> Message | None:
    """What a subscriber gets while the publisher does nothing but answer joiners."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        publisher.serve(0.005)
        message = subscriber.receive(0.005)
        if message is not None:
            return message
    return None


def starts(publisher: Publisher, subscriber: Subscriber, n_messages: int) -> list[int]:
    got = [receive(publisher, subscriber) for _ in range(n_messages)]
    return [message.sample_start for message in got if isinstance(message, Signal)]


def test_a_late_joiner_gets_the_last_message_at_once(publisher: Publisher, endpoint: str) -> None:
    for start in range(5):
        publisher.send(signal("left", start))
    for _ in range(5):
        subscriber = Subscriber(endpoint, ["signal/left/"])
        got = receive(publisher, subscriber)
        subscriber.close()
        assert isinstance(got, Signal)
        assert got.sample_start == 4


def test_others_see_no_repeat_when_somebody_joins(publisher: Publisher, endpoint: str) -> None:
    first = Subscriber(endpoint, ["signal/"])
    publisher.send(signal("left", 0))
    assert starts(publisher, first, 1) == [0]
    second = Subscriber(endpoint, ["signal/"])
    assert starts(publisher, second, 1) == [0]
    publisher.send(signal("left", 1))
    assert starts(publisher, first, 1) == [1]
    assert first.n_missed == 0
    first.close()
    second.close()


def test_a_subscription_to_one_sensor_gets_no_other(publisher: Publisher, endpoint: str) -> None:
    subscriber = Subscriber(endpoint, ["signal/subj1/"])
    publisher.send(signal("subj10", 1))
    publisher.send(signal("subj1", 2))
    assert starts(publisher, subscriber, 1) == [2]
    subscriber.close()


def test_sequences_count_by_topic(publisher: Publisher) -> None:
    sent = [publisher.send(signal(sensor, 0)) for sensor in ("left", "left", "right")]
    assert [message.sequence for message in sent] == [0, 1, 0]
    assert {message.boot_id for message in sent} == {publisher.boot_id}


def test_an_ipc_address_in_use_is_refused_and_its_publisher_goes_on(publisher: Publisher, endpoint: str) -> None:
    with pytest.raises(PublishError, match="something publishes there already"):
        Publisher(endpoint)
    publisher.send(signal("left", 3))
    subscriber = Subscriber(endpoint, ["signal/"])
    assert starts(publisher, subscriber, 1) == [3]
    subscriber.close()


def test_a_subscriber_goes_on_with_a_restarted_publisher(endpoint: str) -> None:
    subscriber = Subscriber(endpoint, ["signal/"])
    boots = []
    for start in range(2):
        publisher = Publisher(endpoint)
        publisher.send(signal("left", start))
        got = receive(publisher, subscriber)
        assert isinstance(got, Signal)
        assert got.sample_start == start
        boots.append(got.boot_id)
        publisher.close()
    subscriber.close()
    assert boots[0] != boots[1]


def test_holes_in_the_sequence_are_counted_and_strangers_survived(endpoint: str) -> None:
    context = zmq.Context()
    raw = context.socket(zmq.PUB)
    raw.bind(endpoint)
    subscriber = Subscriber(endpoint, [""])
    payload = (
        b'{"sensor":"a","boot_id":"b","sequence":%d,"stretch":0,"sample_start":%d,"decimation":4,'
        b'"rate_hz":104.0,"samples":[]}'
    )
    got = None
    while got is None:  # PUB drops what it sends before the subscription has arrived
        raw.send_multipart([b"signal/a/", payload % (0, 0)])
        got = subscriber.receive(0.02)
    for parts in ([b"signal/a/", b"no message"], [b"one part"], [b"signal/a/", payload % (5, 1)]):
        raw.send_multipart(parts)
    got = subscriber.receive(5.0)
    assert isinstance(got, Signal)
    assert got.sequence == 5
    assert subscriber.n_undecodable == 2
    assert subscriber.n_missed == 4
    subscriber.close()
    raw.close(linger=0)
    context.term()


def test_an_occupied_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(
            PublishError,
            match=f"cannot publish at tcp://127.0.0.1:{port}: something publishes there already.*--endpoint",
        ):
            Publisher(f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5556", "tcp://*:5556", "tcp://192.0.2.1:5556", "tcp://[::]:5556"])
def test_an_address_beyond_this_machine_is_refused_with_the_way_round(endpoint: str) -> None:
    with pytest.raises(PublishError, match="ssh -L"):
        check_loopback(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "5556",
        "tcp://127.0.0.1",
        "udp://127.0.0.1:1",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:0",
        "tcp://[::1",
        "ipc://",
        "inproc://x",
    ],
)
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(PublishError, match="write it like"):
        check_loopback(endpoint)
