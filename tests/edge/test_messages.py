"""Messages: one struct a topic, the same in both encodings, and as their printed schema says."""

import json

import jsonschema
import msgspec
import pytest

from edge.messages import (
    ENVELOPE,
    TOPICS,
    Coefficients,
    Decision,
    Encoding,
    Figure,
    Gait,
    GaitSummary,
    Gap,
    Health,
    Message,
    Prediction,
    Signal,
    StrideFigures,
    decode,
    determined,
    encode,
    schemas,
    topic_of,
)
from edge.stream.quality import Flag

ABOUT = {
    "sensor": "left",
    "boot_id": "00ff",
    "sequence": 7,
    "time_s": 1.5,
    "stretch": 0,
    "sample_start": 50,
    "sample_stop": 250,
    "window_start_s": 0.5,
    "window_stop_s": 2.4,
    "bridged_share": 0.02,
    "outlier_share": 0.0,
    "model": "m",
    "model_sha256": "ab",
    "motion": "walking",
    "walking_share": 0.9,
    "flags": (Flag.CLIPPING,),
    "variant": "int8",
    "trained_on": "synthetic twins",
    "latency_ms": {"total": 3.0},
}
P = {"robust": 0.7, "pre-frail": 0.2, "frail": 0.1}

NO_FIGURE = Figure(None, None, 0)
GAIT = GaitSummary(1, Figure(1.1, None, 1), *[NO_FIGURE] * 5)

EXAMPLES: list[Message] = [
    Prediction(**ABOUT, probabilities=P, label="robust", class_index=0),  # type: ignore[arg-type]
    Decision(
        **ABOUT,  # type: ignore[arg-type]
        probabilities=P,
        label=None,
        class_index=-1,
        reason="too few windows",
        n_windows=1,
        n_refused=2,
        held_windows=0,
        held_s=0.0,
    ),
    Coefficients(**ABOUT, coefficients=[[0.5, 1.5]] * 6),  # type: ignore[arg-type]
    Signal(sensor="left", stretch=0, sample_start=0, decimation=4, rate_hz=104.0, samples=[[0.0] * 6]),
    Gait(
        sensor="left",
        session=GAIT,
        recent=GAIT,
        strides=(StrideFigures(1.5, 1.1, 62.0, 38.0, None, None),),
        n_implausible=1,
        mounting="corrected",
        mounting_reason="",
        mounting_strides=12,
        side="left",
        tilt_deg=2.0,
    ),
    Gap(sensor="left", first_sample_index=8, n_samples=4, is_estimated=True),
    Health(
        sensor="left",
        link="streaming",
        rate_hz=104.0,
        model="m",
        model_sha256="ab",
        variant="int8",
        runtime="ai_edge_litert",
        trained_on="synthetic twins",
        n_packets=1,
        n_corrupt=0,
        n_duplicates=0,
        n_reconnects=0,
        n_restarts=0,
        ring_lost=0,
        n_samples=4,
        n_lost_samples=0,
        n_lost_estimated=0,
        n_gaps=0,
        n_bridged_samples=0,
        n_long_gaps=0,
        n_windows=0,
        n_windows_refused=0,
        n_decisions=0,
        n_outliers=0,
        packet_rate_hz=25.8,
        packet_rate_expected_hz=26.0,
        battery_percent=80,
        rssi_dbm=None,
        latency_median_ms={},
        latency_p99_ms={},
    ),
]


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_went(message: Message, encoding: Encoding) -> None:
    assert decode(topic_of(message), encode(message, encoding)) == message


def test_there_is_an_example_of_every_topic() -> None:
    assert {type(message) for message in EXAMPLES} == set(TOPICS)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_is_what_its_printed_schema_says(message: Message) -> None:
    printed = json.loads(msgspec.json.encode(schemas()))
    schema = {**printed["topics"][TOPICS[type(message)]], "$defs": printed["$defs"]}
    instance = json.loads(encode(message, "json"))
    jsonschema.validate(instance, schema)
    del instance["sensor"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(instance, schema)


def test_a_topic_ends_in_a_slash_so_that_names_that_begin_alike_stay_apart() -> None:
    one = Signal(sensor="subj1", stretch=0, sample_start=0, decimation=4, rate_hz=104.0, samples=[])
    ten = Signal(sensor="subj10", stretch=0, sample_start=0, decimation=4, rate_hz=104.0, samples=[])
    assert topic_of(one) == b"signal/subj1/"
    assert not topic_of(ten).startswith(topic_of(one))


def test_what_runs_share_leaves_out_the_envelope_and_nothing_else() -> None:
    message = EXAMPLES[0]
    assert set(msgspec.to_builtins(message)) - set(determined(message)) == set(ENVELOPE)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (b"nothing/x/", b"{}"),
        (b"signal/x/", b"\xff\xff"),
        (b"signal/x/", b"{"),
        (b"signal/x/", b'{"sensor": 3}'),
        (b"", b""),
    ],
)
def test_what_is_no_message_is_one_kind_of_error(topic: bytes, payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(topic, payload)
