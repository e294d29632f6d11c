"""What a session file holds: one struct a topic, to JSON and back, with the schema that viewers need.

Ring records and messages enter as values and leave as bytes of JSON; nothing here opens a file. Arrays stand as base64
of little-endian numbers, so that what is read is what was recorded, to the bit. No BLE address and no name of a person
can enter: a sensor is its name in the topics.
"""

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args

import msgspec
import numpy as np

from edge import messages
from edge.messages import Message
from edge.records import LinkStatus, Record
from firmware_bridge.channels import CHANNELS, N_CHANNELS
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Gap, Restart

FORMAT_VERSION: Final = 1
DESCRIBED: Final = "described"
"""The kind of a sensor that its user described: the file's name is the user's own."""
PLOT_EVERY: Final = 4
"""Every so many samples one is recorded a second time as plain numbers, for viewers: 26 Hz of 104 draw a stride."""

_TIME: Final = np.dtype("<i8")
_VALUE: Final = np.dtype("<f4")


# What is read from a file becomes names of files, and times: only what the program itself writes there is taken.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
Pseudonym = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{0,32}\Z")]
SessionName = Annotated[str, msgspec.Meta(pattern=r"^\d{8}T\d{6}Z\Z")]
RunToken = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class RecordedSensor(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor of a session: ``kind`` is empty for the virtual one, `DESCRIBED` for one of a user's own TOML file.

    ``axes`` says which of its axes were the foot's; empty where the configuration did not.
    """

    name: Name
    kind: str = ""
    axes: str = ""


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a session was recorded with; every file of it says so.

    ``session`` is when it began, in UTC; with ``run_token``, 8 random hexadecimal digits, it is the same in all files
    of a session and in no other. ``part`` numbers its files. ``person`` is pseudonymous, or empty. ``configuration`` is
    the JSON of `edge.recording.settings.RecordedSettings`: what a replay needs, and nothing else. ``labels`` are the
    bundle's classes.
    ``wall_minus_monotonic_ns`` maps ``received_ns`` to the wall-clock times of the file.
    """

    session: SessionName
    run_token: RunToken
    part: Int64
    person: Pseudonym
    sensors: tuple[RecordedSensor, ...]
    bundle: str
    bundle_sha256: str
    labels: tuple[str, ...]
    version: str
    configuration: str
    wall_minus_monotonic_ns: Int64
    format_version: int = FORMAT_VERSION


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the ring: ``ring_sequence`` counts all of them without a hole, ``received_ns`` is monotonic time."""

    sensor: str
    ring_sequence: Int64
    received_ns: Int64


class SamplesEntry(Entry, frozen=True, kw_only=True):
    """A block: ``device_time_ns`` as int64, ``samples`` as float32 row by row, ``saturated`` one bit a sample.

    ``rate_hz`` is 0 and ``boot_id`` -1 while the recorder does not know them.
    """

    first_sample_index: Int64
    n_samples: Int64
    host_time_ns: Int64
    rate_hz: float
    boot_id: Int64
    device_time_ns: bytes
    samples: bytes
    saturated: bytes


class GapEntry(Entry, frozen=True, kw_only=True):
    """Samples that the sensor took and nobody got."""

    first_sample_index: Int64
    n_samples: Int64
    is_estimated: bool


class PacketEntry(Entry, frozen=True, kw_only=True):
    """A packet that gave no sample: damaged, for a reason, or with ``packet_seq`` seen before (else -1)."""

    reason: str
    packet_seq: Int64 = -1


class RestartEntry(Entry, frozen=True, kw_only=True):
    """The sensor or ingestion began anew: times before and after do not connect."""

    boot_id: Int64


class LinkEntry(Entry, frozen=True, kw_only=True):
    """How ingestion said the link was; counts run since ingestion started."""

    state: str
    rate_hz: float
    packets_received: Int64
    packets_corrupt: Int64
    packets_duplicate: Int64
    samples_received: Int64
    samples_lost: Int64
    samples_lost_estimated: Int64
    gaps: Int64
    reconnects: Int64
    packet_rate_hz: float
    packet_rate_expected_hz: float
    battery_percent: int | None = None
    rssi_dbm: int | None = None
    is_foot_frame: bool = False


class DropoutEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be recorded before this, and why: the disk was full, or the recorder too late for the ring."""

    n_records: Int64
    n_samples: Int64
    n_messages: Int64
    why: str


class EndEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The last entry of a session that ended as it should: where it is missing, so is what came before it.

    ``n_records``: one more than the last ``ring_sequence`` that its writer read, 0 where that read none.
    """

    n_records: Int64


class SignalPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One sample as plain numbers, for plots; what counts is in ``samples/``."""

    sensor: str
    acc_x: float
    acc_y: float
    acc_z: float
    gyr_x: float
    gyr_y: float
    gyr_z: float


RING_TOPICS: Final[dict[type[Entry], str]] = {
    SamplesEntry: "samples",
    GapEntry: "gap",
    PacketEntry: "packet",
    RestartEntry: "restart",
    LinkEntry: "link",
}
BUS_TOPICS: Final[dict[type[Message], str]] = {
    kind: name
    for kind, name in messages.TOPICS.items()
    # A gap comes from the ring, with more; signal and coefficients follow from the samples and are large.
    if kind not in {messages.Gap, messages.Signal, messages.Coefficients}
}
SESSION_TOPIC: Final = "session/"
DROPOUT_TOPIC: Final = "dropout/"
END_TOPIC: Final = "end/"
PLOT_TOPIC: Final = "signal"

_KINDS: Final = {name: kind for kind, name in RING_TOPICS.items()}


def topic(name: str, sensor: str) -> str:
    """A topic as on the bus: the last slash included."""
    return f"{name}/{sensor}/"


def topics(info: SessionInfo) -> dict[str, type[msgspec.Struct]]:
    """All topics of a session and the struct of each; the same session gives the same order."""
    found: dict[str, type[msgspec.Struct]] = {
        SESSION_TOPIC: SessionInfo,
        DROPOUT_TOPIC: DropoutEntry,
        END_TOPIC: EndEntry,
    }
    for sensor in info.sensors:
        found.update({topic(name, sensor.name): kind for kind, name in RING_TOPICS.items()})
        found[topic(PLOT_TOPIC, sensor.name)] = SignalPoint
        found.update({topic(name, sensor.name): kind for kind, name in BUS_TOPICS.items()})
    return found


def entry_of(record: Record, sensor: str, ring_sequence: int, *, rate_hz: float, boot_id: int) -> Entry:
    """A record of the ring as it is recorded."""
    item = record.item
    where: dict[str, Any] = {"sensor": sensor, "ring_sequence": ring_sequence, "received_ns": item.received_ns}
    match item:
        case Block():
            return SamplesEntry(
                **where,
                first_sample_index=item.first_sample_index,
                n_samples=len(item.samples),
                host_time_ns=record.host_time_ns or 0,
                rate_hz=rate_hz,
                boot_id=boot_id,
                device_time_ns=item.device_time_ns.astype(_TIME).tobytes(),
                samples=item.samples.astype(_VALUE).tobytes(),
                saturated=np.packbits(item.saturated, bitorder="little").tobytes(),
            )
        case Gap():
            return GapEntry(
                **where,
                first_sample_index=item.first_sample_index,
                n_samples=item.n_samples,
                is_estimated=item.is_estimated,
            )
        case CorruptPacket():
            return PacketEntry(**where, reason=item.reason)
        case DuplicatePacket():
            return PacketEntry(**where, reason="duplicate", packet_seq=item.packet_seq)
        case Restart():
            return RestartEntry(**where, boot_id=item.boot_id)
        case LinkStatus():
            fields = {name: getattr(item, name) for name in LinkEntry.__struct_fields__ if name not in where}
            return LinkEntry(**where, **{**fields, "state": item.state.value})


def block_of(entry: SamplesEntry) -> Block:
    """The block of an entry; `ValueError` where its arrays do not fit each other."""
    device_time_ns = np.frombuffer(entry.device_time_ns, _TIME)
    saturated = np.unpackbits(np.frombuffer(entry.saturated, np.uint8), bitorder="little")[: len(device_time_ns)]
    return Block(
        first_sample_index=entry.first_sample_index,
        device_time_ns=device_time_ns,
        samples=np.frombuffer(entry.samples, _VALUE).reshape(-1, N_CHANNELS),
        saturated=saturated.view(np.bool_),
        received_ns=entry.received_ns,
    )


def plot_points(block: Block, sensor: str, host_time_ns: int) -> list[tuple[int, SignalPoint]]:
    """Every `PLOT_EVERY`-th sample with the host's monotonic time at which it was taken."""
    first = -block.first_sample_index % PLOT_EVERY
    time_ns = host_time_ns + (block.device_time_ns - block.device_time_ns[0])
    return [
        (int(time_ns[i]), SignalPoint(sensor=sensor, **dict(zip(CHANNELS, block.samples[i].tolist(), strict=True))))
        for i in range(first, len(block.samples), PLOT_EVERY)
    ]


def encode(value: msgspec.Struct) -> bytes:
    """JSON of an entry or message; fields that are null are left out, since viewers know no type for them."""
    return msgspec.json.encode(_without_nulls(msgspec.to_builtins(value)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(field) for name, field in value.items() if field is not None}


class _Version(msgspec.Struct, frozen=True):
    format_version: int


def decode_info(data: bytes) -> SessionInfo:
    """What a file says of its session; `ValueError` with words for the user where that is not to be read."""
    found = msgspec.json.decode(data, type=_Version).format_version
    if found != FORMAT_VERSION:
        raise ValueError(f"it has format {found} of a session, and this version of frailedge reads {FORMAT_VERSION}")
    return msgspec.json.decode(data, type=SessionInfo)


def decode_entry(name: str, data: bytes, *, whole: bool = True) -> Entry | None:
    """The entry of a topic ``<name>/<sensor>/``, None where that is no record of the ring; `ValueError` if damaged.

    Without ``whole`` it is an `Entry` and no more, which is quicker.
    """
    kind = _KINDS.get(name)
    return None if kind is None else msgspec.json.decode(data, type=kind if whole else Entry)


def decode_message(kind: type[Message], data: bytes) -> Message:
    """A message as it was published; a field that its version did not have yet has its default."""
    return msgspec.convert(_with_nulls(msgspec.json.decode(data, type=dict[str, Any]), kind), kind)


def _with_nulls(fields: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields, with those that `encode` left out; changes them."""
    nullable, structs = _left_out(kind)
    for name in nullable:
        fields.setdefault(name, None)
    for name, inner in structs:
        if isinstance(fields.get(name), dict):
            _with_nulls(fields[name], inner)
    return fields


@functools.cache
def _left_out(kind: type[msgspec.Struct]) -> tuple[tuple[str, ...], tuple[tuple[str, type[msgspec.Struct]], ...]]:
    """The fields that can be null and have no default, and those that are structs themselves."""
    fields = msgspec.structs.fields(kind)
    nullable = tuple(field.name for field in fields if field.required and type(None) in get_args(field.type))
    structs = tuple(
        (field.name, field.type)
        for field in fields
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    )
    return nullable, structs


def schemas(info: SessionInfo) -> dict[str, tuple[str, bytes]]:
    """Name and JSON Schema by topic, in the order of `topics`."""
    return {topic: (kind.__name__, schema(kind, info.labels)) for topic, kind in topics(info).items()}


def schema(kind: type[msgspec.Struct], labels: Sequence[str]) -> bytes:
    """JSON Schema of what `encode` writes, in the form that viewers of MCAP read.

    They want an object at the top, no references, and one known type a field (Foxglove's ``parseJsonSchema``): what
    can be null is simply not required, what has no such form is not described, and a map lists the keys it may have.
    """
    (reference,), definitions = msgspec.json.schema_components([kind], ref_template="{name}")
    return msgspec.json.encode(_plain(reference, definitions, messages.keys_of(labels)))


def _plain(schema: dict[str, Any], definitions: dict[str, Any], keys: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"]], definitions, keys)
    if "anyOf" in schema:
        others = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return _plain(others[0], definitions, keys) if len(others) == 1 else {}
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        return {"type": "string", "enum": schema["enum"]}
    kind = schema.get("type")
    if kind == "array":
        items = _plain(schema.get("items") or {}, definitions, keys)
        return {"type": "array", "items": items} if items.get("type", "array") != "array" else {}
    if kind == "object":
        fields = schema.get("properties", {})
        plain = {
            name: form
            for name, field in fields.items()
            if (form := _map_of(keys[name]) if name in keys else _plain(field, definitions, keys))
        }
        nullable = {name for name, field in fields.items() if {"type": "null"} in field.get("anyOf", [])}
        required = [name for name in schema.get("required", []) if name not in nullable]
        described: dict[str, Any] = {key: schema[key] for key in ("title", "description") if key in schema}
        return described | {"type": "object", "properties": plain, "required": required}
    return {key: value for key, value in schema.items() if key in {"type", "contentEncoding"}}


def _map_of(keys: tuple[str, ...]) -> dict[str, Any]:
    """Of numbers, any of which may be absent."""
    return {"type": "object", "properties": {key: {"type": "number"} for key in keys}, "required": []}
