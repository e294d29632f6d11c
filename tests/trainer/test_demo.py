"""The two who walk in the demo are chosen by rule from the register, and the files that ship are theirs."""

from edge.sources.register import read_register
from edge.sources.walkers import read_walker, walker_path
from tests.edge.sources.walker_file import write_walker_toml
from tests.shared_data import shared
from tests.trainer.made import made_dataset
from trainer.demo import demo_pair, held_out_of


def test_the_demo_pair_is_the_shipped_one() -> None:
    pair = demo_pair(read_register(shared("gstride/Database_register.csv")))
    assert [p.label for p in pair] == ["robust", "frail"]
    for chosen in pair:
        assert read_walker(walker_path(chosen.label)) == chosen.gait
        assert walker_path(chosen.label).read_text(encoding="utf-8") == write_walker_toml(chosen)


def test_of_synthetic_people_who_are_nobodys_twins_nobody_is_held_out() -> None:
    dataset = made_dataset(3)
    assert dataset.is_synthetic
    assert all(subject.person is None for subject in dataset.subjects)
    assert held_out_of(dataset) == ()
