import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.stream.gait_figures import RECENT_STRIDES, FigureSet, GaitFigures, RunningFigure
from edge.stream.strides import Stride


def stride(time_s: float = 1.1, swing: float = 0.3, length_m: float | None = 1.2) -> Stride:
    speed = None if length_m is None else length_m / time_s
    return Stride(0, round(100 * time_s), time_s, 1 - swing, swing, length_m, speed)


def assert_figure(figure: RunningFigure, values: list[float]) -> None:
    assert figure.n == len(values)
    assert figure.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert figure.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-12)


def assert_figures_of(figures: FigureSet, strides: list[Stride]) -> None:
    assert figures.n_strides == len(strides)
    assert_figure(figures.stride_time_s, [s.stride_time_s for s in strides])
    assert_figure(figures.cadence_strides_min, [60 / s.stride_time_s for s in strides])
    assert_figure(figures.stance_percent, [100 * s.stance_share for s in strides])
    assert_figure(figures.swing_percent, [100 * s.swing_share for s in strides])
    assert_figure(figures.stride_length_m, [s.stride_length_m for s in strides if s.stride_length_m is not None])
    assert_figure(figures.gait_speed_m_s, [s.gait_speed_m_s for s in strides if s.gait_speed_m_s is not None])
    assert figures.cadence_steps_min == pytest.approx(2 * np.mean([60 / s.stride_time_s for s in strides]))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.5, 3.9), st.floats(0.06, 0.7), st.floats(0.1, 1.9)), min_size=2, max_size=60))
def test_running_figures_are_the_means_and_sample_deviations(raw: list[tuple[float, float, float]]) -> None:
    strides = [stride(*values) for values in raw]
    figures = GaitFigures()
    assert all(figures.add(one) for one in strides)
    assert_figures_of(figures.all, strides)
    assert_figures_of(figures.recent, strides[-RECENT_STRIDES:])


def test_strides_without_a_length_count_for_everything_else() -> None:
    figures = GaitFigures()
    for one in (stride(), stride(length_m=None), stride(time_s=1.3)):
        figures.add(one)
    assert figures.all.stride_time_s.n == 3
    assert figures.all.stride_length_m.n == figures.all.gait_speed_m_s.n == 2


@pytest.mark.parametrize(
    "odd",
    [
        stride(time_s=0.39),
        stride(time_s=4.1),
        stride(swing=0.04),
        stride(swing=0.8),
        stride(length_m=3.1),
        stride(0.5, 0.4, 2.5),
    ],
)
def test_what_cannot_be_a_stride_is_left_out_and_counted(odd: Stride) -> None:
    figures = GaitFigures()
    figures.add(stride())
    before = figures.all
    assert not figures.add(odd)
    assert figures.all == before
    assert (figures.n_strides, figures.n_implausible) == (1, 1)


def test_without_strides_nothing_is_claimed_and_one_stride_has_no_deviation() -> None:
    figures = GaitFigures()
    assert figures.all.stride_time_s == RunningFigure(None, None, 0)
    assert figures.all.cadence_steps_min is None
    figures.add(stride())
    assert figures.all.stride_time_s == RunningFigure(1.1, None, 1)
