"""What a live run came to: kept while it runs, said at its end. With a virtual walker the truth is known, and told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.board import RESEARCH_ONLY
from edge.config import VirtualConfig
from edge.manifest import Manifest
from edge.messages import Decision, Health, Message
from edge.totals import HealthTotals, count_words


@dataclass(slots=True)
class _Part:
    """One sensor's decisions, or those while one virtual walker wore it; ``truth`` is the walker's name, else empty."""

    called: str
    truth: str = ""
    decided: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    last: Decision | None = None

    def line(self, labels: tuple[str, ...]) -> str:
        if self.last is None:
            return f"  {self.called}: too short for a decision"
        n_decisions = self.decided.total() + self.refused.total()
        shares = [f"{label} in {n} of {n_decisions}" for label, n in self.decided.most_common()]
        if self.refused:
            reasons = ", ".join(f"{reason} {n}" for reason, n in self.refused.most_common())
            shares.append(f"none in {self.refused.total()} of {n_decisions} ({reasons})")
        at_end = self.last.label or f"none ({self.last.reason})"
        verdict = ""
        if self.truth in labels and self.last.label is not None:
            verdict = ": right" if self.last.label == self.truth else ": WRONG"
        return f"  {self.called}: decision at the end {at_end}{verdict}; over the time {', '.join(shares)}"


class Tally:
    """Counts a run's decisions, by sensor."""

    def __init__(self, sensors: Sequence[str]) -> None:
        self._parts = {sensor: [_Part(f"sensor {sensor}")] for sensor in sensors}
        self._change_s = float("inf")
        self._totals = {sensor: HealthTotals() for sensor in sensors}
        self.title = f"frailedge live · {' and '.join(sensors)}"

    @classmethod
    def of_virtual(cls, virtual: VirtualConfig) -> "Tally":
        """For the virtual sensor, by walker."""
        tally = cls([virtual.sensor])
        walkers = [_name(walker) for walker in (virtual.walker, virtual.then) if walker]
        tally._parts[virtual.sensor] = [_Part(f"walker {walker}", walker) for walker in walkers]
        tally.title = f"frailedge live · virtual walker: {walkers[0]}"
        if virtual.then:
            tally._change_s = virtual.then_after_s
            tally.title += f", from {virtual.then_after_s:g} s on {walkers[1]}"
        return tally

    @property
    def has_health(self) -> bool:
        """Whether the run ever said how it was doing."""
        return any(totals.health is not None for totals in self._totals.values())

    @property
    def has_windows(self) -> bool:
        """Whether the run ever published anything of a window."""
        healths = [totals.health for totals in self._totals.values()]
        return any(health.n_windows + health.n_windows_refused > 0 for health in healths if health is not None) or any(
            part.last is not None for parts in self._parts.values() for part in parts
        )

    def take(self, message: Message) -> None:
        """Note a message."""
        if isinstance(message, Health):
            self._totals[message.sensor].take(message)
        elif isinstance(message, Decision):
            self._totals[message.sensor].take_decision(message)
            parts = self._parts[message.sensor]
            part = parts[min(int(message.window_stop_s > self._change_s), len(parts) - 1)]
            if message.label is None:
                part.refused[message.reason] += 1
            else:
                part.decided[message.label] += 1
            part.last = message

    def summary(self, manifest: Manifest, took_s: float, n_restarts: int) -> list[str]:
        """Lines for the end of a run, in which so many processes were restarted."""
        lines = [f"Summary of {took_s:.0f} s, model {manifest.name}, trained on {manifest.training.trained_on}:"]
        for sensor, parts in self._parts.items():
            lines += [part.line(manifest.labels) for part in parts]
            lines += self._sensor_lines(sensor, n_restarts)
        return [*lines, f"  {RESEARCH_ONLY}"]

    def _sensor_lines(self, sensor: str, n_restarts: int) -> list[str]:
        health, at_least = self._totals[sensor].health, self._totals[sensor].at_least
        if health is None:
            return ["  nothing was published: the sensor or the inference process never got going"]
        median_ms, p99_ms = health.latency_median_ms, health.latency_p99_ms
        age = f"{median_ms['total']:.0f} ms, p99 {p99_ms['total']:.0f} ms" if "total" in median_ms else "unknown"
        how = "all counted exactly"
        if "n_lost_samples" in at_least:
            how = "and nobody knows whether in more"
        elif health.n_lost_estimated:
            how = f"{health.n_lost_estimated} of them estimated from rate and silence"
        # A sensor's reboots are restarts too; a process that died before it told anything is in its supervisor's count.
        n_restarts = max(n_restarts, health.n_restarts)
        packets, samples, lost, bridged = (
            count_words(health, name, at_least)
            for name in ("n_packets", "n_samples", "n_lost_samples", "n_bridged_samples")
        )
        lost += " lost"
        if health.n_gaps:
            lost += f" in {count_words(health, 'n_gaps', at_least)} gaps, {how}"
        return [
            f"  {health.n_windows} windows, {health.n_decisions} decisions, "
            f"{health.n_windows_refused} windows refused for gaps",
            f"  {packets} packets, {samples} samples, {lost} ({bridged} bridged), "
            f"{health.n_corrupt} corrupt and {health.n_duplicates} duplicate packets, "
            f"{health.ring_lost} records lost in the ring, {n_restarts} restarts, {health.n_reconnects} reconnects",
            f"  age of the newest sample when its prediction left: median {age}",
        ]


def _name(walker: str) -> str:
    return Path(walker).stem if walker.endswith(".toml") else walker
