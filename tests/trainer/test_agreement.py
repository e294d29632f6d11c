"""Agreement counts what it says, and a variant below a bar does not pass."""

import msgspec
import numpy as np
import pytest

from edge.errors import TrainingError
from trainer.agreement import measure_agreement, require_agreement, wilson_interval_95

GOOD = measure_agreement(
    np.tile(np.array([[0.8, 0.2], [0.3, 0.7]], np.float32), (1000, 1)),
    np.tile(np.array([[0.8, 0.2], [0.3, 0.7]], np.float32), (1000, 1)),
    np.tile([0, 1], 1000),
    np.tile(["a", "b"], 1000),
)


def test_agreement_counts_windows_margins_and_differences() -> None:
    float_probabilities = np.array([[0.9, 0.1], [0.52, 0.48], [0.2, 0.8], [0.7, 0.3]], np.float32)
    probabilities = np.array([[0.8, 0.2], [0.48, 0.52], [0.2, 0.8], [0.4, 0.6]], np.float32)
    found = measure_agreement(float_probabilities, probabilities, np.array([0, 0, 1, 0]), np.array(list("ppqr")))
    assert (found.n_windows, found.raw) == (4, 0.5)
    assert found.n_windows_with_margin == 3
    assert found.with_margin == pytest.approx(2 / 3)
    assert found.max_abs_probability_difference == pytest.approx(0.3, abs=1e-6)
    assert found.mean_abs_probability_difference == pytest.approx((0.1 + 0.04 + 0 + 0.3) / 4, abs=1e-6)
    assert found.balanced_accuracy_by_person_float == 1
    assert found.balanced_accuracy_by_person == 0.75


def test_a_variant_that_gives_the_same_passes() -> None:
    assert (GOOD.raw, GOOD.with_margin, GOOD.n_windows) == (1.0, 1.0, 2000)
    require_agreement("int8", GOOD)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_windows": 1999}, "1999 windows, the agreement"),
        ({"with_margin": 0.9949}, r"99\.49% of the 2000 windows with a margin of 0\.1, it needs 99\.5%"),
        (
            {"balanced_accuracy_by_person": 0.98},
            r"moves the balanced accuracy by person by 0\.020, from 1\.000 to 0\.980",
        ),
    ],
)
def test_a_variant_below_a_bar_is_refused_with_the_figure(changes: dict[str, float], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        require_agreement("int8", msgspec.structs.replace(GOOD, **changes))


def test_just_at_the_bar_passes() -> None:
    require_agreement("int8", msgspec.structs.replace(GOOD, with_margin=0.995, balanced_accuracy_by_person=0.991))


def test_a_network_without_any_margin_has_shown_nothing() -> None:
    flat = np.full((2000, 2), 0.5, np.float32)
    found = measure_agreement(flat, flat, np.tile([0, 1], 1000), np.tile(["a", "b"], 1000))
    assert (found.n_windows_with_margin, found.with_margin) == (0, 0.0)
    with pytest.raises(TrainingError, match="0 windows with a margin"):
        require_agreement("int8", found)


def test_wilsons_interval_is_the_textbooks_and_stays_within_0_and_1() -> None:
    assert wilson_interval_95(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval_95(2048, 2048) == pytest.approx((0.99813, 1.0), abs=1e-5)
    assert wilson_interval_95(2048, 2048)[1] <= 1.0
    assert wilson_interval_95(0, 10)[0] == 0.0
