"""What a live run came to: kept while it runs, said at its end. With a virtual walker the truth is known, and told."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge.board import RESEARCH_ONLY
from edge.config import VirtualConfig
from edge.manifest import Manifest
from edge.messages import Decision, Health, Message


@dataclass(slots=True)
class _Part:
    """One walker's share of the run."""

    walker: str
    decided: Counter[str] = field(default_factory=Counter)
    last: Decision | None = None

    def line(self, labels: tuple[str, ...]) -> str:
        if self.last is None:
            return f"  walker {self.walker}: too short for a decision"
        n_decisions = self.decided.total()
        shares = ", ".join(f"{label} in {n} of {n_decisions}" for label, n in self.decided.most_common())
        at_end = self.last.label or f"none ({self.last.reason})"
        verdict = ""
        if self.walker in labels:
            verdict = ": right" if self.last.label == self.walker else ": WRONG"
        return f"  walker {self.walker}: decision at the end {at_end}{verdict}; over the time {shares}"


class Tally:
    """Counts a run's decisions, by walker."""

    def __init__(self, virtual: VirtualConfig) -> None:
        self._change_s = virtual.then_after_s if virtual.then else float("inf")
        self._parts = [_Part(_name(virtual.walker))]
        if virtual.then:
            self._parts.append(_Part(_name(virtual.then)))
        self._healths: dict[str, Health] = {}

    @property
    def has_health(self) -> bool:
        """Whether the run ever said how it was doing."""
        return bool(self._healths)

    def title(self) -> str:
        """Says who walks."""
        first = self._parts[0].walker
        if len(self._parts) == 1:
            return f"frailedge live · virtual walker: {first}"
        return f"frailedge live · virtual walker: {first}, from {self._change_s:g} s on {self._parts[1].walker}"

    def take(self, message: Message) -> None:
        """Note a message."""
        if isinstance(message, Health):
            self._healths[message.boot_id] = message
        elif isinstance(message, Decision):
            part = self._parts[min(int(message.window_stop_s > self._change_s), len(self._parts) - 1)]
            part.decided[message.label or "none"] += 1
            part.last = message

    def summary(self, manifest: Manifest, took_s: float, n_restarts: int) -> list[str]:
        """Lines for the end of a run."""
        lines = [f"Summary of {took_s:.0f} s, model {manifest.name}, trained on {manifest.training.trained_on}:"]
        lines += [part.line(manifest.labels) for part in self._parts]
        lives = list(self._healths.values())
        if not lives:
            lines.append("  nothing was published: the sensor or the inference process never got going")
        else:
            health = lives[-1]  # counts of the link run on when inference is restarted, those of windows begin anew
            n_windows, n_decisions = sum(life.n_windows for life in lives), sum(life.n_decisions for life in lives)
            n_refused = sum(life.n_windows_refused for life in lives)
            n_samples = sum(life.n_samples for life in lives)
            n_bridged = sum(life.n_bridged_samples for life in lives)
            median_ms, p99_ms = health.latency_median_ms, health.latency_p99_ms
            age = f"{median_ms['total']:.0f} ms, p99 {p99_ms['total']:.0f} ms" if "total" in median_ms else "unknown"
            lines += [
                f"  {n_windows} windows, {n_decisions} decisions, {n_refused} windows refused for gaps",
                f"  {health.n_packets} packets, {n_samples} samples, {health.n_lost_samples} lost "
                f"({n_bridged} bridged), {health.n_corrupt} corrupt and {health.n_duplicates} duplicate "
                f"packets, {health.ring_lost} records lost in the ring, {n_restarts} restarts",
                f"  age of the newest sample when its prediction left: median {age}",
            ]
        return [*lines, f"  {RESEARCH_ONLY}"]


def _name(walker: str) -> str:
    return Path(walker).stem if walker.endswith(".toml") else walker
