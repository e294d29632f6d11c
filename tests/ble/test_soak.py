"""Long walks under random faults: nothing that the two processes hold grows, and no sample is unaccounted for.

Ingestion and inference are the real processes, over bleak's own BlueZ backend; the foot walks 10 times as fast as a
clock.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from edge.bus import Subscriber
from edge.config import BleConfig, Config, ModelConfig, PublishConfig
from edge.messages import Decision, Gap, Health, Message
from firmware_bridge.virtual_sensor import Faults
from tests.ble.bus import NEEDS_DBUS
from tests.ble.counted_ingest import Held, read_log
from tests.ble.fake_bluez import FakeBluez
from tests.ble.fake_device import FakeDevice
from tests.ble.live_run import TOPICS, CountedFoot
from tests.ble.processes import Processes, v1_sensors

pytestmark = NEEDS_DBUS

NAME: Final = "FE-foot"
ADDRESS: Final = "C0:FF:EE:00:00:01"
SPEED: Final = 10.0
PACKETS: Final = Faults(radio_drop=0.004, burst_packets=5, repeat=0.01)
AWAY: Final = ("silent", "backing off", "searching", "connecting", "subscribing")
MOST_GROWTH_KIB: Final = 2048
_ANSWERS_WITHIN_S: Final = 60.0


class Listener:
    """Hears what inference publishes, and keeps what the accounts need."""

    def __init__(self, endpoint: str) -> None:
        self._subscriber = Subscriber(endpoint, [f"{topic}/" for topic in TOPICS])
        self.n_decisions = self.n_gaps = self.n_lost = 0
        self.health: Health | None = None

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriber.close()

    @property
    def n_missed(self) -> int:
        """Messages that did not come here."""
        return self._subscriber.n_missed

    def hear(self) -> Message | None:
        """The next message, if one comes soon."""
        message = self._subscriber.receive(0.2)
        match message:
            case Decision():
                self.n_decisions += 1
            case Gap():
                self.n_gaps += 1
                self.n_lost += message.n_samples
            case Health():
                self.health = message
        return message

    def link(self, *states: str) -> None:
        """Wait until the link is in one of these states."""
        self._until(lambda m: isinstance(m, Health) and m.link in states, " or ".join(states))

    def decision(self, after_s: float) -> Decision:
        """Wait for a decision on signal from after a sensor time."""
        found = self._until(lambda m: isinstance(m, Decision) and m.window_start_s > after_s, "decision")
        assert isinstance(found, Decision)
        return found

    def _until(self, is_wanted: Callable[[Message], bool], what: str) -> Message:
        deadline_s = time.monotonic() + _ANSWERS_WITHIN_S
        while time.monotonic() < deadline_s:
            message = self.hear()
            if message is not None and is_wanted(message):
                return message
        raise AssertionError(f"no {what} within {_ANSWERS_WITHIN_S:g} s; last {self.health}")


def soak(bluez: FakeBluez, folder: Path, *, walk_s: float, seed: int) -> str:
    """One walk with every kind of fault at least once; checks every claim, and returns the figures as a line."""
    chance = random.Random(seed)
    foot = CountedFoot(NAME, seed=seed, faults=PACKETS)
    device = bluez.add(foot, address=ADDRESS, speed=SPEED)
    published, log = folder / "published", folder / "held"
    endpoint = f"ipc://{published}"
    config = Config(
        ble=BleConfig(silent_after_s=0.5),
        # The quicker variant: 21 windows a second are more than a busy machine may have time for.
        model=ModelConfig(variant="dynamic"),
        publish=PublishConfig(endpoint=endpoint),
    )
    befell: Counter[str] = Counter()
    quiet: list[Held] = []  # of inference, when nothing has befallen the link for some seconds of walking
    with Processes(folder, config, v1_sensors([(NAME, ADDRESS)])) as run, Listener(endpoint) as listener:
        inference = run.start("edge.infer")
        while not published.exists():  # a gap published before anybody hears is a gap in the account
            assert inference.poll() is None
            listener.hear()
        ingestion = run.start("tests.ble.counted_ingest", [log])
        newest = listener.decision(after_s=-1.0)
        deck: list[str] = []
        while device.now_us < walk_s * 1e6 or len(befell) < len(_FAULTS):
            quiet.append(Held.by(inference.pid))
            deck = deck or chance.sample(sorted(_FAULTS), len(_FAULTS))
            what = deck.pop()
            befell[what] += 1
            _FAULTS[what](bluez, device, listener, chance)
            newest = listener.decision(after_s=newest.window_stop_s)
            newest = listener.decision(after_s=newest.window_stop_s + chance.uniform(3.0, 15.0))
        quiet.append(Held.by(inference.pid))
        run.end(ingestion)
        assert inference.wait(_ANSWERS_WITHIN_S) == 0
        while listener.hear() is not None:
            pass
    assert listener.n_missed == 0
    _assert_all_accounted_for(foot, listener, n_repeated=device.sensor_counts.packets_repeated)
    health = listener.health
    assert health is not None
    assert health.n_reconnects >= befell.total() - befell["silence"], "a silence that ends in time needs none"
    held = read_log(log)
    at_quiet = [next(one for one in reversed(held) if one.at_ns <= mark.at_ns) for mark in quiet]
    words = [_constant("ingestion", at_quiet), _constant("inference", quiet)]
    faults = ", ".join(f"{n} × {what}" for what, n in sorted(befell.items()))
    return (
        f"{device.now_us / 60e6:.0f} minutes walked at {SPEED:g} ×, seed {seed}: {faults}; "
        f"{health.n_samples} samples received + {health.n_lost_samples} counted lost in {health.n_gaps} gaps = "
        f"{foot.n_to_account_for} put on the air; {health.n_reconnects} reconnects, {health.n_duplicates} packets that "
        f"came twice dropped, {listener.n_decisions} decisions; {'; '.join(words)}"
    )


def _lose_link(_bluez: FakeBluez, device: FakeDevice, listener: Listener, _chance: random.Random) -> None:
    device.drop_link()
    listener.link(*AWAY)


def _be_silent(_bluez: FakeBluez, device: FakeDevice, listener: Listener, chance: random.Random) -> None:
    device.silence(True)
    listener.link(chance.choice(("silent", "backing off")))
    device.silence(False)


def _fail_connects(_bluez: FakeBluez, device: FakeDevice, listener: Listener, chance: random.Random) -> None:
    device.fail_connects(chance.randint(1, 4))
    device.drop_link()
    listener.link(*AWAY)


def _be_in_progress(_bluez: FakeBluez, device: FakeDevice, listener: Listener, chance: random.Random) -> None:
    device.in_progress(chance.randint(1, 4))
    device.drop_link()
    listener.link(*AWAY)


def _power_off_and_on(bluez: FakeBluez, _device: FakeDevice, listener: Listener, chance: random.Random) -> None:
    bluez.power(False)
    listener.link(chance.choice(("backing off", "searching")))
    bluez.power(True)


_FAULTS: Final[dict[str, Callable[[FakeBluez, FakeDevice, Listener, random.Random], None]]] = {
    "link loss": _lose_link,
    "silence": _be_silent,
    "connects that fail": _fail_connects,
    "InProgress": _be_in_progress,
    "adapter off and on": _power_off_and_on,
}


def _assert_all_accounted_for(foot: CountedFoot, listener: Listener, *, n_repeated: int) -> None:
    """Received + counted lost = what the sensor took from its first packet on the air to its last."""
    health = listener.health
    assert health is not None
    assert (health.link, health.ring_lost, health.n_restarts, health.n_corrupt) == ("ended", 0, 0, 0)
    assert health.n_samples + health.n_lost_samples == foot.n_to_account_for
    assert (listener.n_lost, listener.n_gaps) == (health.n_lost_samples, health.n_gaps)
    assert health.n_lost_estimated == 0
    assert 0 < health.n_duplicates <= n_repeated


def _constant(who: str, held: list[Held]) -> str:
    """After each fault as before the first: tasks, files and threads; and memory, from half the walk on."""
    kinds = {(one.n_tasks, one.n_fds, one.n_threads) for one in held}
    assert len(kinds) == 1, f"{who} held first {held[0]}, then {held[-1]}"
    ((n_tasks, n_fds, n_threads),) = kinds
    warm = held[len(held) // 2 :]
    growth_kib = warm[-1].rss_kib - warm[0].rss_kib
    assert growth_kib <= MOST_GROWTH_KIB, f"{who} grew from {warm[0].rss_kib} to {warm[-1].rss_kib} KiB"
    tasks = f"{n_tasks} tasks, " if n_tasks else ""
    return (
        f"{who} {tasks}{n_fds} files, {n_threads} threads at each of {len(held)} looks, "
        f"{held[0].rss_kib / 1024:.1f} MiB at first, {warm[0].rss_kib / 1024:.1f} at half, "
        f"{held[-1].rss_kib / 1024:.1f} at the end"
    )


def test_2_minutes_of_walking_with_random_faults_leave_nothing_held_and_nothing_uncounted(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    print("\n" + soak(bluez, tmp_path, walk_s=120.0, seed=1))


@pytest.mark.soak
def test_30_minutes_of_walking_with_random_faults_leave_nothing_held_and_nothing_uncounted(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    print("\n" + soak(bluez, tmp_path, walk_s=1800.0, seed=2))
