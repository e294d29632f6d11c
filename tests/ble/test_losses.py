"""What packet loss costs: over bleak's own BlueZ backend, one walk by several sensors at once, each with a loss.

The walk is the same sample for sample, so that what differs is the loss. Ingestion is the real process; what it puts
into the ring goes through the inference process's own code here, after the walk.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from edge.config import Config, LiveConfig, ModelConfig
from edge.infer import Inference
from edge.messages import Decision, Gap, Health, Message, Prediction
from edge.opening import open_model
from edge.records import Record, decode_record
from edge.ring import RingReader
from firmware_bridge.events import Block
from firmware_bridge.virtual_sensor import Faults
from tests.ble.bus import NEEDS_DBUS
from tests.ble.fake_bluez import FakeBluez
from tests.ble.live_run import CountedFoot
from tests.ble.processes import Processes, v1_sensors
from tests.tiny_bundle import write_tiny_bundle

pytestmark = NEEDS_DBUS

BURST_PACKETS: Final = 10
"""0.4 s: a foot behind a body."""
RATE_HZ: Final = 104.0
RING_SLOTS: Final = 16_384
DEFAULT_MODEL: Final = ModelConfig()
_ANSWERS_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Condition:
    """``loss`` is the share of all packets that get lost, ``burst_packets`` of them in a row."""

    loss: float
    burst_packets: int = 1
    words: str = ""

    @property
    def faults(self) -> Faults:
        """The share as a chance a packet that a burst begins: in a burst no other begins."""
        chance = self.loss / (self.burst_packets * (1 - self.loss) + self.loss)
        return Faults(radio_drop=chance, burst_packets=self.burst_packets)

    def __str__(self) -> str:
        how = self.words or ("bursts of 10" if self.burst_packets > 1 else "single")
        return f"{self.loss:.0%} {how}"


NONE: Final = Condition(0.0, words="loss")
ONE_PERCENT: Final = (Condition(0.01), Condition(0.01, BURST_PACKETS))
ALL: Final = (
    NONE,
    Condition(0.0, words="again, begun at another sample"),
    *(Condition(loss, burst) for loss in (0.01, 0.05, 0.2) for burst in (1, BURST_PACKETS)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one condition, between the latest beginning and the earliest end of all sensors of the walk.

    ``lost_share`` is that of the packets. A decision is one that names a class; ``n_wrong`` name another than the
    walker's, ``n_other`` another than the lossless sensor's decision on the nearest signal.
    """

    condition: Condition
    lost_share: float
    n_windows: int
    n_decisions: int
    n_wrong: int
    n_other: int


def walk(
    bluez: FakeBluez,
    folder: Path,
    conditions: tuple[Condition, ...],
    *,
    walker: str,
    signal_s: float,
    speed: float,
    model: ModelConfig = DEFAULT_MODEL,
) -> list[Outcome]:
    """One walk under all conditions at once, the first of them without loss; accounted for to the sample."""
    feet = [
        CountedFoot(f"FE-{at}", walker=walker, faults=each.faults, signal_s=signal_s)
        for at, each in enumerate(conditions)
    ]
    addresses = [f"C0:FF:EE:00:00:{at:02X}" for at in range(len(feet))]
    devices = [bluez.add(foot, address=address, speed=speed) for foot, address in zip(feet, addresses, strict=True)]
    config = Config(live=LiveConfig(ring_slots=RING_SLOTS), model=model)
    sensors = v1_sensors((foot.name, address) for foot, address in zip(feet, addresses, strict=True))
    with Processes(folder, config, sensors) as run:
        records = _receive(run, feet)
        said = _messages(run, records)
    begin_s = max(foot.first_index or 0 for foot in feet) / RATE_HZ
    end_s = min(foot.end_index for foot in feet) / RATE_HZ
    reference: list[Decision] = []
    outcomes = []
    for condition, foot, device, messages in zip(conditions, feet, devices, said, strict=True):
        counts = device.sensor_counts
        _assert_all_accounted_for(foot, counts.samples_sent, messages)
        inside = [
            m
            for m in messages
            if isinstance(m, Prediction | Decision) and m.window_start_s >= begin_s and m.window_stop_s <= end_s
        ]
        decisions = [m for m in inside if isinstance(m, Decision) and m.label is not None]
        reference = reference or decisions
        outcomes.append(
            Outcome(
                condition,
                counts.packets_dropped / (counts.packets_dropped + counts.packets_sent),
                sum(isinstance(m, Prediction) for m in inside),
                len(decisions),
                sum(m.label != walker for m in decisions),
                _count_other(decisions, reference),
            )
        )
    return outcomes


def _receive(run: Processes, feet: list[CountedFoot]) -> list[list[Record]]:
    """What ingestion puts into the ring, by sensor, until all that each put on the air has come."""
    records: list[list[Record]] = [[] for _ in feet]
    newest = [0] * len(feet)
    deadline_s = time.monotonic() + _ANSWERS_WITHIN_S
    with RingReader(run.ring, 0, doorbell=run.doorbell) as reader:
        ingestion = run.start("edge.ingest")

        def take() -> None:
            while (read := reader.read()) is not None:
                record = decode_record(read[1])
                records[record.stream_id].append(record)
                if isinstance(record.item, Block):
                    newest[record.stream_id] = record.item.first_sample_index + len(record.item.samples)
                reader.commit()

        while not all(foot.is_over and at == foot.end_index for foot, at in zip(feet, newest, strict=True)):
            assert ingestion.poll() is None
            assert time.monotonic() < deadline_s, f"sensors only came to samples {newest}"
            reader.wait(0.1)
            take()
        run.end(ingestion)
        take()
        assert reader.lost == 0
    return records


def _messages(run: Processes, records: list[list[Record]]) -> list[list[Message]]:
    """What the inference process makes of them."""
    bundle, classifier = open_model(run.settings.config.model)
    said: list[list[Message]] = []
    for sensor, taken in zip(run.settings.sensors, records, strict=True):
        messages: list[Message] = []
        inference = Inference(run.settings, sensor.name, bundle, classifier, messages.append, is_first_life=True)
        for record in taken:
            inference.take(record)
        inference.finish()
        inference.publish_health(0)
        said.append(messages)
    return said


def _assert_all_accounted_for(foot: CountedFoot, n_sent: int, messages: list[Message]) -> None:
    health = messages[-1]
    assert isinstance(health, Health)
    assert (health.link, health.n_reconnects, health.n_corrupt, health.n_duplicates) == ("ended", 0, 0, 0)
    assert health.n_samples == n_sent
    assert health.n_samples + health.n_lost_samples == foot.n_to_account_for
    gaps = [m for m in messages if isinstance(m, Gap)]
    assert (sum(gap.n_samples for gap in gaps), len(gaps)) == (health.n_lost_samples, health.n_gaps)


def _count_other(decisions: list[Decision], reference: list[Decision]) -> int:
    start_s = np.array([m.window_start_s for m in reference])
    nearest = [reference[int(np.abs(start_s - m.window_start_s).argmin())] for m in decisions]
    return sum(m.label != other.label for m, other in zip(decisions, nearest, strict=True))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none made"


def table(walker: str, outcomes: list[Outcome]) -> str:
    """A Markdown table."""
    lossless = outcomes[0].n_windows
    lines = [
        f"| {walker} | packets lost | windows made | of the lossless | decisions made | wrong | other than lossless |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {out.condition} | {out.lost_share:.2%} | {out.n_windows} | {_share(out.n_windows, lossless)} "
        f"| {out.n_decisions} | {_share(out.n_wrong, out.n_decisions)} | {_share(out.n_other, out.n_decisions)} |"
        for out in outcomes
    ]
    return "\n".join(lines)


def test_at_1_percent_loss_at_least_90_percent_of_the_windows_are_made(bluez: FakeBluez, tmp_path: Path) -> None:
    # The tests' small model: what is asserted is how many windows and decisions there are, not what they say.
    write_tiny_bundle(tmp_path / "tiny")
    model = ModelConfig(bundle=str(tmp_path / "tiny"))
    outcomes = walk(bluez, tmp_path, (NONE, *ONE_PERCENT), walker="robust", signal_s=90.0, speed=10.0, model=model)
    print("\n" + table("robust", outcomes))
    lossless = outcomes[0]
    assert lossless.lost_share == 0
    for outcome in outcomes[1:]:
        assert 0.004 < outcome.lost_share < 0.02, "the loss must be what it is called"
        assert outcome.n_windows >= 0.9 * lossless.n_windows
        assert outcome.n_decisions >= 0.9 * lossless.n_decisions


@pytest.mark.soak
@pytest.mark.parametrize("walker", ["robust", "frail"])
def test_windows_and_decisions_at_0_1_5_and_20_percent_loss(bluez: FakeBluez, tmp_path: Path, walker: str) -> None:
    outcomes = walk(bluez, tmp_path, ALL, walker=walker, signal_s=600.0, speed=6.0)
    print("\n" + table(walker, outcomes))
    for outcome in outcomes:
        least = 0.9 if outcome.condition.loss <= 0.01 else 0.0
        assert outcome.n_windows >= least * outcomes[0].n_windows
