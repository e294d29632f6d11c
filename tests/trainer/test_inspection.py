"""What is counted of a dataset, against tables worked out by hand and against the real register's known traps."""

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DatasetError
from edge.sources.recording import Recording
from edge.sources.register import LABELS, read_register
from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.walker import walk
from tests.shared_data import shared
from trainer.datasets.dataset import PEOPLE, TWINS, Dataset, Subject, Walk
from trainer.inspection import cramers_v, group_statements, inspect_dataset, share_between
from trainer.inspection_page import middle_of, write_page
from trainer.inspection_windows import count_windows
from trainer.store import build_store
from trainer.train_config import SignalConfig


def recording(
    n: int = 1000, rate_hz: float = 100.0, *, without: slice | None = None, statements: tuple[str, ...] = ()
) -> Recording:
    """A wave of n samples, ``without`` some of them."""
    kept = np.ones(n, np.bool_)
    if without is not None:
        kept[without] = False
    at = np.flatnonzero(kept)
    samples = np.sin(at[:, np.newaxis] / 20.0 + np.arange(6)).astype(np.float32)
    time_ns = np.rint(at * 1e9 / rate_hz).astype(np.int64)
    return Recording(Path("x.csv"), rate_hz, time_ns - time_ns[0], samples, "included", statements=statements)


def dataset(subjects: Sequence[Subject], labels: tuple[str, ...] = LABELS, trained_on: str = PEOPLE) -> Dataset:
    return Dataset(
        kind="folder",
        folder=Path("some/walks"),
        register=Path("some/walks/people.csv"),
        target="frailty",
        labels=labels,
        subjects=tuple(subjects),
        gravity="included",
        trained_on=trained_on,
        licence="CC0",
        credit="nobody & <co>",
        without_recording=("X1", "X2"),
        problems=("V009: <odd>",),
    )


def test_the_traps_of_the_real_register_are_said_in_plain_words() -> None:
    one = recording(20)
    everybody = [p for p in read_register(shared("gstride/Database_register.csv")) if p.has_recording]
    subjects = [
        Subject(p.id, p.label, (Walk(p.id, one, p.device),), {"surface": p.surface, "device id": p.device_id})
        for p in everybody
    ]
    found = inspect_dataset(dataset(subjects))
    assert [line.n_people for line in found.classes] == [65, 73, 20]
    by_device, by_surface = found.crossings[:2]
    assert (by_device.values, by_device.counts) == (("CSIC", "Gaitup"), ((59, 6), (69, 4), (20, 0)))
    assert by_device.warnings == ("no frail person wore a Gaitup (1.3 of 10 would by chance)",)
    assert by_surface.by == "surface"
    assert any('no frail person has surface "Varied"' in line for line in by_surface.warnings)
    assert found.crossings[2].values[-1] == "other"
    assert sum(map(sum, found.crossings[2].counts)) == 158


def test_missing_samples_durations_and_several_devices_are_counted() -> None:
    both = Subject(
        "A",
        "robust",
        (
            Walk("a", recording(1200, without=slice(100, 160)), "Left Inc", "left"),
            Walk("b", recording(600, 50.0), "Right Inc"),
        ),
    )
    one = Subject("B", "frail", (Walk("c", recording(6000), "Left Inc"),))
    found = inspect_dataset(dataset([both, one]))
    a, b = found.people
    assert (a.device, a.rates_hz, a.n_walks, a.missing_samples) == ("Left Inc + Right Inc", (50.0, 100.0), 2, 60)
    assert a.signal_min == pytest.approx(24 / 60)
    assert a.missing_percent == pytest.approx(100 * 60 / 1800)
    assert b.missing_samples == 0
    assert b.signal_min == pytest.approx(1.0)
    assert [(line.device, line.rate_hz, line.n_people) for line in found.devices] == [
        ("Left Inc", 100, 2),
        ("Right Inc", 50, 1),
    ]
    assert found.warnings[:2] == (
        "only 1 person is robust: figures of this class will be coarse",
        "only 0 people are pre-frail: figures of this class will be coarse",
    )
    assert "minutes of signal a person differ by class (medians: robust 0.4, frail 1)" in found.warnings[-1]


def test_numbers_are_ranked_and_what_says_the_same_as_the_device_stands_there_once() -> None:
    subjects = [
        Subject(
            f"P{i:02d}",
            LABELS[i // 10],
            (Walk(f"{i}", recording(20, 100.0 + i % 2), f"D{i % 2}"),),
            {"age": f"{60 + i},5", "site": f"S{i % 2}", "device": f"D{i % 2}", "hand": "right"},
        )
        for i in range(30)
    ]
    found = inspect_dataset(dataset(subjects))
    assert [crossing.by for crossing in found.crossings] == ["device"]
    assert [spread.what for spread in found.spreads] == ["minutes of signal", "age"]
    assert found.spreads[1].quartiles[0] == pytest.approx((62.75, 65.0, 67.25))
    assert "age a person differ by class" in found.warnings[-1]
    assert found.crossings[0].cramers_v == 0.0


def test_cramers_v_is_zero_for_independence_one_for_identity_and_nothing_without_two_of_each() -> None:
    assert cramers_v(np.array([[30, 30], [20, 20]])) == 0.0
    assert cramers_v(np.diag([40, 50, 60])) == pytest.approx(1.0, abs=0.01)
    assert cramers_v(np.array([[30, 0], [20, 0]])) is None
    assert cramers_v(np.zeros((0, 0), np.int64)) is None
    # By hand: chi2 = 20 of n = 80; phi2 = 0.25 - 1/79; over 2 - 1/79 - 1.
    assert cramers_v(np.array([[30, 10], [10, 30]])) == pytest.approx(((0.25 - 1 / 79) / (1 - 1 / 79)) ** 0.5)


@given(st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=2, max_size=4))
def test_cramers_v_stays_between_0_and_1_and_ignores_the_order(rows: list[list[int]]) -> None:
    table = np.array(rows, np.int64)
    v = cramers_v(table)
    assert v is None or 0.0 <= v <= 1.0
    assert cramers_v(table[::-1, ::-1]) == pytest.approx(v)
    assert cramers_v(table.T) == pytest.approx(v)


def test_the_share_between_groups_is_1_where_they_are_apart_and_0_where_they_are_alike() -> None:
    assert share_between([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]) == pytest.approx(1.0)
    assert share_between([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]) == 0.0
    assert share_between([[1.0, 1.0], [1.0]]) is None
    assert share_between([[1.0, 2.0], []]) is None
    # By hand: ranks 1 2 4 and 3 5 6, total 17.5 over 5, within 14/3 + 14/3 over 4.
    assert share_between([[1.0, 2.0, 4.0], [3.0, 5.0, 6.0]]) == pytest.approx(1 - (28 / 3 / 4) / 3.5)


def test_statements_alike_but_for_numbers_and_ids_become_one_with_their_range() -> None:
    found = group_statements(
        [
            ("rate 104 Hz: cadence of V001", "acceleration in m/s^2: 9.81 at rest"),
            ("rate 128 Hz: cadence of V010", "acceleration in m/s^2: 9.79 at rest"),
            ("rate 104 Hz: cadence of V002", "acceleration in g: 1.0 at rest"),
        ]
    )
    assert [(line.n_walks, line.text) for line in found] == [
        (3, "rate 104 or 128 Hz: cadence of V001…V010"),
        (2, "acceleration in m/s^2: 9.79 or 9.81 at rest"),
        (1, "acceleration in g: 1.0 at rest"),
    ]


def test_the_picture_shows_the_middle_seconds_by_time_not_by_sample() -> None:
    whole = recording(6000)
    assert middle_of(whole) == slice(2500, 3500)
    assert middle_of(recording(500)) == slice(0, 500)
    lossy = recording(6000, without=slice(100, 2000))
    part = lossy.time_ns[middle_of(lossy)] / 1e9
    assert part[0] == pytest.approx(25.0, abs=0.02)
    assert part[-1] == pytest.approx(35.0, abs=0.02)


def test_the_page_is_one_file_with_a_picture_of_each_person_and_needs_no_network(tmp_path: Path) -> None:
    subjects = [
        Subject(name, label, (Walk(name, recording(2000, without=slice(1000, 1030)), device),), {"site": site})
        for name, label, device, site in (
            ("A/1", "robust", "CSIC", "<b>"),
            ("B", "frail", "CSIC", "home"),
            ("C", "frail", "Gaitup", "home"),
        )
    ]
    synthetic = dataset(subjects, trained_on=TWINS)
    drawn: list[tuple[str, int, int]] = []
    page = write_page(inspect_dataset(synthetic), synthetic, tmp_path / "out", progress=lambda *at: drawn.append(at))
    text = page.read_text(encoding="utf-8")
    assert drawn == [("A/1", 1, 3), ("B", 2, 3), ("C", 3, 3)]
    assert sorted(path.name for path in (tmp_path / "out/people").iterdir()) == [
        "001_A_1.png",
        "002_B.png",
        "003_C.png",
    ]
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {
        "classes",
        "minutes",
        "class_by_device",
        "class_by_site",
    }
    assert text.count("data:image/png;base64,") == 7
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert "http" not in text
    assert "<b>" not in text
    assert html.escape("nobody & <co>") in text
    assert html.escape("V009: <odd>") in text
    assert "X1, X2" in text
    assert "<title>SYNTHETIC DATA: walks, inspected</title>" in text
    assert "nobody walked here" in text
    real = dataset(subjects[1:2])
    shown = write_page(inspect_dataset(real), real, tmp_path / "real").read_text(encoding="utf-8")
    assert "ynthetic data" not in shown


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    real = dataset([Subject("A", "robust", (Walk("a", recording(), "CSIC"),))])
    with pytest.raises(DatasetError, match=r"--out .*file: cannot be written"):
        write_page(inspect_dataset(real), real, tmp_path / "file")


def test_windows_that_the_edge_would_refuse_are_counted_by_class_and_reason_and_shown(tmp_path: Path) -> None:
    """Two robust people, one walking and one standing; a frail one of whom too little was recorded."""
    samples = walk(read_walker(walker_path("robust")), duration_s=30.0, rate_hz=100.0, seed=1)
    walked = recording(len(samples))
    walked = replace(walked, samples=samples)
    stood = replace(recording(700), samples=np.tile(samples[100:101], (700, 1)))
    people = [
        Subject(name, label, (Walk(name, own, "A"),))
        for name, label, own in (("A", "robust", walked), ("B", "robust", stood), ("C", "frail", recording(100)))
    ]
    data = dataset(people)
    seen: list[tuple[str, int, int]] = []
    lines = count_windows(data, progress=lambda *at: seen.append(at))
    assert [line.label for line in lines] == list(data.labels)
    robust, pre_frail, frail = lines
    store = build_store(replace(data, subjects=(people[0],)), SignalConfig(windows="judged"), for_training=False)
    assert robust.n_used == len(store) > 0
    everything = build_store(replace(data, subjects=tuple(people[:2])), SignalConfig(), for_training=False)
    assert robust.n_windows == len(everything) == robust.n_used + sum(robust.refused.values())
    assert (robust.without, frail.without, pre_frail.without) == (("B",), ("C",), ())
    assert (pre_frail.n_windows, frail.n_windows) == (0, 0)
    assert seen == [("A", 1, 3), ("B", 2, 3), ("C", 3, 3)]
    found = inspect_dataset(data, lines)
    assert "B (robust): not one window that the edge would classify" in found.warnings
    page = write_page(found, data, tmp_path / "page").read_text(encoding="utf-8")
    assert "Windows, judged as the edge would" in page
    assert f"<td>{100 * robust.n_used / robust.n_windows:.1f} %</td>" in page
    assert "judged" not in write_page(inspect_dataset(data), data, tmp_path / "plain").read_text(encoding="utf-8")
