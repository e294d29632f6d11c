"""The inference process: records from the ring in, messages over ZeroMQ out.

It may be killed at any time: the ring keeps what comes meanwhile, and the next life goes on after the last record that
this one committed.
"""

import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from edge import messages
from edge.bundle import Bundle
from edge.bus import Publisher
from edge.errors import SensorError
from edge.lives import EarlierLives, Handover, has_begun_anew
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import LinkCounts, Pipeline, Sink
from edge.records import LinkState, LinkStatus, Record, decode_record
from edge.ring import RingReader
from edge.run_settings import RunSettings, Stop, run_process
from firmware_bridge.events import Block, Event, Gap, Restart

_READER_ID: Final = 0
_JOIN_S: Final = 0.25
"""A subscriber looks for its publisher ten times a second: those that wait shall not miss the first messages."""
_WAIT_S: Final = 0.05  # new subscribers are answered at least this often
_HEALTH_EVERY_S: Final = 1.0
_MAX_WAITING: Final = 1024
_INGEST_SILENT_S: Final = 3.0  # three of ingestion's statuses missing


class Inference:
    """Turns one sensor's records into messages for the ``sink``.

    ``is_first_life``: nothing of this ring was read before, so the first `Restart` in it is the sensor's boot and no
    restart.
    """

    def __init__(
        self,
        settings: RunSettings,
        sensor: str,
        bundle: Bundle,
        classifier: Classifier,
        sink: Sink,
        *,
        is_first_life: bool,
    ) -> None:
        self._settings = settings
        self._sensor = sensor
        self._bundle = bundle
        self._classifier = classifier
        self._sink = sink
        self._pipeline: Pipeline | None = None
        self._status: LinkStatus | None = None
        self._published_state: LinkState | None = None
        self._published_restarts: int | None = None
        self._earlier = EarlierLives()
        self._handover = Handover()
        # What a status, which comes every second, does not tell of yet: a life that ends now never will.
        self._since_status: deque[Event] = deque(maxlen=_MAX_WAITING)
        self._n_restarts = settings.n_restarts - (1 if is_first_life else 0)
        self._newest_device_ns: int | None = None
        # Blocks that came before the rate is known: a status comes every second, that is 26 blocks at 104 Hz.
        self._waiting: list[Block | Restart] = []
        self._n_forgotten = 0
        self._heard_s = time.monotonic()

    @property
    def has_ended(self) -> bool:
        """Whether ingestion said that nothing more will come."""
        return self._status is not None and self._status.state is LinkState.ENDED

    @property
    def has_news(self) -> bool:
        """Whether the link stands otherwise than was published: a short outage must not fall between two healths.

        Nor may a restart, which nobody counts again if this process dies before the next one.
        """
        is_otherwise = self._published_restarts != self._n_restarts
        return self._status is not None and (is_otherwise or self._status.state is not self._published_state)

    def take(self, record: Record) -> None:
        """One record of this sensor."""
        self._heard_s = time.monotonic()
        if not isinstance(record.item, LinkStatus):
            self._since_status.append(record.item)
        match record.item:
            case LinkStatus() as status:
                if has_begun_anew(status, self._status, self._since_status):
                    if self._status is not None:
                        self._earlier.add(self._status)
                    self._earlier.add_events(self._since_status)
                    self._handover.new_life()
                self._status = status
                self._since_status.clear()
                if status.boot_id:
                    self._handover.restart(status.boot_id)
                self._check_rate(status.rate_hz)
                if self._pipeline is None and status.rate_hz > 0:
                    self._pipeline = self._make_pipeline(status.rate_hz)
                    for item in self._waiting:
                        self._process(self._pipeline, item, None)
                    self._waiting.clear()
            case Block() | Restart() as item:
                self._note_handover(item)
                if self._pipeline is not None:
                    self._process(self._pipeline, item, record.host_time_ns)
                elif len(self._waiting) < _MAX_WAITING:
                    self._waiting.append(item)
                else:
                    self._n_forgotten += 1
            case Gap() as gap:
                self._tell_gap(gap)

    def _tell_gap(self, gap: Gap) -> None:
        self._sink(
            messages.Gap(
                sensor=self._sensor,
                first_sample_index=gap.first_sample_index,
                n_samples=gap.n_samples,
                is_estimated=gap.is_estimated,
            )
        )

    def _note_handover(self, item: Block | Restart) -> None:
        """What was lost while there was no ingestion: nobody else can count it."""
        if isinstance(item, Restart):
            self._handover.restart(item.boot_id)
            return
        gap = self._handover.block(item, self._status.rate_hz if self._status is not None else 0.0)
        if gap is not None:
            self._earlier.add_event(gap)
            self._tell_gap(gap)

    def _check_rate(self, rate_hz: float) -> None:
        if self._pipeline is not None and rate_hz > 0 and rate_hz != self._pipeline.rate_in_hz:
            raise SensorError(
                f"sensor {self._sensor}: its rate changed from {self._pipeline.rate_in_hz:g} to {rate_hz:g} Hz in "
                "mid-run: start again"
            )

    def _process(self, pipeline: Pipeline, item: Block | Restart, host_time_ns: int | None) -> None:
        if isinstance(item, Restart):
            self._begin_anew(pipeline)
            return
        first_ns = int(item.device_time_ns[0])
        if self._newest_device_ns is not None and first_ns <= self._newest_device_ns:
            self._begin_anew(pipeline)  # the record that said so was overwritten before it was read
        link_ms = 0.0
        if host_time_ns is not None:
            taken_ns = host_time_ns + int(item.device_time_ns[-1]) - first_ns
            link_ms = (item.received_ns - taken_ns) / 1e6
        self._newest_device_ns = int(item.device_time_ns[-1])
        pipeline.push(item.device_time_ns, item.samples, item.received_ns, saturated=item.saturated, link_ms=link_ms)

    def _begin_anew(self, pipeline: Pipeline) -> None:
        """Another clock begins: nothing may be bridged from the old one."""
        pipeline.finish()
        self._n_restarts += 1
        self._newest_device_ns = None

    def publish_health(self, ring_lost: int) -> None:
        """Say how the stream is doing; ingestion's silence shows here too."""
        status = self._status
        if status is None:
            return
        self._published_state, self._published_restarts = status.state, self._n_restarts
        is_silent = not self.has_ended and time.monotonic() - self._heard_s > _INGEST_SILENT_S
        earlier = self._earlier
        link = LinkCounts(
            link="ingestion silent" if is_silent else status.state.value,
            n_packets=earlier.n_packets + status.packets_received,
            n_corrupt=earlier.n_corrupt + status.packets_corrupt,
            n_duplicates=earlier.n_duplicates + status.packets_duplicate,
            n_lost_samples=earlier.n_lost_samples + status.samples_lost,
            n_lost_estimated=earlier.n_lost_estimated + status.samples_lost_estimated,
            n_gaps=earlier.n_gaps + status.gaps,
            n_reconnects=earlier.n_reconnects + status.reconnects,
            n_restarts=max(0, self._n_restarts),
            ring_lost=ring_lost + self._n_forgotten,
            packet_rate_hz=0.0 if is_silent else status.packet_rate_hz,
            packet_rate_expected_hz=status.packet_rate_expected_hz,
            battery_percent=status.battery_percent,
            rssi_dbm=status.rssi_dbm,
            earlier=earlier.told,
        )
        if self._pipeline is not None:
            health = self._pipeline.health(link)
        else:  # still looking for the sensor: nothing is known of its rate, and all counts are 0
            idle = self._make_pipeline(self._bundle.manifest.sample_rate_hz).health(link)
            health = msgspec.structs.replace(idle, rate_hz=0.0)
        self._sink(
            msgspec.structs.replace(
                health,
                n_samples_received=earlier.n_samples_received + status.samples_received,
                n_restarts_before=self._settings.n_restarts,
                n_forgotten=self._n_forgotten,
            )
        )

    def finish(self) -> None:
        """Give the windows that the last samples complete."""
        if self._pipeline is not None:
            self._pipeline.finish()

    def _make_pipeline(self, rate_hz: float) -> Pipeline:
        config = self._settings.config
        return Pipeline(
            self._bundle.manifest,
            self._classifier,
            sensor=self._sensor,
            rate_in_hz=rate_hz,
            sink=self._sink,
            model_sha256=self._bundle.variant.sha256,
            screen=config.screen.spec_for(self._bundle.manifest),
            signal_decimation=config.publish.signal_decimation,
            coefficients=config.publish.coefficients,
        )


def infer(settings: RunSettings, stop: Stop) -> None:
    """Read the ring and publish until ingestion has ended, or ``stop``."""
    config = settings.config
    bundle, classifier = open_model(config.model)
    publisher = Publisher(
        config.publish.endpoint, encoding=config.publish.encoding, queue_messages=config.publish.queue_messages
    )
    next_health_s = time.monotonic()
    try:
        with RingReader(Path(settings.ring), _READER_ID, doorbell=settings.doorbell) as reader:
            is_first_life = reader.cursor == 0
            streams = {
                sensor.stream_id: Inference(
                    settings, sensor.name, bundle, classifier, publisher.send, is_first_life=is_first_life
                )
                for sensor in settings.sensors
            }
            publisher.serve(_JOIN_S)
            is_last_round = False
            while not is_last_round:
                # Told to stop, it still answers for what lies in the ring.
                is_last_round = stop.is_set() or all(stream.has_ended for stream in streams.values())
                publisher.serve()
                if reader.wait(0.0 if is_last_round else _WAIT_S):
                    while (read := reader.read()) is not None:
                        record = decode_record(read[1])
                        stream = streams[record.stream_id]
                        stream.take(record)
                        if stream.has_news:
                            stream.publish_health(reader.lost)
                        reader.commit()
                if time.monotonic() >= next_health_s:
                    for stream in streams.values():
                        stream.publish_health(reader.lost)
                    next_health_s = time.monotonic() + _HEALTH_EVERY_S
            for stream in streams.values():
                stream.finish()
                stream.publish_health(reader.lost)
    finally:
        publisher.close()


if __name__ == "__main__":
    run_process("inference", infer)
