"""Whatever GSTRIDE's description leaves open: same people, labels and decisions, or a refusal with its reason.

A sample in every run; the whole grid by ``pytest -m soak -s``, which prints its counts.
"""

import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import pytest

from edge.errors import RecordingError
from edge.sources.conventions import parse_axes
from edge.sources.gstride import Overrides
from edge.sources.register import Person
from tests.combinations import all_of
from tests.trainer.datasets.loader_grid import Count, decisions, everybody, run, write
from trainer.datasets.gstride import load_gstride
from trainer.twins import RAW_V1, Layout

PEOPLE_A_LAYOUT = 3
N_RAW = 20
"""A scale found from strides is right to about 1 %: somebody at the border of two classes may change sides."""
SAMPLE_OF_LAYOUTS = [
    Layout(
        separator=";",
        decimal=",",
        header=False,
        time_column="ms",
        acc_unit="g",
        gyr_unit="deg/s",
        gyr_first=True,
        trailing_columns=2,
    ),
    Layout(folder="v3", separator=",", time_column="index", acc_unit="g", trailing_columns=1),
    Layout(separator="\t", header=False, gyr_unit="deg/s", leading_zero_rows=500),
    Layout(separator=";", time_column="s", rate_hz=128.0, gyr_first=True),
]


def _plain(folder: Path, people: Sequence[Person]) -> dict[str, str]:
    write(folder, people, Layout())
    return decisions(load_gstride(folder))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _plain(tmp_path_factory.mktemp("plain"), everybody()[:N_RAW])


@pytest.mark.parametrize("layout", SAMPLE_OF_LAYOUTS, ids=["v1-semicolons", "v3", "v1-tabs", "v1-128Hz"])
def test_people_labels_and_decisions_are_those_of_the_plain_layout(
    tmp_path: Path, few: dict[str, str], layout: Layout
) -> None:
    assert run(tmp_path, everybody()[:PEOPLE_A_LAYOUT], layout, few) == Count(agreed=PEOPLE_A_LAYOUT)


def test_raw_counts_are_decided_like_the_plain_layout_or_refused(tmp_path: Path, few: dict[str, str]) -> None:
    count = run(tmp_path, everybody()[:N_RAW], RAW_V1, few)
    assert count.agreement >= 0.95
    assert count.refused < N_RAW / 4
    assert count.lost == 0


def test_turned_axes_are_refused_and_read_where_they_are_given(tmp_path: Path, few: dict[str, str]) -> None:
    layout = Layout(axes="-y,x,z")
    people = everybody()[:PEOPLE_A_LAYOUT]
    (tmp_path / "given").mkdir()
    (tmp_path / "not given").mkdir()
    assert run(tmp_path / "given", people, layout, few, Overrides(axes="-y,x,z")) == Count(agreed=PEOPLE_A_LAYOUT)
    assert run(tmp_path / "not given", people, layout, few) == Count(refused=PEOPLE_A_LAYOUT)


def _texts_and_numbers() -> Iterator[Layout]:
    """Every text layout with every units, rate and order; what else there is changes from one to the next."""
    options = all_of(
        {
            "separator": [" ", ",", ";", "\t"],
            "decimal": [".", ","],
            "header": [True, False],
            "time_column": ["none", "s", "ms", "us", "index"],
            "acc_unit": ["m/s^2", "g"],
            "gyr_unit": ["rad/s", "deg/s"],
            "rate_hz": [104.0, 128.0],
            "gyr_first": [False, True],
        }
    )
    for i, chosen in enumerate(o for o in options if o["separator"] != o["decimal"]):
        yield Layout(
            folder=("calibrated", "v3")[i // 7 % 2],
            trailing_columns=(0, 1, 3)[i % 3],
            leading_zero_rows=(0, 250)[i // 5 % 2],
            **chosen,
        )


def _raw() -> Iterator[Layout]:
    options = all_of(
        {
            "separator": [" ", ";"],
            "header": [False, True],
            "gyr_first": [False, True],
            "rate_hz": [104.0, 128.0],
            "leading_zero_rows": [0, 500],
        }
    )
    return (replace(RAW_V1, **chosen) for chosen in options)


def _orientations() -> Iterator[str]:
    """All 23 ways to mount a sensor but the plain one, right-handed, along its axes."""
    for order, signs in product(permutations("xyz"), product(["", "-"], repeat=3)):
        axes = ",".join(sign + axis for sign, axis in zip(signs, order, strict=True))
        try:
            parse_axes(axes)
        except RecordingError:
            continue
        if axes != "x,y,z":
            yield axes


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_whole_grid_agrees_or_refuses(tmp_path: Path) -> None:
    names = itertools.count()

    def new_folder() -> Path:
        folder = tmp_path / str(next(names))
        folder.mkdir()
        return folder

    plain = _plain(new_folder(), everybody())

    def count(layouts: Iterable[tuple[Layout, Overrides | None]], n_people: int) -> Count:
        total, first = Count(), 0
        for layout, overrides in layouts:
            people = [everybody()[(first + i) % len(everybody())] for i in range(n_people)]
            folder = new_folder()
            total += run(folder, sorted(people, key=lambda p: p.id), layout, plain, overrides)
            shutil.rmtree(folder)
            first += n_people
        return total

    exact = list(_texts_and_numbers())
    axes = [Layout(axes=name) for name in _orientations()]
    counts = {
        f"{rate_hz:g} Hz": count([(x, None) for x in exact if x.rate_hz == rate_hz], PEOPLE_A_LAYOUT)
        for rate_hz in (104.0, 128.0)
    }
    counts["raw counts"] = count([(x, None) for x in _raw()], N_RAW)
    counts["axes given"] = count([(x, Overrides(axes=x.axes)) for x in axes], PEOPLE_A_LAYOUT)
    counts["axes not given"] = count([(x, None) for x in axes], PEOPLE_A_LAYOUT)
    print(f"\nloader grid, {len(exact)} text layouts, {len(list(_raw()))} raw, {len(axes)} orientations; recordings:")
    for name, found in counts.items():
        print(f"    {name}: {found}")
    assert counts["104 Hz"].wrong == counts["axes given"].wrong == counts["axes not given"].wrong == 0
    assert all(found.lost == 0 for found in counts.values())
    assert all(found.agreement >= 0.95 for name, found in counts.items() if name != "axes not given")
    assert counts["axes not given"].agreed == 0
