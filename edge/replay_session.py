"""A recorded session through the pipeline, step by step as live had it, paced or as fast as it goes.

Every block is pushed as it came, every restart ends the stretch where it did: so predictions and decisions are those
of the live run, byte for byte, at any speed; but for those of an inference that began anew in mid-stream, which
`begun_anew_s` tells of.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge import messages
from edge.bundle import Bundle
from edge.errors import RecordingError
from edge.messages import Decision, Health, Message
from edge.model import Classifier
from edge.pipeline import LinkCounts, Pipeline, Sink
from edge.replay import ReplayResult, Wait, check_fits
from edge.sources.session import Session, Step, Track
from edge.sources.session_reader import SessionReader
from edge.stream.screen import ScreenSpec

_HEALTH_EVERY_S: Final = 1.0
_REPLAYING: Final = LinkCounts("replaying")


@dataclass(slots=True)
class _Stream:
    """One sensor's way through its pipeline."""

    track: Track
    sink: Sink
    decision: Decision | None = None
    pipeline: Pipeline = field(init=False)

    def send(self, message: Message) -> None:
        if isinstance(message, Decision):
            self.decision = message
        self.sink(message)

    def take(self, step: Step) -> None:
        track = self.track
        if step.kind == "restart":
            self.pipeline.finish()
        elif step.kind == "gap":
            self.send(
                messages.Gap(
                    sensor=track.sensor,
                    first_sample_index=step.first_sample_index,
                    n_samples=step.n_samples,
                    is_estimated=step.is_estimated,
                )
            )
        else:
            part = slice(step.begin, step.end)
            self.pipeline.push(
                track.time_ns[part], track.samples[part], time.monotonic_ns(), saturated=track.saturated[part]
            )


def replay_session(
    session: Session,
    bundle: Bundle,
    classifier: Classifier,
    *,
    speed: float | None,
    screen: ScreenSpec,
    sink: Sink,
    wait: Wait,
    on_progress: Callable[[float], object] = lambda _: None,
    coefficients: bool = False,
    signal_decimation: int = 4,
    low_rate: bool = False,
) -> dict[str, ReplayResult]:
    """Stream all sensors of a session at ``speed`` × real time, or, with None, as fast as it goes; a result for each.

    ``screen``, ``sink``, ``wait`` and ``on_progress`` as for `edge.replay.replay`; for what live published, give the
    ``screen`` of `edge.recording.settings.session_configuration`. `RecordingError` where nothing can be replayed, or
    not with this bundle.
    """
    streams: dict[str, _Stream] = {}
    for track in session.tracks:
        recordings = session.recordings(track)
        if not recordings:
            continue
        check_fits(recordings[0], bundle, screen, low_rate=low_rate)
        stream = streams[track.sensor] = _Stream(track, sink)
        stream.pipeline = Pipeline(
            bundle.manifest,
            classifier,
            sensor=track.sensor,
            rate_in_hz=track.rate_hz,
            sink=stream.send,
            model_sha256=bundle.variant.sha256,
            screen=screen,
            signal_decimation=signal_decimation,
            coefficients=coefficients,
        )
    if not streams:
        raise RecordingError(f"{session.path}: holds no sample of any sensor: there is nothing to replay")
    steps = sorted(
        ((step, stream) for stream in streams.values() for step in stream.track.steps),
        key=lambda pair: pair[0].ring_sequence,
    )
    start_ns = steps[0][0].received_ns
    begin_s = next_health_s = time.monotonic()
    done_s = 0.0
    for step, stream in steps:
        done_s = (step.received_ns - start_ns) / 1e9
        wait(0.0 if speed is None else max(0.0, begin_s + done_s / speed - time.monotonic()))
        stream.take(step)
        on_progress(done_s)
        if time.monotonic() >= next_health_s:
            next_health_s = time.monotonic() + _HEALTH_EVERY_S
            for each in streams.values():
                sink(each.pipeline.health(_REPLAYING))
    took_s = time.monotonic() - begin_s
    return {name: _finish(stream, done_s, took_s) for name, stream in streams.items()}


def begun_anew_s(session: Session) -> list[float]:
    """When live's inference went on with the stream in place of one that had died, in seconds of the session.

    It knew nothing of the samples before, so its decisions were others than those of a replay. Of one that died before
    it had any sample nothing is told. Reads the session once more, without its samples.
    """
    start_ns = min((step.received_ns for track in session.tracks for step in track.steps), default=0)
    began_ns: dict[str, int] = {}
    for part in SessionReader(session.path, (Decision, Health), whole_records=False):
        for published in part.published:
            message = published.message
            if isinstance(message, Decision) or (isinstance(message, Health) and message.n_samples > 0):
                began_ns.setdefault(message.boot_id, published.received_ns)
    return [(at_ns - start_ns) / 1e9 for at_ns in list(began_ns.values())[1:]]


def _finish(stream: _Stream, signal_s: float, took_s: float) -> ReplayResult:
    stream.pipeline.finish()
    health = stream.pipeline.health(LinkCounts("ended"))
    stream.sink(health)
    return ReplayResult(health, stream.decision, signal_s, took_s)
