"""One loader for twins and the real folder: files found by name, joined by ID, and everything left out is listed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import DatasetError
from edge.sources.gstride import Overrides
from edge.sources.register import CRITERIA, read_register
from tests.edge.sources.walks import person
from tests.shared_data import shared
from trainer.datasets.dataset import PEOPLE as PEOPLE_KIND
from trainer.datasets.gstride import load_gstride, recognises
from trainer.register_file import COLUMN_NAMES, write_register
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
    write_register(tmp_path / "Database_register.csv", PEOPLE)
    with pytest.raises(DatasetError, match="no recording that could be read"):
        load_gstride(tmp_path)


def test_the_dataset_says_what_it_is_and_where_from(twins: Path) -> None:
    dataset = load_gstride(twins.parent)
    assert (dataset.kind, dataset.target, dataset.labels) == ("gstride", "frailty", ("robust", "pre-frail", "frail"))
    assert dataset.is_synthetic
    assert dataset.licence == "CC BY 4.0"
    assert "García-de-Villa" in dataset.credit
    first = dataset.subjects[0]
    assert (first.devices, first.traits) == (("CSIC",), {"surface": "Plane", "device id": "45C9"})
    assert first.walks[0].name == "GSTRIDE_database/Test_recordings_calibrated/V001.txt"


def test_a_folder_is_recognised_by_its_register_or_the_names_of_its_recordings(twins: Path, tmp_path: Path) -> None:
    assert recognises(twins)
    assert recognises(twins / "Test_recordings_calibrated")
    (tmp_path / "notes.csv").write_text("a,b", encoding="utf-8")
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "absent")
    (tmp_path / "V001.csv").write_text("a,b", encoding="utf-8")
    assert recognises(tmp_path)


def _with_register(twins: Path, folder: Path, edit: Callable[[str], str]) -> Path:
    path = _copy(twins, folder) / "Database_register.csv"
    path.write_bytes(edit(path.read_bytes().decode("cp1252")).encode("cp1252"))
    return folder


def _set(text: str, person_id: str, column: str, cell: str) -> str:
    lines = [line.split(";") for line in text.split("\r\n")]
    row = next(line for line in lines if len(line) > 1 and line[1] == person_id)
    row[COLUMN_NAMES.index(column)] = cell
    return "\r\n".join(";".join(line) for line in lines)


FELL = "Falls during the last year - prior to test (YES/NO)"
SPEED = "Gait speed (m/s)"
INDEX = "Frailty assessment (index)"


def test_falls_and_speed_are_targets_too_and_who_has_no_label_is_listed(twins: Path, tmp_path: Path) -> None:
    def edit(text: str) -> str:
        for person_id, fell, speed in (("V001", "NO ", "0,79"), ("V002", "YES", "0,8"), ("V003", "NO", "1,01")):
            text = _set(_set(text, person_id, FELL, fell), person_id, SPEED, speed)
        return _set(text, "V004", SPEED, "Incapable")

    folder = _with_register(twins, tmp_path, edit)
    falls = load_gstride(folder, target="falls")
    assert falls.label_of == {"V001": "non-faller", "V002": "faller", "V003": "non-faller"}
    assert 'V004: left out, no falls label: nothing usable under "Falls during the last year"' in falls.problems[0]
    speed = load_gstride(folder, target="gait-speed")
    assert {i: label for i, label in speed.label_of.items() if i < "V004"} == {
        "V001": "slow",
        "V002": "mid",
        "V003": "fast",
    }
    assert "V004" not in speed.label_of
    with pytest.raises(DatasetError, match="target 'age' is none of GSTRIDE's: choose frailty, falls, gait-speed"):
        load_gstride(folder, target="age")


def test_the_index_is_counted_anew_and_each_disagreement_is_a_line(twins: Path, tmp_path: Path) -> None:
    def edit(text: str) -> str:
        text = _set(_set(text, "V003", INDEX, "0"), "V005", INDEX, "-")
        for criterion in CRITERIA:
            text = _set(text, "V007", f"{criterion} (YES/NO)", "-")
        return text

    dataset = load_gstride(_with_register(twins, tmp_path, edit))
    assert dataset.problems[:2] == (
        "V003: the register's frailty index is 0, its five criteria make 3 (frail); the criteria count",
        "V005: the register's frailty index is none, its five criteria make 1 (pre-frail); the criteria count",
    )
    assert dataset.label_of["V003"] == "frail"
    assert "V007: left out, no frailty label" in dataset.problems[2]
    assert "V007" not in dataset.label_of


def test_people_and_twins_are_never_mixed(twins: Path, tmp_path: Path) -> None:
    folder = _with_register(twins, tmp_path / "mixed", lambda text: text.replace("synthetic twin of V002", ""))
    with pytest.raises(DatasetError, match="11 of 12 people are synthetic by their notes"):
        load_gstride(folder)
    folder = _with_register(twins, tmp_path / "people", lambda text: text.replace("synthetic twin of", "Deaf"))
    assert load_gstride(folder).trained_on == PEOPLE_KIND


def test_a_workbook_is_read_like_the_text_which_goes_before_it(twins: Path, tmp_path: Path) -> None:
    people = read_register(_copy(twins, tmp_path) / "Database_register.csv")
    write_register(tmp_path / "Database_register.xlsx", people)
    (tmp_path / "~$Database_register.xlsx").write_bytes(b"left by an office program")
    assert read_register(tmp_path / "Database_register.xlsx") == people
    dataset = load_gstride(tmp_path)
    assert dataset.register.suffix == ".csv"
    assert dataset.problems == (
        f"more than one register: {tmp_path / 'Database_register.csv'} is read, not "
        f"{tmp_path / 'Database_register.xlsx'}",
    )
    (tmp_path / "Database_register.csv").unlink()
    alone = load_gstride(tmp_path)
    assert (alone.register.suffix, alone.label_of, alone.problems) == (".xlsx", dataset.label_of, ())


def test_the_people_without_recordings_of_the_real_register_are_named(twins: Path, tmp_path: Path) -> None:
    (tmp_path / "Database_register.csv").write_bytes(shared("gstride/Database_register.csv").read_bytes())
    real = read_register(tmp_path / "Database_register.csv")
    (tmp_path / "_IMU").mkdir()
    for person_id in (p.id for p in real if p.has_recording):
        (tmp_path / "_IMU" / f"{person_id}.csv").write_text("", encoding="utf-8")
    twin = twins / "Test_recordings_calibrated" / "V001.txt"
    (tmp_path / "_IMU" / "V001.csv").write_bytes(twin.read_bytes())
    dataset = load_gstride(tmp_path, overrides=Overrides(rate_hz=104))
    assert dataset.without_recording == ("V142", "V143", "V157", "V158", "V159")
    assert dataset.trained_on == PEOPLE_KIND
    assert sum("the file is empty" in problem for problem in dataset.problems) == 157
    assert len(dataset.problems) == 157
    assert set(dataset.subjects[0].traits) == {"surface", "site", "sex", "age", "nursing home", "device id"}
