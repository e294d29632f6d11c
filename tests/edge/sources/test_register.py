"""The real register has the counts that its description gives; a damaged one is refused by its line."""

import sys
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pytest

from edge.errors import DatasetError
from edge.sources.register import find_register, read_register
from edge.sources.workbook import write_workbook
from tests.edge.sources.walks import person
from tests.shared_data import shared
from trainer.register_file import COLUMN_NAMES, write_register

REGISTER = "gstride/Database_register.csv"


def test_the_real_register_has_its_classes_devices_and_recordings() -> None:
    people = read_register(shared(REGISTER))
    assert Counter(p.label for p in people) == {"robust": 65, "pre-frail": 77, "frail": 21}
    with_signals = [p for p in people if p.has_recording]
    assert Counter(p.label for p in with_signals) == {"robust": 65, "pre-frail": 73, "frail": 20}
    assert Counter(p.label for p in with_signals if p.device == "CSIC") == {"robust": 59, "pre-frail": 69, "frail": 20}
    assert [p.id for p in people if not p.has_recording] == ["V142", "V143", "V157", "V158", "V159"]
    assert all(p.frailty_index == p.stated_index for p in people)
    assert all(p.surface == "Plane" for p in people if p.label == "frail")
    assert all(p.gait is not None and p.cadence_strides_min for p in people)


def test_the_figures_of_the_first_person_are_those_of_the_file() -> None:
    first = read_register(shared(REGISTER))[0]
    assert first.gait is not None
    assert (first.id, first.device_id, first.frailty_index, first.walking_time_s) == ("V001", "45C9", 1, 1721.27)
    assert (first.gait.stride_time_s.mean, first.gait.toe_off_angle_deg.mean, first.gait.clearance_m.std) == (
        1.022,
        -71.62,
        0.123,
    )


def test_our_column_names_are_those_of_the_real_file() -> None:
    header = shared(REGISTER).read_bytes().decode("cp1252").splitlines()[1]
    assert ";".join(COLUMN_NAMES) == header


def _text(folder: Path) -> str:
    write_register(
        folder / "Database_register.csv", [person(person_id="V001"), person(person_id="V002", frailty_index=3)]
    )
    return (folder / "Database_register.csv").read_bytes().decode("cp1252")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ID (VNNN)", "Name", "no register of the GSTRIDE database"),
        ("Stride time - Avg.", "Stride", 'no column "Stride time - Avg."'),
        ("1,1;", "1,1,1;", 'line 4: "1,1,1" under Stride time - Avg. is no number'),
        ("V002", "V001", "V001 stand in it more than once"),
        ("V00", "W00", "it lists nobody"),
        ("V002;", "V002;x;", "line 5: 61 cells, the header has 60"),
        ("YES", "JA", 'line 5: "JA" under Unintentional weight loss is neither YES nor NO'),
    ],
)
def test_a_damaged_register_is_refused_by_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "damaged.csv"
    path.write_bytes(_text(tmp_path).replace(old, new, 1 if old == "1,1;" else -1).encode("cp1252"))
    with pytest.raises(DatasetError, match=message.replace("(", r"\(").replace(")", r"\)")):
        read_register(path)


def test_missing_figures_are_named_and_incapable_counts_as_no(tmp_path: Path) -> None:
    text = _text(tmp_path).replace("YES", "Incapable", 1)
    lines = text.split("\r\n")
    cells = lines[4].split(";")
    cells[COLUMN_NAMES.index("Load - Avg. (%)")] = "-"
    lines[4] = ";".join(cells)
    path = tmp_path / "changed.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    second = read_register(path)[1]
    assert second.gait is None
    assert second.missing == ("load_percent",)
    assert (second.frailty_index, second.stated_index, second.label) == (3, 3, "frail")


def test_a_register_is_found_beside_and_above_a_recording(tmp_path: Path) -> None:
    _text(tmp_path)
    deep = tmp_path / "a" / "b" / "V001.txt"
    deep.parent.mkdir(parents=True)
    assert find_register(deep) == tmp_path / "Database_register.csv"
    assert find_register(tmp_path / "V001.txt") == tmp_path / "Database_register.csv"


def test_the_real_registers_answers_are_read_whatever_blanks_stand_beside_them() -> None:
    people = read_register(shared(REGISTER))
    assert Counter(p.fell for p in people) == {True: 86, False: 77}
    assert all(p.gait_speed_m_s for p in people)
    assert people[0].traits["site"] == "Familiar"


def test_a_workbook_gives_the_same_people_wherever_its_sheet_stands(tmp_path: Path) -> None:
    text = read_register(shared(REGISTER))
    rows = [line.split(";") for line in _text(tmp_path).splitlines()]
    path = tmp_path / "GSTRIDE_DDBB.xlsx"
    write_workbook(path, "Sheet", [["Read me"], *rows])
    assert read_register(path) == read_register(tmp_path / "Database_register.csv")
    write_register(path, text[:20])
    assert [(p.id, p.label, p.gait) for p in read_register(path)] == [(p.id, p.label, p.gait) for p in text[:20]]
    assert find_register(tmp_path / "V001.txt") == tmp_path / "Database_register.csv"
    (tmp_path / "Database_register.csv").unlink()
    assert find_register(tmp_path / "V001.txt") == path


def test_what_is_no_workbook_of_the_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "GSTRIDE_DDBB.xlsx"
    path.write_bytes(b"ID;VNNN")
    with pytest.raises(DatasetError, match="this is no workbook"):
        read_register(path)
    write_workbook(path, "People", [["Name", "Age"], ["Anna", 80]])
    with pytest.raises(DatasetError, match="no register of the GSTRIDE database"):
        read_register(path)
    with ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "nothing")
    with pytest.raises(DatasetError, match="this is no workbook"):
        read_register(path)


def test_without_openpyxl_a_workbook_is_refused_with_the_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_workbook(tmp_path / "GSTRIDE_DDBB.xlsx", "People", [["ID (VNNN)"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DatasetError, match=r"by openpyxl: pip install .*, or use Database_register\.csv"):
        read_register(tmp_path / "GSTRIDE_DDBB.xlsx")
