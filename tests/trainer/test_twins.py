"""A folder of twins has the layout of the database, says that it is synthetic, and depends on seed and person alone."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, DatasetError
from edge.sources.register import find_register, read_register
from tests.edge.sources.walks import person
from tests.full_disk import files_of_at_most
from tests.shared_data import shared
from trainer.class_figures import derive_class_figures, draw_people, gait_vector, read_class_figures
from trainer.datasets.gstride import load_gstride
from trainer.twins import RAW_V1, Layout, walk_of, write_twins

PEOPLE = [person(person_id=f"V{i:03d}", frailty_index=i) for i in (1, 2, 3)]


def test_the_folder_is_that_of_version_1_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    twins = write_twins(tmp_path, [*PEOPLE, person(person_id="V142", notes="No raw data")], minutes=0.2, seed=1)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [
        "GSTRIDE_database/Database_register.csv",
        "GSTRIDE_database/README.txt",
        *(f"GSTRIDE_database/Test_recordings_calibrated/V00{i}.txt" for i in (1, 2, 3)),
    ]
    assert twins.skipped == ("V142: the register says that there is no recording",)
    assert "SYNTHETIC" in (twins.folder / "README.txt").read_text(encoding="utf-8")
    register = read_register(twins.folder / "Database_register.csv")
    assert [p.notes for p in register] == [f"synthetic twin of V00{i}" for i in (1, 2, 3)]
    assert [(p.id, p.frailty_index, p.gait) for p in register] == [(p.id, p.frailty_index, p.gait) for p in PEOPLE]
    first_line = (twins.folder / "Test_recordings_calibrated/V001.txt").read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "AccX AccY AccZ GyrX GyrY GyrZ"


def test_a_twin_depends_on_seed_and_person_not_on_company_or_workers(tmp_path: Path) -> None:
    write_twins(tmp_path / "alone", PEOPLE[1:2], minutes=0.1, seed=1)
    done: list[str] = []
    write_twins(tmp_path / "all", PEOPLE, minutes=0.1, seed=1, workers=2, progress=lambda p: done.append(p.id))
    write_twins(tmp_path / "other", PEOPLE, minutes=0.1, seed=2)
    alone, together, other = (
        (tmp_path / name / "GSTRIDE_database/Test_recordings_calibrated/V002.txt").read_bytes()
        for name in ("alone", "all", "other")
    )
    assert alone == together != other
    assert sorted(done) == ["V001", "V002", "V003"]


def test_raw_recordings_are_whole_numbers_without_header(tmp_path: Path) -> None:
    twins = write_twins(tmp_path, PEOPLE[:1], minutes=0.1, seed=1, layout=RAW_V1)
    values = np.loadtxt(twins.folder / "Test_recordings_raw/V001_45C9.txt")
    assert values.shape[1] == 6
    np.testing.assert_array_equal(values, np.rint(values))


@pytest.mark.parametrize(
    "layout",
    [Layout(folder="v3", separator=";", decimal=",", time_column="ms", acc_unit="g", gyr_unit="deg/s"), RAW_V1],
    ids=["v3", "raw"],
)
def test_the_loader_reads_the_other_layouts_of_the_database(tmp_path: Path, layout: Layout) -> None:
    write_twins(tmp_path, PEOPLE, minutes=1.0, seed=1, layout=layout)
    dataset = load_gstride(tmp_path)
    assert dataset.register.name == ("GSTRIDE_DDBB.xlsx" if layout.folder == "v3" else "Database_register.csv")
    assert find_register(tmp_path / "GSTRIDE_database" / "any") == dataset.register
    assert [item.id for item in dataset.subjects] == ["V001", "V002", "V003"]
    for item in dataset.subjects:
        truth = walk_of(item.person or PEOPLE[0], duration_s=60.0, rate_hz=104.0, seed=1)
        assert item.walks[0].recording.samples.shape == truth.shape
        share = np.linalg.norm(item.walks[0].recording.samples - truth, axis=0) / np.linalg.norm(truth, axis=0)
        assert share.max() < (0.04 if layout is RAW_V1 else 1e-4)


def test_each_real_person_gets_the_device_rate_and_the_walk_of_their_figures(tmp_path: Path) -> None:
    people = [
        p for p in read_register(shared("gstride/Database_register.csv")) if p.id in {"V001", "V135", "V142", "V152"}
    ]
    write_twins(tmp_path, people, minutes=1.0, seed=4)
    dataset = load_gstride(tmp_path)
    assert [(item.id, item.walks[0].recording.rate_hz) for item in dataset.subjects] == [
        ("V001", 104),
        ("V135", 128),
        ("V152", 104),
    ]
    own = walk_of(people[0], duration_s=60.0, rate_hz=104.0, seed=4)
    np.testing.assert_allclose(dataset.subjects[0].walks[0].recording.samples, own, atol=2e-5)


def test_drawn_people_have_the_class_shares_and_are_nobody_of_the_register() -> None:
    drawn = draw_people(158, seed=3)
    counts = Counter(p.label for p in drawn)
    assert sum(counts.values()) == 158
    assert abs(counts["robust"] - 65) <= 1
    assert abs(counts["frail"] - 20) <= 1
    assert drawn == draw_people(158, seed=3) != draw_people(158, seed=4)
    real = {tuple(gait_vector(p.gait)) for p in read_register(shared("gstride/Database_register.csv")) if p.gait}
    assert not real & {tuple(gait_vector(p.gait)) for p in drawn if p.gait}


def test_drawn_figures_have_the_means_of_their_class() -> None:
    figures = read_class_figures()
    frail = np.array([gait_vector(p.gait) for p in draw_people(999, seed=1) if p.gait and p.label == "frail"])
    z = (frail.mean(axis=0) - figures.mean["frail"]) / np.array(figures.deviation["frail"])
    assert np.abs(z).max() < 0.35


def test_the_class_figures_that_ship_are_those_of_the_register() -> None:
    derived = derive_class_figures(read_register(shared("gstride/Database_register.csv")))
    shipped = read_class_figures()
    assert (derived.names, derived.n_people, derived.source) == (shipped.names, shipped.n_people, shipped.source)
    np.testing.assert_allclose(derived.correlation, shipped.correlation, atol=0.0011)
    for kind in ("mean", "deviation", "low", "high"):
        for label in ("robust", "pre-frail", "frail"):
            # Another numpy may round the last of the four digits the other way.
            np.testing.assert_allclose(getattr(derived, kind)[label], getattr(shipped, kind)[label], rtol=2e-3)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both separator and decimal sign"):
        Layout(separator=",", decimal=",")
    with pytest.raises(ConfigError, match="cannot be written"):
        Layout(rate_hz=5.0)
    with pytest.raises(ConfigError, match="minutes a person"):
        write_twins(tmp_path, PEOPLE, minutes=0.0, seed=1)
    with pytest.raises(ConfigError, match="--people 2"):
        draw_people(2, seed=1)
    with pytest.raises(DatasetError, match="nobody to make a twin of: V142"):
        write_twins(tmp_path, [person(person_id="V142", notes="No raw data")], minutes=1.0, seed=1)
    with pytest.raises(DatasetError, match="none of Fried's five criteria"):
        write_twins(tmp_path, [replace(PEOPLE[0], n_criteria=0)], minutes=1.0, seed=1)
    (tmp_path / "GSTRIDE_database").mkdir()
    with pytest.raises(DatasetError, match="exists already"):
        write_twins(tmp_path, PEOPLE, minutes=1.0, seed=1)


def test_a_full_disk_or_a_place_for_no_folder_is_told_in_a_line(tmp_path: Path) -> None:
    with (
        files_of_at_most(20_000),
        pytest.raises(DatasetError, match=r"GSTRIDE_database: cannot be written: File too large; .*not whole"),
    ):
        write_twins(tmp_path, PEOPLE[:1], minutes=0.2, seed=1)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"file.*: cannot be written: (Not a directory|File exists)"):
        write_twins(tmp_path / "file", PEOPLE[:1], minutes=0.2, seed=1)
