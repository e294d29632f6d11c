"""Damaged and made-up notifications: none raises, and no sample leaves the sensor's range."""

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR
from firmware_bridge.decoder_v1 import MAX_OUTAGE_US, DecoderV1
from firmware_bridge.events import Block, CorruptPacket, DuplicatePacket, Gap, Restart
from firmware_bridge.packet_v1 import Info

BATCH = 20_000
INFO = Info(boot_id=1)
PACKET_BYTES = 60


def valid_packets(rng: np.random.Generator, first: int) -> NDArray[np.uint8]:
    """``(BATCH, 60)``: a stream with full-range samples, whose counters all wrap in the course of the test."""
    n = np.arange(first, first + BATCH, dtype=np.int64)
    data = rng.integers(0, 256, (BATCH, PACKET_BYTES), dtype=np.uint8)
    data[:, 0:2] = 0x11, 4
    data[:, 2:4] = n.astype("<u2")[:, None].view(np.uint8)
    data[:, 4:8] = (4 * n + 0xFFFF_0000).astype("<u4")[:, None].view(np.uint8)
    data[:, 8:12] = (4 * n * 1_000_000 // 104).astype("<u4")[:, None].view(np.uint8)
    return data


def batch(rng: np.random.Generator, first: int) -> list[bytes]:
    """Of each ten: two whole, three with up to three bytes changed, half of them in the header, two cut, three noise.

    Of the noise a third is noise altogether, a third has a valid start, so that its counters are looked at, and a
    third repeats a whole packet.
    """
    data = valid_packets(rng, first)
    data[7::10] = rng.integers(0, 256, data[7::10].shape, dtype=np.uint8)
    data[8::10, 2:] = rng.integers(0, 256, data[8::10, 2:].shape, dtype=np.uint8)
    data[9::10] = data[5::10]
    for changed in (data[1::10], data[2::10], data[6::10]):
        for _ in range(3):
            rows = np.flatnonzero(rng.random(len(changed)) < 0.6)
            columns = rng.integers(0, np.where(rng.random(len(rows)) < 0.5, 12, PACKET_BYTES))
            changed[rows, columns] = rng.integers(0, 256, len(rows), dtype=np.uint8)
    lengths = np.full(BATCH, PACKET_BYTES)
    for cut in (lengths[3::10], lengths[4::10]):
        cut[:] = rng.integers(0, PACKET_BYTES, len(cut))
    blob = data.tobytes()
    starts = range(0, len(blob), PACKET_BYTES)
    return [blob[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]


# With 200,000 each counter of the protocol wraps at least once.
@pytest.mark.parametrize("n_notifications", [200_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_fuzzed_notifications_raise_nothing_and_make_no_sample_out_of_range(n_notifications: int) -> None:
    rng = np.random.default_rng(20)
    decoder = DecoderV1(INFO)
    full_scale = INFO.si_per_count * 32768
    seen = dict.fromkeys((Block, Gap, CorruptPacket, DuplicatePacket, Restart), 0)
    most_gap = MAX_OUTAGE_US * 104 // 1_000_000
    n_whole_lost = 0
    for first in range(0, n_notifications, BATCH):
        samples = []
        for n, notification in enumerate(batch(rng, first)):
            delivered = False
            for event in decoder.feed(notification, 0):
                seen[type(event)] += 1
                if type(event) is Block:
                    samples.append(event.samples)
                    delivered = True
                elif type(event) is Gap:
                    assert 0 < event.n_samples <= most_gap
            n_whole_lost += n % 5 == 0 and not delivered
        magnitudes = np.abs(np.concatenate(samples)).max(axis=0)
        assert (magnitudes[ACC] <= full_scale[ACC]).all()
        assert (magnitudes[GYR] <= full_scale[GYR]).all()
    assert sum(seen.values()) >= n_notifications
    # The whole ones (the first and sixth of ten) get through, but for a few after a damaged packet that was believed.
    assert n_whole_lost < n_notifications / 5 / 100
    assert seen[Block] > n_notifications / 5
    assert seen[CorruptPacket] > n_notifications / 3
    assert seen[DuplicatePacket] > n_notifications / 20
