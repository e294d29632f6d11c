"""Virtual movements that are no gait: reproducible, cut as one likes, within what bodies and sensors do."""

import numpy as np
import pytest

from firmware_bridge.channels import ACC, GYR, STANDARD_GRAVITY_M_S2
from firmware_bridge.movements import MOVEMENTS, MovementKind, Mover

RATE_HZ = 104.0


@pytest.mark.parametrize("kind", MOVEMENTS)
def test_samples_depend_on_the_seed_and_not_on_the_size_of_the_calls(kind: MovementKind) -> None:
    whole = Mover(kind, rate_hz=RATE_HZ, seed=4).advance(1200)
    mover = Mover(kind, rate_hz=RATE_HZ, seed=4)
    np.testing.assert_array_equal(np.concatenate([mover.advance(n) for n in (1, 99, 600, 500)]), whole)
    assert not np.array_equal(Mover(kind, rate_hz=RATE_HZ, seed=5).advance(1200), whole)


@pytest.mark.parametrize("kind", MOVEMENTS)
def test_motion_has_gravity_and_stays_within_what_a_limb_does(kind: MovementKind) -> None:
    for seed in range(3):
        samples = Mover(kind, rate_hz=RATE_HZ, seed=seed).advance(6240)
        acc, rate = (np.linalg.norm(samples[:, part], axis=1) for part in (ACC, GYR))
        mean = float(np.linalg.norm(samples[:, ACC].mean(axis=0)))
        assert 0.4 * STANDARD_GRAVITY_M_S2 < mean < 1.5 * STANDARD_GRAVITY_M_S2
        assert acc.max() < 100
        assert 0.5 < rate.max() < 25


def test_cycling_turns_at_the_cadence_of_a_crank() -> None:
    samples = Mover("cycling", rate_hz=RATE_HZ, seed=1).advance(6240)
    power = np.abs(np.fft.rfft(samples[:, 4])) ** 2
    per_minute = 60 * np.fft.rfftfreq(len(samples), 1 / RATE_HZ)[1 + int(np.argmax(power[1:]))]
    assert 45 < per_minute < 100


def test_an_unknown_kind_or_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="stairs up"):
        Mover("flying", rate_hz=RATE_HZ, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rate_hz"):
        Mover("hand", rate_hz=0.0, seed=0)
