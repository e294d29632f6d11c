"""The device time that the decoder of packet v1 gives to each sample."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.decoder_v1 import CLOCK_SLACK_US, DecoderV1
from firmware_bridge.events import Block
from firmware_bridge.packet_v1 import Info
from tests.firmware_bridge.test_decoder_v1 import INFO, PERIOD_US, assert_exact, blocks, feed_all, kinds, packet


def test_samples_are_spaced_by_the_measured_rate_once_it_is_known() -> None:
    for rate_error in (0.0, 0.07, -0.07):
        events = feed_all(DecoderV1(INFO), [packet(n, rate_error=rate_error) for n in range(2000)])
        times_us = np.concatenate([block.device_time_ns for block in blocks(events)]) / 1000
        error_us = times_us - np.arange(8000) * PERIOD_US / (1 + rate_error)
        assert np.abs(error_us[:200]).max() < 3 * PERIOD_US * 0.08
        assert np.abs(error_us[200:]).max() < 2


def test_a_rate_beyond_belief_is_not_used() -> None:
    events = feed_all(DecoderV1(INFO), [packet(n, rate_error=0.13) for n in range(1000)])
    assert kinds(events) == [Block] * 1000
    np.testing.assert_allclose(np.diff(blocks(events)[-1].device_time_ns), PERIOD_US * 1000, rtol=1e-6)


@given(
    jitter_us=st.lists(st.integers(-CLOCK_SLACK_US // 4, CLOCK_SLACK_US // 4), min_size=2, max_size=80),
    n_samples=st.integers(1, 19),
    rate_error=st.floats(-0.15, 0.15),
)
@settings(max_examples=200)
def test_device_time_rises_strictly_and_stays_with_a_clock_that_jitters(
    jitter_us: list[int], n_samples: int, rate_error: float
) -> None:
    decoder = DecoderV1(Info(boot_id=7, n_samples=n_samples))
    period_us = PERIOD_US / (1 + rate_error)
    stamps_us = [50_000 + n * n_samples * period_us + jitter for n, jitter in enumerate(jitter_us)]
    sent = [packet(n, index=n * n_samples, t_us=t_us, n_samples=n_samples) for n, t_us in enumerate(stamps_us)]
    events = feed_all(decoder, sent)
    assert kinds(events) == [Block] * len(sent)
    assert_exact(events)
    for n, block in enumerate(blocks(events)):
        late_us = block.device_time_ns[0] / 1000 - stamps_us[n]
        # Never early, late by no more than the jitter and the samples of one packet.
        assert -1 <= late_us <= CLOCK_SLACK_US / 2 + (n_samples + 1) * PERIOD_US
