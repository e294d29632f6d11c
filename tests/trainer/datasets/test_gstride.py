"""One loader for twins and the real folder: files found by name, joined by ID, and everything left out is listed."""

from pathlib import Path

import pytest

from edge.errors import DatasetError
from edge.sources.gstride import Overrides
from tests.edge.sources.walks import person
from trainer.datasets.gstride import load_gstride
from trainer.twins import RAW_V1, write_twins

PEOPLE = [person(person_id=f"V{i:03d}", frailty_index=i % 4) for i in range(1, 13)]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_twins(tmp_path_factory.mktemp("twins"), PEOPLE, minutes=0.6, seed=2).folder


def test_people_are_joined_by_id_and_sorted(twins: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    dataset = load_gstride(twins.parent, progress=lambda *what: seen.append(what))
    assert [item.id for item in dataset.subjects] == [p.id for p in PEOPLE]
    assert [item.label for item in dataset.subjects] == [p.label for p in PEOPLE]
    assert dataset.without_recording == ()
    assert seen[-1] == ("V012", 12, 12)


def _copy(twins: Path, folder: Path) -> Path:
    for source in twins.rglob("*"):
        if source.is_file():
            target = folder / source.relative_to(twins)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


def test_a_missing_damaged_doubled_or_unknown_file_is_listed_and_the_rest_loads(twins: Path, tmp_path: Path) -> None:
    recordings = _copy(twins, tmp_path) / "Test_recordings_calibrated"
    (recordings / "V003.txt").unlink()
    (recordings / "V004.txt").write_text("", encoding="utf-8")
    (recordings / "more").mkdir()
    (recordings / "more" / "V005.txt").write_bytes((recordings / "V005.txt").read_bytes())
    (recordings / "V900.txt").write_bytes((recordings / "V006.txt").read_bytes())
    (tmp_path / "V006_GAIT_PARAMETERS.csv").write_text("not a recording", encoding="utf-8")
    dataset = load_gstride(tmp_path)
    assert [item.id for item in dataset.subjects] == [p.id for p in PEOPLE if p.id not in {"V003", "V004", "V005"}]
    assert "V003" in dataset.without_recording
    problems = "\n".join(dataset.problems)
    for part in ("V004.txt: the file is empty", "V005: more than one recording", "V900 is not in"):
        assert part in problems


def test_a_recording_without_a_rate_takes_that_of_its_device_and_says_so(twins: Path, tmp_path: Path) -> None:
    path = _copy(twins, tmp_path) / "Test_recordings_calibrated" / "V002.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], *lines[1000:1450]]), encoding="utf-8")
    dataset = load_gstride(tmp_path)
    assert [item.id for item in dataset.subjects] == [p.id for p in PEOPLE]
    assert dataset.subjects[1].walks[0].recording.rate_hz == 104
    assert len(dataset.problems) == 1
    assert "taken as 104 Hz, which all other recordings of a CSIC device have" in dataset.problems[0]


def test_calibrated_recordings_go_before_raw_ones(twins: Path, tmp_path: Path) -> None:
    _copy(twins, tmp_path)
    raw = write_twins(tmp_path / "raw", PEOPLE[:2], minutes=0.2, seed=9, layout=RAW_V1).folder
    (raw / "Database_register.csv").unlink()
    dataset = load_gstride(tmp_path, overrides=Overrides(rate_hz=104))
    assert all("calibrated" in str(item.walks[0].recording.path) for item in dataset.subjects)


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        load_gstride(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no Database_register\.csv"):
        load_gstride(tmp_path)
