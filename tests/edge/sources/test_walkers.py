"""The walkers that ship are valid, and a wrong file is refused by its figure."""

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.sources.walkers import read_walker, walker_path
from tests.edge.sources.walker_file import write_walker_toml
from tests.edge.sources.walks import GAIT, person


@pytest.mark.parametrize("name", ["robust", "frail"])
def test_the_walkers_that_ship_can_be_read(name: str) -> None:
    assert read_walker(walker_path(name)).stride_time_s.mean > 0.5
    assert "CC BY 4.0" in walker_path(name).read_text(encoding="utf-8")


def test_a_walker_is_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(write_walker_toml(person()), encoding="utf-8")
    assert walker_path(str(path)) == path
    assert read_walker(path) == GAIT


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mean = 1.1,", "mean = 99.0,", "stride_time_s must have a mean"),
        ("load_percent", "load_percentage", "load_percentage"),
        ('label = "robust"', 'label = "strong"', "strong"),
    ],
)
def test_a_wrong_walker_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(write_walker_toml(person()).replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_walker(path)
    with pytest.raises(ConfigError, match="known are frail, robust"):
        read_walker(tmp_path / "absent.toml")
