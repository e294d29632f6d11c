"""The inference process: records from the ring in, messages over ZeroMQ out.

It may be killed at any time: the ring keeps what comes meanwhile, and the next life goes on after the last record that
this one committed.
"""

import sys
import time
from pathlib import Path
from typing import Final

from edge.bundle import Bundle
from edge.bus import Publisher
from edge.errors import FrailedgeError
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import LinkCounts, Pipeline
from edge.records import LinkState, LinkStatus, decode_record
from edge.ring import RingReader
from edge.run_settings import RunSettings, Stop, read_settings
from firmware_bridge.events import Block, Restart

_READER_ID: Final = 0
_WAIT_S: Final = 0.05  # new subscribers are answered at least this often
_HEALTH_EVERY_S: Final = 1.0
_INGEST_SILENT_S: Final = 3.0  # three of ingestion's statuses missing


class Inference:
    """Turns one sensor's records into messages."""

    def __init__(self, settings: RunSettings, bundle: Bundle, classifier: Classifier, publisher: Publisher) -> None:
        self._settings = settings
        self._bundle = bundle
        self._classifier = classifier
        self._publisher = publisher
        self._pipeline: Pipeline | None = None
        self._status: LinkStatus | None = None
        self._n_restarts = settings.n_restarts
        self._heard_s = time.monotonic()
        self._is_first_boot = True

    @property
    def has_ended(self) -> bool:
        """Whether ingestion said that nothing more will come."""
        return self._status is not None and self._status.state is LinkState.ENDED

    def take(self, payload: bytes) -> None:
        """One record of the ring."""
        self._heard_s = time.monotonic()
        item = decode_record(payload).item
        if isinstance(item, LinkStatus):
            self._status = item
            if self._pipeline is None and item.rate_hz > 0:
                self._pipeline = self._make_pipeline(item.rate_hz)
        elif isinstance(item, Restart) and self._pipeline is not None:
            if not self._is_first_boot:
                self._n_restarts += 1
            self._is_first_boot = False
            self._pipeline.finish()  # another clock begins: nothing may be bridged from the old one
        elif isinstance(item, Block) and self._pipeline is not None:
            self._pipeline.push(item.device_time_ns, item.samples, item.received_ns)

    def publish_health(self, ring_lost: int) -> None:
        """Say how the stream is doing; ingestion's silence shows here too."""
        status = self._status
        if self._pipeline is None or status is None:
            return
        is_silent = not self.has_ended and time.monotonic() - self._heard_s > _INGEST_SILENT_S
        link = LinkCounts(
            link="ingestion silent" if is_silent else status.state.value,
            n_packets=status.packets_received,
            n_corrupt=status.packets_corrupt,
            n_duplicates=status.packets_duplicate,
            n_lost_samples=status.samples_lost,
            n_reconnects=status.reconnects,
            n_restarts=self._n_restarts,
            ring_lost=ring_lost,
        )
        self._publisher.send(self._pipeline.health(link))

    def finish(self) -> None:
        """Give the windows that the last samples complete."""
        if self._pipeline is not None:
            self._pipeline.finish()

    def _make_pipeline(self, rate_hz: float) -> Pipeline:
        config = self._settings.config
        return Pipeline(
            self._bundle.manifest,
            self._classifier,
            sensor=config.live.sensor,
            rate_in_hz=rate_hz,
            sink=self._publisher.send,
            model_sha256=self._bundle.variant.sha256,
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
    inference = Inference(settings, bundle, classifier, publisher)
    next_health_s = time.monotonic()
    try:
        with RingReader(Path(settings.ring), _READER_ID, doorbell=settings.doorbell) as reader:
            while not stop.is_set():
                publisher.serve()
                if reader.wait(_WAIT_S):
                    while (record := reader.read()) is not None:
                        inference.take(record[1])
                        reader.commit()
                if inference.has_ended:
                    break
                if time.monotonic() >= next_health_s:
                    inference.publish_health(reader.lost)
                    next_health_s = time.monotonic() + _HEALTH_EVERY_S
            inference.finish()
            inference.publish_health(reader.lost)
    finally:
        publisher.close()


if __name__ == "__main__":
    try:
        infer(read_settings(Path(sys.argv[1])), Stop())
    except FrailedgeError as error:
        sys.exit(f"frailedge inference: {error}")
