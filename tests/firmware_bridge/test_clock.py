"""Host times from jittery arrivals, against a simulated link whose truth is known.

The link sends at connection events every 30 ms, in order; 8 % of the events fail and are tried again at the next one;
now and then it stalls for a fraction of a second. All bounds are ratios to the arrival times of the same simulation.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import LeastSquaresClock, LowerEnvelopeClock

RATE_HZ = 104.0
N_SAMPLES = 4
FILL_S = (N_SAMPLES - 1) / RATE_HZ
INTERVAL_S = 0.030
SETTLING_S = 30.0


@dataclass(frozen=True, slots=True)
class Link:
    """One value a packet, in seconds: its first sample on the device clock and on the host's, and its arrival."""

    device_s: NDArray[np.float64]
    truth_s: NDArray[np.float64]
    arrival_s: NDArray[np.float64]


def simulate(*, drift: float, duration_s: float, seed: int = 1) -> Link:
    rng = np.random.default_rng(seed)
    device_s = np.arange(int(duration_s * RATE_HZ / N_SAMPLES)) * N_SAMPLES / RATE_HZ
    truth_s = 1234.5 + device_s * (1 + drift)
    ready_s = truth_s + FILL_S
    arrival_s = np.empty_like(ready_s)
    stall_s = ready_s[0] + rng.exponential(60.0)
    free_s = 0.0
    for n, ready in enumerate(ready_s):
        start = max(ready, free_s)
        if start > stall_s:
            start = max(start, stall_s + rng.uniform(0.05, 0.3))
            stall_s = start + rng.exponential(60.0)
        event = np.ceil(start / INTERVAL_S) * INTERVAL_S
        while rng.random() < 0.08:
            event += INTERVAL_S
        free_s = event
        arrival_s[n] = event + rng.uniform(0.0002, 0.0012)
    return Link(device_s, truth_s, arrival_s)


def envelope_errors_s(link: Link) -> NDArray[np.float64]:
    """Of the host time of each packet's first sample, as known when it came."""
    clock = LowerEnvelopeClock()
    errors = []
    for device_s, truth_s, arrival_s in zip(link.device_s, link.truth_s, link.arrival_s, strict=True):
        clock.update(round((device_s + FILL_S) * 1e9), round(arrival_s * 1e9))
        errors.append(clock.host_ns(round(device_s * 1e9)) / 1e9 - truth_s)
    return np.array(errors)


def least_squares_errors_s(link: Link, *, nominal_rate_hz: float = RATE_HZ) -> NDArray[np.float64]:
    clock = LeastSquaresClock(nominal_rate_hz)
    errors = []
    for n, (truth_s, arrival_s) in enumerate(zip(link.truth_s, link.arrival_s, strict=True)):
        clock.update(N_SAMPLES * n + N_SAMPLES - 1, round(arrival_s * 1e9))
        errors.append(clock.host_ns(N_SAMPLES * n) / 1e9 - truth_s)
    return np.array(errors)


@pytest.mark.parametrize("drift", [-50e-6, 0.0, 50e-6])
def test_the_envelope_removes_the_jitter_and_nearly_all_of_the_delay(drift: float) -> None:
    link = simulate(drift=drift, duration_s=600)
    settled = link.device_s > SETTLING_S
    naive_s = (link.arrival_s - link.truth_s - FILL_S)[settled]
    errors_s = envelope_errors_s(link)[settled]
    assert errors_s.std() < naive_s.std() / 20
    assert abs(errors_s.mean()) < naive_s.mean() / 12
    assert np.abs(errors_s).max() < INTERVAL_S / 10


@pytest.mark.parametrize("drift", [-50e-6, 50e-6])
def test_a_known_drift_no_longer_pulls_the_envelope(drift: float) -> None:
    link = simulate(drift=drift, duration_s=900)
    errors_s = envelope_errors_s(link)
    early = (link.device_s > SETTLING_S) & (link.device_s < 120)
    late = link.device_s > 300
    assert errors_s[late].std() < errors_s[early].std() / 1.5
    assert errors_s[late].std() < 50e-6 * 30 / 4


@pytest.mark.parametrize("drift", [-50e-6, 0.0, 50e-6])
def test_least_squares_removes_the_jitter_and_keeps_the_mean_delay(drift: float) -> None:
    link = simulate(drift=drift, duration_s=600)
    settled = link.device_s > SETTLING_S
    naive_s = (link.arrival_s - link.truth_s - FILL_S)[settled]
    errors_s = least_squares_errors_s(link)[settled]
    assert errors_s.std() < naive_s.std() / 12
    assert abs(errors_s.mean() - naive_s.mean()) < naive_s.mean() / 15


def test_least_squares_finds_a_rate_far_from_the_nominal_one() -> None:
    link = simulate(drift=0.0, duration_s=300)
    errors_s = least_squares_errors_s(link, nominal_rate_hz=RATE_HZ * 1.08)[link.device_s > 100]
    assert errors_s.std() < (link.arrival_s - link.truth_s).std() / 5


def test_least_squares_forgets_a_rate_that_is_no_more() -> None:
    before, after = simulate(drift=0.0, duration_s=600), simulate(drift=1e-3, duration_s=600, seed=2)
    shift_s = before.truth_s[-1] + N_SAMPLES / RATE_HZ - after.truth_s[0]
    link = Link(
        np.concatenate((before.device_s, after.device_s + 600)),
        np.concatenate((before.truth_s, after.truth_s + shift_s)),
        np.concatenate((before.arrival_s, after.arrival_s + shift_s)),
    )
    errors_s = least_squares_errors_s(link)
    # Over the whole run the line would be off by up to 600 s × 1e-3 / 8.
    assert np.abs(errors_s[-500:] - errors_s[1000 : len(before.device_s)].mean()).max() < 600 * 1e-3 / 8 / 5


def test_an_outage_of_an_hour_is_bridged_by_device_time() -> None:
    first, second = simulate(drift=20e-6, duration_s=300), simulate(drift=20e-6, duration_s=100, seed=2)
    outage_s = 3600.0
    link = Link(
        np.concatenate((first.device_s, second.device_s + outage_s)),
        np.concatenate((first.truth_s, second.truth_s + outage_s * (1 + 20e-6))),
        np.concatenate((first.arrival_s, second.arrival_s + outage_s * (1 + 20e-6))),
    )
    errors_s = envelope_errors_s(link)[len(first.device_s) :]
    # The first packets may each have waited; old offsets, stale by then, must not count.
    assert (errors_s > -0.001).all()
    assert np.abs(errors_s[second.device_s > SETTLING_S]).max() < INTERVAL_S / 10


def test_memory_stays_bounded() -> None:
    clock = LowerEnvelopeClock()
    for n in range(20_000):
        clock.update(n * 100_000_000, n * 100_000_000 + n % 7)
    assert len(clock._buckets) <= 32
    assert len(clock._spans) <= 20


def test_without_jitter_both_clocks_are_exact() -> None:
    envelope, least_squares = LowerEnvelopeClock(), LeastSquaresClock(100.0)
    for n in range(5000):
        envelope.update(n * 10_000_000, 777 + n * 10_000_000)
        least_squares.update(n, 777 + n * 10_000_000)
    assert envelope.host_ns(4_999 * 10_000_000) == 777 + 4_999 * 10_000_000
    assert abs(least_squares.host_ns(4_999) - 777 - 4_999 * 10_000_000) < 1000


def test_nothing_is_mapped_before_the_first_packet() -> None:
    with pytest.raises(ValueError, match="no packet came yet"):
        LowerEnvelopeClock().host_ns(0)
    with pytest.raises(ValueError, match="no packet came yet"):
        LeastSquaresClock(104.0).host_ns(0)


def test_least_squares_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="rate_hz must be positive"):
        LeastSquaresClock(0.0)
    clock = LeastSquaresClock(104.0)
    clock.update(10, 0)
    with pytest.raises(ValueError, match="sample index 9 is older"):
        clock.update(9, 1)
