"""The ZeroMQ sockets; no other file imports zmq.

`Publisher` is an XPUB socket with a last-value cache: whoever subscribes gets the last message of each matching topic.
The others get it again, its sequence number unchanged, and `Subscriber`, which `frailedge watch` uses, drops such
repeats (docs/adr/0004). Loopback only: there is no encryption yet, and gait is personal data.
"""

import errno
import fcntl
import ipaddress
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import zmq

from edge.errors import PublishError
from edge.messages import Encoding, Message, decode, encode, topic_of

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5556"
# 100 made a healthy subscriber lose messages, without limit three stopped ones took 21 MB, 1000 took 1.2 MB.
DEFAULT_QUEUE_MESSAGES: Final = 1000

AnyMessage = TypeVar("AnyMessage", bound=Message)


def check_loopback(endpoint: str) -> None:
    """`PublishError` unless the endpoint stays on this machine."""
    if endpoint.startswith("ipc:///"):
        return
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        port = None
    if not port or parts.scheme != "tcp" or not parts.hostname:
        raise PublishError(f"endpoint {endpoint!r} is none: write it like {DEFAULT_ENDPOINT} or ipc:///run/user/1000/f")
    try:
        is_loopback = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise PublishError(
            f"endpoint {endpoint!r} would leave this machine unencrypted: use 127.0.0.1, and from another machine "
            f"forward the port: ssh -L {port}:127.0.0.1:{port} USER@THIS_MACHINE"
        )


class Publisher:
    """Sends messages; stamps each with boot id, sequence per topic and wall-clock time."""

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        encoding: Encoding = "msgpack",
        queue_messages: int = DEFAULT_QUEUE_MESSAGES,
    ) -> None:
        check_loopback(endpoint)
        self._lock_fd = _lock(endpoint)
        self.endpoint = endpoint
        self.boot_id = secrets.token_hex(8)
        self._encoding: Encoding = encoding
        self._sequences: dict[bytes, int] = {}
        self._last: dict[bytes, bytes] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._socket.set_hwm(queue_messages)
        self._socket.setsockopt(zmq.LINGER, 200)  # milliseconds for the last messages to leave
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every joiner of a topic is heard of, not only the first
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            why = "something publishes there already" if error.errno == errno.EADDRINUSE else str(error.strerror)
            raise PublishError(
                f"cannot publish at {endpoint}: {why}; choose another address with --endpoint"
            ) from error

    def send(self, message: AnyMessage) -> AnyMessage:
        """Stamp and send; never blocks: a subscriber that does not keep up loses messages and sees it in `sequence`."""
        topic = topic_of(message)
        sequence = self._sequences.get(topic, 0)
        self._sequences[topic] = sequence + 1
        stamped = msgspec.structs.replace(message, boot_id=self.boot_id, sequence=sequence, time_s=time.time())
        payload = encode(stamped, self._encoding)
        self._last[topic] = payload
        self._socket.send_multipart((topic, payload))
        return stamped

    def serve(self, timeout_s: float = 0.0) -> None:
        """Answer new subscribers for ``timeout_s``; whoever publishes must come by here at least every 100 ms."""
        deadline_s = time.monotonic() + timeout_s
        while self._socket.poll(max(0, round((deadline_s - time.monotonic()) * 1e3))):
            self._answer(self._socket.recv())

    def _answer(self, request: bytes) -> None:
        if request[:1] != b"\x01":
            return
        for topic, payload in self._last.items():
            if topic.startswith(request[1:]):
                self._socket.send_multipart((topic, payload))

    def close(self) -> None:
        """Let the queued messages leave, then close."""
        self._socket.close()
        self._context.term()
        if self._lock_fd is not None:
            os.close(self._lock_fd)


def _lock(endpoint: str) -> int | None:
    """Hold an ipc address: ZeroMQ would take the path from a running publisher without a word."""
    if not endpoint.startswith("ipc://"):
        return None
    path = Path(endpoint.removeprefix("ipc://") + ".lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PublishError(f"cannot publish at {endpoint}: {path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise PublishError(
            f"cannot publish at {endpoint}: something publishes there already; choose another with --endpoint"
        ) from error
    return fd


class Subscriber:
    """Receives messages of the given topic prefixes; reconnects by itself when the publisher comes back."""

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, prefixes: Iterable[str] = ("",)) -> None:
        check_loopback(endpoint)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set_hwm(DEFAULT_QUEUE_MESSAGES)
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._socket.setsockopt(zmq.LINGER, 0)
        for prefix in prefixes:
            self._socket.subscribe(prefix)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise PublishError(f"cannot connect to {endpoint}: {error.strerror}") from error
        self._seen: dict[bytes, tuple[str, int]] = {}
        self.n_undecodable = 0
        self.n_missed = 0

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None after ``timeout_s`` without one; `n_missed` counts holes in the sequences."""
        deadline = time.monotonic() + timeout_s
        while self._socket.poll(max(0, round((deadline - time.monotonic()) * 1e3))):
            parts = self._socket.recv_multipart()
            try:
                topic, payload = parts
                message = decode(topic, payload)
            except ValueError:  # msgspec's DecodeError and ValidationError are ValueErrors, as is a wrong part count
                self.n_undecodable += 1
                continue
            boot_id, last = self._seen.get(topic, ("", -1))
            if boot_id == message.boot_id:
                if message.sequence <= last:
                    continue
                self.n_missed += message.sequence - last - 1
            self._seen[topic] = (message.boot_id, message.sequence)
            return message
        return None

    def close(self) -> None:
        """Close at once."""
        self._socket.close()
        self._context.term()
