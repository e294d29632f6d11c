"""A session's bouts, and that its class rests on them alone."""

import pytest

from tests.edge.test_session_result import FRAIL, HOP_S, LABELS, ROBUST, WINDOW_S, left_of, strides, told, walk


def test_bouts_come_from_walking_windows_and_strides_lie_where_the_foot_came_down() -> None:
    """Four strides are needed; the mounting was found late, so most of them were told in one go, long after."""
    still = [message for i in range(40, 60) for message in told(i, reason="standing", motion="standing")]
    first, second = [100.5 + i for i in range(9)], [100.0 + 60 * HOP_S + i for i in range(3)]
    left = left_of([*walk(40), *still, strides(*first), *walk(8, 60), strides(*second)])
    (bout,) = left.bouts
    assert (bout.start_ns, bout.n_strides, bout.break_ns) == (0, 9, 0)
    assert left.walked_s == pytest.approx(39 * HOP_S + WINDOW_S)
    assert left.figures.n_strides == 12


def test_windows_outside_every_bout_make_no_class() -> None:
    """A walk of eight strides, and far from it three frail steps: too few for a bout."""
    still = [message for i in range(20, 40) for message in told(i, reason="standing", motion="standing")]
    steps = [message for i in range(40, 48) for message in told(i, FRAIL)]
    eight, three = [100.5 + i for i in range(8)], [100.0 + 40 * HOP_S + i for i in range(3)]
    left = left_of([*walk(20), *still, *steps, strides(*eight, *three)])
    assert (left.result.n_windows, left.n_outside_bouts) == (20, 8)
    assert left.result.probabilities == pytest.approx(dict(zip(LABELS, ROBUST, strict=True)))
    alone = left_of([*still, *steps, strides(*three)])
    assert (alone.result.label, alone.result.leader, alone.n_outside_bouts) == (None, None, 8)
    assert alone.result.reason == "too few windows in walking bouts: 0 of at least 4"
