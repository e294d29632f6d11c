"""What a subscriber knows of the streams, and how it shows it: messages in, a picture for the terminal out.

Nothing here reads a socket or a clock: the caller gives the time. A stream is stale by the age of its newest message,
not by its sequence number: a subscriber that slept gets old messages with no hole between them.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.messages import Decision, Figure, Gait, Gap, Health, Message, Prediction, Signal
from edge.stream.mounting import MIN_STRIDES, TOO_FEW_STRIDES

STALE_AFTER_S: Final = 2.0
RESEARCH_ONLY: Final = "Research use only. No medical device: not for diagnosis."
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_COLOURS: Final = ("green", "yellow", "red", "magenta", "cyan")
_DRAWN_POINTS: Final = 60  # 2.3 s at 26 points a second, and as wide as 80 columns allow
_BAR_CELLS: Final = 30


@dataclass(slots=True)
class Stream:
    """The newest messages of one sensor."""

    boot_id: str = ""
    newest_s: float = -math.inf
    newest_data_s: float = -math.inf
    prediction: Prediction | None = None
    decision: Decision | None = None
    health: Health | None = None
    gait: Gait | None = None
    angular_rate_deg_s: deque[float] = field(default_factory=lambda: deque(maxlen=_DRAWN_POINTS))
    n_publisher_restarts: int = 0

    def freshness(self, now_s: float) -> str:
        """How the stream stands.

        ``live``; ``stale``: nothing at all for too long; ``no signal``: the publisher lives, but neither samples nor
        results come; ``clock``: from the future, the two clocks disagree.
        """
        if now_s - self.newest_s < -STALE_AFTER_S:
            return "clock"
        if now_s - self.newest_s > STALE_AFTER_S:
            return "stale"
        return "no signal" if now_s - self.newest_data_s > STALE_AFTER_S else "live"


class Board:
    """All streams that were heard of."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.n_missed = 0
        """Messages that this subscriber was too slow for."""

    def take(self, message: Message) -> None:
        """Note a message."""
        stream = self.streams.setdefault(message.sensor, Stream())
        if message.boot_id != stream.boot_id:
            restarts = stream.n_publisher_restarts + bool(stream.boot_id)
            self.streams[message.sensor] = stream = Stream(boot_id=message.boot_id, n_publisher_restarts=restarts)
        stream.newest_s = max(stream.newest_s, message.time_s)
        if not isinstance(message, Health | Gap):
            stream.newest_data_s = max(stream.newest_data_s, message.time_s)
        if isinstance(message, Prediction):
            stream.prediction = message
        elif isinstance(message, Decision):
            stream.decision = message
        elif isinstance(message, Health):
            stream.health = message
        elif isinstance(message, Gait):
            stream.gait = message
        elif isinstance(message, Signal):
            stream.angular_rate_deg_s.extend(math.degrees(sample[4]) for sample in message.samples)

    def render(self, now_s: float, title: str) -> RenderableType:
        """The terminal view."""
        if not self.streams:
            return Panel(Text("waiting for a publisher ..."), title=title, subtitle=RESEARCH_ONLY)
        if self.n_missed:
            title = f"{title} · {self.n_missed} messages missed"
        panels = [_panel(name, stream, now_s, title) for name, stream in sorted(self.streams.items())]
        return Group(*panels)

    def plain_lines(self, now_s: float) -> list[str]:
        """One line a stream, where there is no terminal to draw on."""
        return [_plain(name, stream, now_s) for name, stream in sorted(self.streams.items())] or ["waiting"]


def _plain(name: str, stream: Stream, now_s: float) -> str:
    words = [name, stream.freshness(now_s)]
    if stream.health is not None:
        words.append(f"link {stream.health.link}")
    if stream.decision is not None:
        words += ["decision", _decision_words(stream.decision)]
        words += [f"{label} {p:.2f}" for label, p in stream.decision.probabilities.items()]
        words.append(f"latency {stream.decision.latency_ms.get('total', math.nan):.0f} ms")
    if stream.health is not None:
        words.append(f"windows {stream.health.n_windows} lost samples {stream.health.n_lost_samples}")
        if stream.health.n_reconnects:
            words.append(f"{stream.health.n_reconnects} reconnects")
    if stream.decision is not None:
        words.append(f"[{stream.decision.trained_on}; no medical device]")
    return " | ".join(words)


def _decision_words(decision: Decision) -> str:
    if decision.label is None:
        return f"none ({decision.reason})"
    return f"{decision.label} for {decision.held_s:.1f} s over {decision.n_windows} windows"


def _gait_words(gait: Gait) -> str:
    if gait.mounting == "cannot tell":
        needed = f"{min(gait.mounting_strides, MIN_STRIDES)} of {MIN_STRIDES} strides"
        why = "" if gait.mounting_reason == TOO_FEW_STRIDES else f", {gait.mounting_reason}"
        return f"finding how the sensor sits: {needed}{why}"
    recent = gait.recent
    words = [f"{gait.session.n_strides} strides; the last {recent.n_strides}:"]
    told: list[tuple[str, Figure, str, int]] = [
        ("stride time", recent.stride_time_s, "s", 2),
        ("cadence", recent.cadence_strides_min, "strides/min", 0),
        ("length", recent.stride_length_m, "m", 2),
        ("speed", recent.gait_speed_m_s, "m/s", 2),
    ]
    for name, figure, unit, digits in told:
        if figure.mean is not None:
            spread = "" if figure.deviation is None else f" ± {figure.deviation:.{digits}f}"
            words.append(f"{name} {figure.mean:.{digits}f}{spread} {unit}")
    if gait.mounting == "corrected":
        words.append("mounting corrected")
    return " ".join(words[:2]) + "".join(f", {more}" for more in words[2:])


def _radio_words(health: Health) -> str:
    words = [f"{health.packet_rate_hz:.1f} of {health.packet_rate_expected_hz:.1f} packets/s"]
    if health.rssi_dbm is not None:
        words.append(f"{health.rssi_dbm} dBm")
    if health.battery_percent is not None:
        words.append(f"battery {health.battery_percent} %")
    return " · ".join([*words, f"{health.n_reconnects} reconnects"])


def _estimated_words(health: Health) -> str:
    return f" ({health.n_lost_estimated} of them estimated)" if health.n_lost_estimated else ""


def sparkline(values: list[float], lowest: float, highest: float) -> str:
    """Values as a row of blocks."""
    span = (highest - lowest) or 1.0
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[min(top, max(0, round((value - lowest) / span * top)))] for value in values)


def _no_signal(stream: Stream, now_s: float) -> str:
    if math.isinf(stream.newest_data_s):
        return "NO SIGNAL yet"
    return f"NO SIGNAL for {now_s - stream.newest_data_s:.1f} s"


def _bars(probabilities: dict[str, float]) -> Text:
    # A text and no table: rich measures a table within a table again and again, at every drawing.
    width = max(map(len, probabilities), default=0)
    lines = []
    for index, (label, probability) in enumerate(probabilities.items()):
        cells, colour = round(probability * _BAR_CELLS), _COLOURS[index % len(_COLOURS)]
        full, empty = ("█" * cells, colour), ("·" * (_BAR_CELLS - cells), f"dim {colour}")
        lines.append(Text.assemble(f"{label:>{max(10, width)}} ", full, empty, f" {probability:5.2f}"))
    return Text("\n").join(lines)


def _panel(name: str, stream: Stream, now_s: float, title: str) -> Panel:
    freshness = stream.freshness(now_s)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    health, decision, prediction = stream.health, stream.decision, stream.prediction
    state = {
        "live": Text("live", style="green"),
        "stale": Text(f"STALE: nothing new for {now_s - stream.newest_s:.1f} s", style="bold red"),
        "no signal": Text(_no_signal(stream, now_s), style="bold red"),
        "clock": Text(f"CLOCKS DISAGREE: messages {stream.newest_s - now_s:.1f} s from the future", style="bold red"),
    }[freshness]
    link = health.link if health else "unknown"
    rows.add_row("sensor", Text.assemble(f"{name}  link {link}  ", state))
    if health is not None:
        rows.add_row("radio", _radio_words(health))
    if stream.n_publisher_restarts:
        rows.add_row("", f"the publisher was restarted {stream.n_publisher_restarts} ×")
    if stream.angular_rate_deg_s:
        values = list(stream.angular_rate_deg_s)
        rows.add_row("gyro y", f"{sparkline(values, min(values), max(values))}  {values[-1]:6.0f} deg/s")
    style = "dim" if freshness != "live" else ""
    if prediction is not None:
        rows.add_row("this window", _bars(prediction.probabilities))
    if decision is not None:
        rows.add_row("rolling", _bars(decision.probabilities))
        colour = "dim" if decision.label is None else _COLOURS[decision.class_index % len(_COLOURS)]
        rows.add_row("decision", Text(_decision_words(decision), style=style or f"bold {colour}"))
        stages = "  ".join(f"{stage} {value:.1f}" for stage, value in decision.latency_ms.items())
        rows.add_row("latency ms", stages)
    if stream.gait is not None:
        rows.add_row("gait", _gait_words(stream.gait))
    if health is not None:
        rows.add_row(
            "losses",
            f"{health.n_lost_samples}{_estimated_words(health)} of {health.n_samples + health.n_lost_samples} samples "
            f"lost, {health.n_bridged_samples} bridged, {health.n_long_gaps} long gaps; {health.n_corrupt} corrupt, "
            f"{health.n_duplicates} duplicate packets; {health.ring_lost} lost in the ring; "
            f"{health.n_windows_refused} windows refused; {health.n_restarts} restarts",
        )
        rows.add_row("model", f"{health.model} · {health.variant} on {health.runtime} · {health.trained_on}")
    return Panel(rows, title=title, subtitle=RESEARCH_ONLY, border_style="red" if freshness != "live" else "green")
