"""What leaves the program: one struct a topic, and the one table of topics.

A topic is ``<name>/<sensor>/``, the last slash included, so that a subscription to one sensor never matches another
whose name merely begins alike. Fields in `ENVELOPE` differ from run to run; all others follow from the samples.
"""

import functools
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from edge.stream.decision import Reason
from edge.stream.quality import Flag

SCHEMA_VERSION: Final = 1
Encoding = Literal["msgpack", "json"]

ENVELOPE: Final = ("boot_id", "sequence", "time_s", "latency_ms")
"""Fields that two runs over the same samples do not share."""


STAGES: Final = ("link", "waiting", "signal_path", "inference", "total")
"""What a latency is told of."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every message says of itself.

    ``boot_id`` is random for each start of the publisher, ``sequence`` counts the messages of one topic since then,
    ``time_s`` is the wall-clock time of sending in seconds since 1970.
    """

    sensor: str
    schema_version: int = SCHEMA_VERSION
    boot_id: str = ""
    sequence: int = 0
    time_s: float = 0.0


class WindowMessage(Message, frozen=True, kw_only=True):
    """What is known of the window that a message speaks of.

    ``[sample_start, sample_stop)`` counts samples at the bundle's rate since the stream began; ``[window_start_s,
    window_stop_s)`` is the sensor's own time. ``stretch`` counts pieces without a long gap. ``bridged_share`` and
    ``outlier_share`` are shares of the window's samples that were interpolated over a gap, or set to a limit.
    ``motion`` is what the foot mostly did, ``walking_share`` how much of what is decided by now was walking, ``flags``
    what is wrong with the signal.
    ``latency_ms`` holds the `STAGES` passed so far: ``link`` from the sensor to this host where its clock is known,
    ``waiting`` in the ring, ``signal_path``, ``inference``; ``total`` is the time since the newest sample arrived.
    """

    stretch: int
    sample_start: int
    sample_stop: int
    window_start_s: float
    window_stop_s: float
    bridged_share: float
    outlier_share: float
    motion: str
    walking_share: float
    flags: tuple[Flag, ...]
    model: str
    model_sha256: str
    variant: str
    trained_on: str
    latency_ms: dict[str, float] = {}


class Prediction(WindowMessage, frozen=True, kw_only=True):
    """One window's class probabilities; ``class_index`` is the index of ``label`` in the bundle's labels."""

    probabilities: dict[str, float]
    label: str
    class_index: int


class Decision(WindowMessage, frozen=True, kw_only=True):
    """The rolling result after this window: ``label``, or None with ``reason``.

    ``class_index`` is -1 where there is no label: too few windows yet, the class would be less probable than the
    bundle's ``least_confidence``, or this window may not be used: nobody walks, the signal is poor or unlike the
    training data, or nobody knows yet how the sensor sits. ``n_windows`` were used since the stream began,
    ``n_refused`` were not; the label was given in the last ``held_windows`` of the used ones, ``held_s`` seconds of
    signal.
    """

    probabilities: dict[str, float]
    label: str | None
    class_index: int
    reason: Reason
    n_windows: int
    n_refused: int
    held_windows: int
    held_s: float


class Signal(Message, frozen=True, kw_only=True):
    """Every ``decimation``-th sample at the bundle's rate, for drawing: acc x y z in m/s², gyr x y z in rad/s."""

    stretch: int
    sample_start: int
    decimation: int
    rate_hz: float
    samples: list[list[float]]


class Figure(msgspec.Struct, frozen=True):
    """Mean and sample standard deviation over ``n`` strides; null where there are too few."""

    mean: float | None
    deviation: float | None
    n: int


class GaitSummary(msgspec.Struct, frozen=True):
    """Gait figures in the units of GSTRIDE's register, which lists most of them; strides of this foot."""

    n_strides: int
    stride_time_s: Figure
    cadence_strides_min: Figure
    stance_percent: Figure
    swing_percent: Figure
    stride_length_m: Figure
    gait_speed_m_s: Figure


class StrideFigures(msgspec.Struct, frozen=True):
    """One stride, from ``start_s`` in device time, when the foot came down.

    Length and speed are null where the foot was not flat before or after its swing, or gravity is removed.
    """

    start_s: float
    stride_time_s: float
    stance_percent: float
    swing_percent: float
    stride_length_m: float | None = None
    gait_speed_m_s: float | None = None


class Gait(Message, frozen=True, kw_only=True):
    """Strides walked so far: ``session`` all of them, ``recent`` the last 20, ``strides`` those since the last message.

    ``n_implausible`` more were no stride that anybody takes, and are in none of these.
    ``mounting`` says how the sensor sits on the foot: ``as configured``, ``corrected``, ``cannot tell`` (with
    ``mounting_reason``) or ``trusted``; ``mounting_strides`` are held to tell it by, of the 10 that it needs; ``side``
    is the foot, where that shows. While it cannot be told, no stride is told either; those of the last minute follow
    once it is.
    """

    session: GaitSummary
    recent: GaitSummary
    strides: tuple[StrideFigures, ...]
    n_implausible: int
    mounting: str
    mounting_reason: str
    mounting_strides: int
    side: str
    tilt_deg: float


class Coefficients(WindowMessage, frozen=True, kw_only=True):
    """A window as the network sees it: one list of db1 coefficients a channel, coarse to fine. Off by default."""

    coefficients: list[list[float]]


class Gap(Message, frozen=True, kw_only=True):
    """Samples that the sensor took and nobody got: ``n_samples`` from ``first_sample_index`` on, in its own counting.

    ``is_estimated``: the sensor has neither counter nor clock, so the number follows from its rate and its silence.
    """

    first_sample_index: int
    n_samples: int
    is_estimated: bool


class EarlierCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a `Health`'s counts is of ingestions that ended while its publisher lived, and of the time between.

    The rest the running ingestion has counted since it began, which may be before the publisher did.
    """

    n_packets: int = 0
    n_corrupt: int = 0
    n_duplicates: int = 0
    n_lost_samples: int = 0
    n_lost_estimated: int = 0
    n_gaps: int = 0
    n_reconnects: int = 0
    n_samples_received: int = 0


class Health(Message, frozen=True, kw_only=True):
    """How the stream is doing.

    Counts of packets, samples received and lost, gaps and reconnects are those of the running ingestion and of the
    ``earlier`` ones that this publisher (``boot_id``) saw end; those of samples, windows and decisions run since it
    began. ``n_samples_received`` is 0 in a replay and in recordings from before it was told. ``link`` is
    the state of the connection to the sensor. ``packet_rate_hz`` came in the last second, ``packet_rate_expected_hz``
    would have without a loss. Of ``n_lost_samples`` in ``n_gaps`` gaps ``n_lost_estimated`` are no exact count.
    ``battery_percent`` and ``rssi_dbm`` are null where nobody knows them. ``ring_lost`` counts records overwritten
    before they were read, in the whole run, and the ``n_forgotten`` that this publisher read and could not use, because
    the sensor's rate stayed unknown for too long. ``n_restarts`` are those of processes before this publisher began,
    which is ``n_restarts_before`` (None in recordings from before it was told), and what it saw begin anew: sensor or
    ingestion. ``latency_median_ms`` and ``latency_p99_ms`` cover the last predictions, by stage.
    """

    link: str
    rate_hz: float
    model: str
    model_sha256: str
    variant: str
    runtime: str
    trained_on: str
    n_packets: int
    n_corrupt: int
    n_duplicates: int
    n_reconnects: int
    n_restarts: int
    ring_lost: int
    n_samples: int
    n_lost_samples: int
    n_lost_estimated: int
    n_gaps: int
    n_bridged_samples: int
    n_long_gaps: int
    n_windows: int
    n_windows_refused: int
    n_decisions: int
    n_outliers: int
    packet_rate_hz: float
    packet_rate_expected_hz: float
    battery_percent: int | None
    rssi_dbm: int | None
    latency_median_ms: dict[str, float]
    latency_p99_ms: dict[str, float]
    earlier: EarlierCounts = EarlierCounts()
    n_samples_received: int = 0
    n_restarts_before: int | None = None
    n_forgotten: int = 0


TOPICS: Final[dict[type[Message], str]] = {
    Prediction: "prediction",
    Decision: "decision",
    Signal: "signal",
    Gap: "gap",
    Gait: "gait",
    Health: "health",
    Coefficients: "window",
}
"""The one table of topics."""

_BY_NAME: Final = {name: kind for kind, name in TOPICS.items()}


def keys_of(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By the name of a field that maps words to numbers: the words that can stand in it, with these classes."""
    return {
        "probabilities": tuple(labels),
        **dict.fromkeys(("latency_ms", "latency_median_ms", "latency_p99_ms"), STAGES),
    }


@functools.lru_cache(maxsize=256)
def _topic(kind: type[Message], sensor: str) -> bytes:
    return f"{TOPICS[kind]}/{sensor}/".encode()


def topic_of(message: Message) -> bytes:
    """The topic a message goes out under."""
    return _topic(type(message), message.sensor)


_msgpack_encoder: Final = msgspec.msgpack.Encoder()
_json_encoder: Final = msgspec.json.Encoder()


def encode(message: Message, encoding: Encoding) -> bytes:
    """The payload of a message."""
    return _msgpack_encoder.encode(message) if encoding == "msgpack" else _json_encoder.encode(message)


def decode(topic: bytes, payload: bytes) -> Message:
    """A received message in either encoding; `msgspec.DecodeError` where it is none of ours."""
    kind = _BY_NAME.get(topic.split(b"/", 1)[0].decode("ascii", "replace"))
    if kind is None:
        raise msgspec.DecodeError(f"unknown topic {topic!r}")
    # A MessagePack map never begins with an opening brace as JSON does: 0x7b is a positive fixint.
    decoder = msgspec.json.decode if payload[:1] == b"{" else msgspec.msgpack.decode
    return decoder(payload, type=kind)


def determined(message: Message) -> dict[str, Any]:
    """The fields that follow from the samples alone: what two runs have in common."""
    fields: dict[str, Any] = msgspec.to_builtins(message)
    return {name: value for name, value in fields.items() if name not in ENVELOPE}


def schemas() -> dict[str, Any]:
    """JSON Schema of every topic's message, by topic name."""
    (references, definitions) = msgspec.json.schema_components(list(TOPICS), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"frailedge messages, schema version {SCHEMA_VERSION}",
        "description": "Topics are '<name>/<sensor>/', the last slash included. Research use only, no medical device.",
        "topics": dict(zip(TOPICS.values(), references, strict=True)),
        "$defs": definitions,
    }
