"""A folder of anybody's recordings with a table of people: what is read, and each thing wrong with it by its place."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, DatasetError
from edge.sources.gstride import Overrides
from tests.shared_data import shared
from trainer.datasets import ADAPTERS, open_dataset
from trainer.datasets.dataset import PEOPLE, TWINS
from trainer.datasets.folder import load_folder

TABLE = """\
# labels: slow, fast
# target: pace
person,label,file,side,age
B,fast,walks/b*.csv,both,70
A,slow,walks/a.csv,left,
"""


def sensor(gravity: str = "included") -> str:
    sides = "".join(
        f'[layouts.{side}]\nacc = ["{side[0]}ax", "{side[0]}ay", "{side[0]}az"]\n'
        f'gyr = ["{side[0]}gx", "{side[0]}gy", "{side[0]}gz"]\n'
        for side in ("left", "right")
    )
    return (
        f'description = "two feet"\nacc_unit = "g"\ngyr_unit = "deg/s"\ngravity = "{gravity}"\nframe = "foot"\n'
        f'[[layouts]]\nname = "plain"\nstarts_with = "lax"\nheader_lines = 1\nrate_hz = 100.0\n{sides}'
    )


def make_folder(folder: Path, table: str = TABLE) -> Path:
    (folder / "walks").mkdir(parents=True)
    (folder / "mine.toml").write_text(sensor(), encoding="utf-8")
    header = ",".join(f"{side}{kind}{axis}" for side in "lr" for kind in "ag" for axis in "xyz")
    for i, name in enumerate(("a", "b1", "b2")):
        rows = np.tile([i, 0, 1, 10, 20, 30, -i, 0, 1, 10, 20, 30], (300, 1))
        lines = [header, *(",".join(map(str, row)) for row in rows)]
        (folder / "walks" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "people.csv").write_text(table, encoding="utf-8")
    return folder


def test_people_labels_sides_and_traits_are_read_in_si_units(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    dataset = open_dataset(make_folder(tmp_path), progress=lambda *at: seen.append(at))
    assert (dataset.kind, dataset.target, dataset.labels) == ("folder", "pace", ("slow", "fast"))
    assert (dataset.gravity, dataset.trained_on, dataset.problems) == ("included", PEOPLE, ())
    a, b = dataset.subjects
    assert (a.id, a.label, a.traits, a.devices) == ("A", "slow", {}, ("mine",))
    assert (b.id, b.label, b.traits) == ("B", "fast", {"age": "70"})
    assert [(walk.name, walk.side) for walk in b.walks] == [
        ("walks/b1.csv left", "left"),
        ("walks/b1.csv right", "right"),
        ("walks/b2.csv left", "left"),
        ("walks/b2.csv right", "right"),
    ]
    np.testing.assert_allclose(b.walks[3].recording.samples[0, :3], [-2 * 9.80665, 0, 9.80665], rtol=1e-6)
    np.testing.assert_allclose(b.walks[3].recording.samples[0, 3:], np.deg2rad([10, 20, 30]), rtol=1e-6)
    assert seen == [("A", 1, 2), ("B", 2, 2)]


def test_real_walks_of_two_sensors_become_one_dataset(tmp_path: Path) -> None:
    for file in ("gaitmap/imu_sample.csv", "gaitmap/imu_sample_ms_left.csv", "xio/short_walk.csv"):
        (tmp_path / Path(file).name).symlink_to(shared(f"walks/{file}"))
    (tmp_path / "people.csv").write_text(
        "person,label,file,sensor,side,device\n"
        "P1,healthy,imu_sample.csv,gaitmap,both,\nP2,ms,imu_sample_ms_left.csv,gaitmap,,Shimmer\n"
        "P3,healthy,short_walk.csv,xio,,\n",
        encoding="utf-8",
    )
    dataset = load_folder(tmp_path)
    assert dataset.labels == ("healthy", "ms")
    assert [subject.devices for subject in dataset.subjects] == [("gaitmap",), ("Shimmer",), ("xio",)]
    assert [round(walk.recording.rate_hz) for subject in dataset.subjects for walk in subject.walks] == [
        205,
        205,
        102,
        398,
    ]
    assert "order of the alphabet" in dataset.problems[0]


def test_another_column_can_be_the_label_and_the_first_becomes_a_trait(tmp_path: Path) -> None:
    table = "person,label,file,side,fell\nA,slow,walks/a.csv,left,yes\nB,fast,walks/b1.csv;walks/b2.csv,left,no\n"
    dataset = load_folder(make_folder(tmp_path, table), target="fell")
    assert (dataset.target, dataset.label_of) == ("fell", {"A": "yes", "B": "no"})
    assert dataset.subjects[0].traits == {"label": "slow"}
    assert len(dataset.subjects[1].walks) == 2
    with pytest.raises(DatasetError, match='no column of labels "age"; the header has person, label'):
        load_folder(tmp_path, target="age")


def test_synthetic_data_licence_and_credit_are_as_stated(tmp_path: Path) -> None:
    stated = "# synthetic: yes,,,,\n# licence: CC0,,,,\n# credit: nobody,,,,\n"
    dataset = load_folder(make_folder(tmp_path, stated + TABLE))
    assert (dataset.trained_on, dataset.licence, dataset.credit) == (TWINS, "CC0", "nobody")


def test_who_has_no_file_or_none_that_can_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    table = TABLE + "C,slow,,left,\nD,fast,walks/d.csv,left,\nE,fast,walks/e.csv,,\n"
    folder = make_folder(tmp_path, table)
    (folder / "walks/d.csv").write_text("other,columns\n1,2\n", encoding="utf-8")
    (folder / "walks/e.csv").write_bytes((folder / "walks/a.csv").read_bytes())
    dataset = load_folder(folder)
    assert [subject.id for subject in dataset.subjects] == ["A", "B"]
    assert dataset.without_recording == ("C", "D", "E")
    assert "line 7: " in dataset.problems[0]
    assert "fits no layout of column sensor" in dataset.problems[0]
    assert "choose one by column side left|right" in dataset.problems[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("person,label", "person,class", "line 3: no column label; it has person, class"),
        ("person,label,file,side,age", "person;label;file;side;age", "separate by commas"),
        ("side,age", "side,side", "more than one column side"),
        ("A,slow", ",slow", "line 5: no person"),
        ("A,slow", "A,", "line 5: no label of A"),
        ("A,slow", "A,slwo", 'line 5: label "slwo" is none of slow, fast'),
        ("A,slow", "B,slow", "more than one line for B"),
        ("walks/a.csv", "walks/c.csv", "line 5: no file walks/c.csv"),
        ("walks/b*.csv", "walks/c*.csv", r"line 4: no file walks/c\*.csv"),
        ("walks/b*.csv", "walks/**.csv", "line 4: walks/..*csv: Invalid pattern"),
        ("walks/a.csv", "/etc/hosts", "give files relative to"),
        ("walks/a.csv", "walks/b1.csv", "line 5: b1.csv belongs to B already"),
        ("walks/a.csv", "walks/a.csv;walks/a.csv", "line 5: a file of A is named twice"),
        ("a.csv,left,", "a.csv,west,", 'line 5: side "west"'),
        ("a.csv,left,", "a.csv,left", "line 5: 4 cells, the header has 5"),
        ("# labels: slow, fast", "# lables: slow, fast", 'line 1: "# lables:" is none of labels, target'),
        ("slow, fast", "slow, slow", "name each label once"),
        ("slow, fast", 'slow, "fast', "unexpected end of data; put quotes round a whole label"),
        ("walks/a.csv,left,", "walks/a.csv,left," + "x" * 200_000, "line 5: no row of a table .field larger than"),
        ("person,label", "x" * 200_000, "line 3: no row of a table .field larger than"),
        ("# target: pace", "# synthetic: maybe", "say yes or no"),
        (TABLE[TABLE.index("B,") :], "", "it lists nobody"),
    ],
)
def test_what_is_wrong_with_the_table_is_said_by_line_before_anything_is_read(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in TABLE
    folder = make_folder(tmp_path, TABLE.replace(old, new, 1))
    with pytest.raises(DatasetError, match=said) as caught:
        load_folder(folder, progress=lambda *_: pytest.fail("a recording was read"))
    assert str(caught.value).count("\n") == 0


def test_a_label_in_quotes_may_hold_commas(tmp_path: Path) -> None:
    table = TABLE.replace("slow, fast", '"slow, with a stick", fast,,').replace("A,slow", 'A,"slow, with a stick"')
    dataset = load_folder(make_folder(tmp_path, table))
    assert dataset.labels == ("slow, with a stick", "fast")
    assert dataset.label_of == {"A": "slow, with a stick", "B": "fast"}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("name", ["people.csv", "Database_register.csv"])
def test_a_table_that_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    # A file that nobody can read from its beginning, whatever they may do.
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(DatasetError, match=f"^{tmp_path}.*: cannot be read: Input/output error"):
        open_dataset(tmp_path)


def test_a_sensor_that_there_is_not_is_said(tmp_path: Path) -> None:
    table = "person,label,file,sensor\nA,slow,walks/a.csv,{}\n"
    for name, said in (("gaitmop", "no such sensor: gaitmop; known are gaitmap"), ("no.toml", "no such sensor: no")):
        folder = make_folder(tmp_path / name, table.format(name))
        with pytest.raises(DatasetError, match=said):
            load_folder(folder)
    (folder / "people.csv").write_text(table.format(""), encoding="utf-8")
    (folder / "other.toml").write_text(sensor(), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"no sensor, and .* has 2 TOML files"):
        load_folder(folder)
    (folder / "other.toml").unlink()
    (folder / "mine.toml").write_text("description = 3", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_folder(folder)


def test_two_kinds_of_gravity_are_refused(tmp_path: Path) -> None:
    table = "person,label,file,sensor,side\nA,slow,walks/a.csv,mine.toml,left\nB,fast,walks/b1.csv,other.toml,left\n"
    folder = make_folder(tmp_path, table)
    (folder / "other.toml").write_text(sensor("removed"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"included in a\.csv and removed in b1\.csv"):
        load_folder(folder)


def test_not_one_readable_recording_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "person,label,file\nA,slow,walks/a.csv\n")
    with pytest.raises(DatasetError, match=r"not one of 1 people .* the file holds both feet"):
        load_folder(folder)


def test_a_table_in_another_encoding_is_said(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "people.csv").write_bytes(TABLE.replace("B,fast", "Bö,fast").encode("cp1252"))
    with pytest.raises(DatasetError, match="save it as UTF-8"):
        load_folder(folder)


def test_the_adapter_is_found_or_everything_that_was_looked_for_is_listed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert all(f"{kind}: {adapter.looks_for}" in str(caught.value) for kind, adapter in ADAPTERS.items())
    folder = make_folder(tmp_path / "mine")
    with pytest.raises(ConfigError, match="--kind other: choose gstride, truong, folder"):
        open_dataset(folder, kind="other")
    with pytest.raises(ConfigError, match="of a folder dataset are known"):
        open_dataset(folder, overrides=Overrides(rate_hz=100.0))
    assert len(open_dataset(folder, overrides=Overrides()).subjects) == 2
    (folder / "V001.txt").write_text("", encoding="utf-8")
    (folder / "Database_register.csv").write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match="may be gstride or folder; say which by --kind"):
        open_dataset(folder)
    assert len(open_dataset(folder, kind="folder").subjects) == 2
