"""The walks of Truong et al.: both layouts give the same people, walks and classes; the real data where it is there."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import DatasetError
from edge.sources.described import read_described
from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from tests.shared_data import shared
from trainer.datasets.truong import load_truong, recognises, speed_label

N_SAMPLES = 900
PEOPLE = {"1": (0.7, "TCon"), "2": (0.9, "XSens"), "10": (1.3, "XSens")}


def signals(seed: int) -> Any:
    """Two feet as the packed file has them: int16, mg and tenths of deg/s; pitching gravity leaves x positive."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 300, (N_SAMPLES, 12))
    values[:, [0, 6]] += 250
    return values.round().astype(np.int16)


def trials() -> list[dict[str, Any]]:
    return [
        {
            "trial": f"{subject}-{number}",
            "subject": subject,
            "sex": "F",
            "sensor": sensor,
            "group": "Healthy",
            "distance_m": 10.0,
            "walk_start": 100,
            "walk_end": 800,
            "n_samples": N_SAMPLES,
            "mean_speed_m_s": speed + 0.01 * number,
        }
        for subject, (speed, sensor) in PEOPLE.items()
        for number in (1, 2, 3)
    ]


def write_packed(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    np.savez(folder / "signals.npz", **{row["trial"]: signals(index) for index, row in enumerate(trials())})
    with (folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def write_published(folder: Path) -> Path:
    """The same walks in the published shape: its walking time and one-way distance give the same speeds."""
    folder.mkdir()
    columns = ["AV", "AX", "AY", "AZ", "RV", "RX", "RY", "RZ"]
    for index, row in enumerate(trials()):
        values = signals(index) / np.tile([1000.0] * 3 + [10.0] * 3, 2)
        feet = [
            np.column_stack([np.zeros(N_SAMPLES), foot[:, :3], np.zeros(N_SAMPLES), foot[:, 3:]])
            for foot in (values[:, :6], values[:, 6:])
        ]
        np.savetxt(
            folder / f"{row['trial']}.csv",
            np.hstack(feet),
            delimiter=",",
            fmt="%.6g",
            header=",".join(side + column for side in "LR" for column in columns),
            comments="",
        )
        facts = {
            "Subject": int(row["subject"]),
            "Sensor": row["sensor"],
            "PathologyGroup": row["group"],
            "Gender": row["sex"],
            "WalkedDistance": row["mean_speed_m_s"] * 7.0 / 2,
            "WalkingSpeed": row["mean_speed_m_s"] * 3.6,
            "LeftFootActivity": [[100, 200], [400, 500]],
            "RightFootActivity": [[200, 300], [700, 800]],
        }
        (folder / f"{row['trial']}.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def test_both_layouts_give_the_same_people_walks_and_classes(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", trials())
    published = write_published(tmp_path / "published")
    assert recognises(packed)
    assert recognises(published)
    one, other = load_truong(packed), load_truong(published)
    assert one.problems == other.problems == ()
    assert one.label_of == other.label_of == {"S001": "slow", "S002": "mid", "S010": "fast"}
    assert one.gravity == "removed"
    for first, second in zip(one.subjects, other.subjects, strict=True):
        assert [walk.name for walk in first.walks] == [walk.name for walk in second.walks]
        assert first.devices == second.devices
        for walk, same in zip(first.walks, second.walks, strict=True):
            assert len(walk.recording.samples) == 700
            np.testing.assert_allclose(walk.recording.samples, same.recording.samples, atol=2e-5)
    left = one.subjects[0].walks[0]
    assert left.side == "left"
    expected = signals(0)[100, :6] * np.array([STANDARD_GRAVITY_M_S2 / 1000] * 3 + [np.deg2rad(0.1)] * 3)
    np.testing.assert_allclose(left.recording.samples[0], expected, rtol=1e-5)


def test_the_edge_replays_a_published_trial_as_the_trainer_reads_it(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "published")
    trained = load_truong(folder).subjects[0].walks
    for walk, side in zip(trained[:2], ("left", "right"), strict=True):
        replayed = read_described(folder / "1-1.csv", "truong", side)
        assert (replayed.gravity, replayed.rate_hz) == ("removed", 100.0)
        np.testing.assert_array_equal(replayed.samples[100:800], walk.recording.samples)


def test_a_sensor_worn_back_to_front_is_turned_round_and_told(tmp_path: Path) -> None:
    folder = write_packed(tmp_path / "packed", trials())
    straight = load_truong(folder).subjects[0].walks[1].recording.samples
    with np.load(folder / "signals.npz") as found:
        arrays = {name: found[name] for name in found.files}
    arrays["1-1"][:, 6:] *= np.array([-1, -1, 1, -1, -1, 1], np.int16)
    np.savez(folder / "signals.npz", **arrays)
    dataset = load_truong(folder)
    assert dataset.problems == ("S001: worn back to front by its mean acceleration, turned round: 1-1 right",)
    np.testing.assert_allclose(dataset.subjects[0].walks[1].recording.samples, straight, atol=1e-6)


def test_what_does_not_fit_is_refused_or_listed_with_its_place(tmp_path: Path) -> None:
    rows = trials()
    with pytest.raises(DatasetError, match="gait-speed"):
        load_truong(write_packed(tmp_path / "a", rows), target="frailty")
    with pytest.raises(DatasetError, match="no column 'sensor'"):
        load_truong(write_packed(tmp_path / "b", [{k: v for k, v in row.items() if k != "sensor"} for row in rows]))
    with pytest.raises(DatasetError, match="line 3: trial 99-9 is not in"):
        load_truong(write_packed(tmp_path / "c", [rows[0], {**rows[1], "trial": "99-9"}]))
    with pytest.raises(DatasetError, match="walks from sample 100 to 2000"):
        load_truong(write_packed(tmp_path / "d", [{**rows[0], "walk_end": 2000}]))
    broken = write_packed(tmp_path / "e", rows) / "signals.npz"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(DatasetError, match="is no npz file"):
        load_truong(broken.parent)
    published = write_published(tmp_path / "f")
    (published / "1-2.json").write_text("{}", encoding="utf-8")
    dataset = load_truong(published)
    assert len(dataset.problems) == 1
    assert "1-2.json: left out" in dataset.problems[0]
    (tmp_path / "empty").mkdir()
    assert not recognises(tmp_path / "empty")


@pytest.mark.parametrize(("speed_m_s", "label"), [(0.799, "slow"), (0.8, "mid"), (1.0, "mid"), (1.001, "fast")])
def test_the_borders_of_the_classes(speed_m_s: float, label: str) -> None:
    assert speed_label(speed_m_s) == label


def test_the_real_people_are_187_in_three_classes_and_two_wore_both_brands() -> None:
    dataset = load_truong(shared("truong/trials.csv").parent)
    labels = list(dataset.label_of.values())
    assert [labels.count(label) for label in dataset.labels] == [80, 46, 61]
    assert [subject.id for subject in dataset.subjects if len(subject.devices) == 2] == ["S012", "S134"]
    assert sum(len(subject.walks) for subject in dataset.subjects) == 2 * 840
    assert {walk.recording.gravity for subject in dataset.subjects for walk in subject.walks} == {"removed"}
