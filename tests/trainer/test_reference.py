"""The ranges that a report shows are those of the register, of the people who have a recording."""

from collections import Counter
from dataclasses import replace

import pytest

from edge.messages import GaitSummary
from edge.reference import LABELS, N_PEOPLE, RANGES
from edge.sources.register import read_register
from tests.shared_data import shared
from trainer.class_figures import draw_people, read_class_figures
from trainer.reference import derive_reference


def test_the_ranges_are_what_the_register_gives() -> None:
    people = read_register(shared("gstride/Database_register.csv"))
    assert derive_reference(people) == dict(RANGES)
    with_recording = Counter(person.label for person in people if person.has_recording)
    assert tuple(with_recording[label] for label in LABELS) == N_PEOPLE


def test_every_figure_of_gait_has_its_range() -> None:
    assert list(RANGES) == [name for name in GaitSummary.__struct_fields__ if name != "n_strides"]
    assert all(len(ranges) == len(LABELS) and all(low < high for low, high in ranges) for ranges in RANGES.values())


def test_the_ranges_agree_with_the_class_figures_where_both_know_them() -> None:
    """The class figures are derived from the same people by other code."""
    figures = read_class_figures()
    for name in ("stride_time_s", "swing_percent", "stride_length_m"):
        i = figures.names.index(f"{name}.mean")
        assert RANGES[name] == tuple((figures.low[label][i], figures.high[label][i]) for label in LABELS)
    assert tuple(figures.n_people[label] for label in LABELS) == N_PEOPLE
    for (low, high), (swing_low, swing_high) in zip(RANGES["stance_percent"], RANGES["swing_percent"], strict=True):
        assert (low, high) == pytest.approx((100 - swing_high, 100 - swing_low), abs=0.006)


def test_who_has_no_recording_takes_no_part() -> None:
    people = draw_people(60, seed=1)
    others = tuple(replace(person, notes="No raw data") for person in draw_people(60, seed=2))
    assert derive_reference(people + others) == derive_reference(people) != derive_reference(draw_people(60, seed=2))
