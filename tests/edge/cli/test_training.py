"""`frailedge twins` and `frailedge train` from a register to figures and a bundle that `replay` runs."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.bundle import load_bundle
from edge.sources.register import Person
from edge.sources.walkers import read_walker, walker_path
from firmware_bridge.walker import Figure, GaitParameters
from tests.edge.cli.run import assert_refused, frailedge

CONFIG = """
name = "test"
windows_per_person = 100
baselines = ["majority", "hand-features"]

[network]
filters = [4]
lstm_units = [12]
learning_rate = 0.02
regularisation = 0.0001
input_noise = 0.2
haar_blocks = true

[fit]
n_epochs = {n_epochs}
batch_size = 32
patience_epochs = 12

[imbalance]
class_weights = "balanced"

[protocol]
run = {protocols}
n_folds = 2

[bundle]
validation_share = 0.2
test_share = {test_share}

[signal]
wavelet_level = 3
"""


def people_that_differ(n_people: int) -> list[Person]:
    """Classes so far apart that a tiny network tells them with certainty: this is about the way, not the figures."""
    pytest.importorskip("trainer.register_file")
    gaits: dict[int, GaitParameters] = {}
    for index, (stride_m, stride_s, toe_off_deg) in {
        0: (1.4, 1.0, -70.0),
        1: (0.9, 1.2, -50.0),
        3: (0.4, 1.6, -25.0),
    }.items():
        gaits[index] = replace(
            read_walker(walker_path("robust")),
            stride_length_m=Figure(stride_m, 0.02),
            stride_time_s=Figure(stride_s, 0.02),
            toe_off_angle_deg=Figure(toe_off_deg, 2.0),
        )
    return [
        Person(
            id=f"V{number:03d}",
            notes="",
            device=("CSIC", "Gaitup")[number // 3 % 2],
            device_id="1",
            surface="Plane",
            frailty_index=index,
            stated_index=index,
            cadence_strides_min=60.0 / gaits[index].stride_time_s.mean,
            walking_time_s=60.0,
            gait=gaits[index],
        )
        for number in range(1, n_people + 1)
        for index in [(0, 1, 3)[number % 3]]
    ]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-six twins with a register of their own."""
    folder = tmp_path_factory.mktemp("twins")
    people = people_that_differ(36)
    from trainer.register_file import write_register

    register = folder / "Database_register.csv"
    write_register(register, people)
    made = frailedge("twins", folder / "twins", "--register", register, "--minutes", "1", "--seed", "3")
    assert made.returncode == 0, made.stderr
    assert "36 synthetic people" in made.stderr
    return folder / "twins"


def written(config: Path, *, protocols: tuple[str, ...] = ("person",), n_epochs: int = 5) -> Path:
    """The configuration file, with what differs between tests."""
    text = CONFIG.format(protocols=json.dumps(protocols), test_share=0.6, n_epochs=n_epochs)
    config.write_text(text, encoding="utf-8")
    return config


@pytest.mark.train
@pytest.mark.timeout(600)  # three trainings: a machine that does much else takes long
def test_from_a_register_to_twins_to_figures_and_a_bundle_that_runs(twins: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    config = written(tmp_path / "small.toml")
    out = tmp_path / "run"
    trained = frailedge("train", twins, "--config", config, "--out", out, timeout_s=560)
    assert trained.returncode == 0, trained.stderr
    said = trained.stderr
    assert "(synthetic twins, not valid for people)" in said
    for words in (
        "  person: network: ",
        "  person: baseline:hand-features: ",
    ):
        assert words in said
    rows = list(csv.DictReader((out / "by_person.csv").read_text(encoding="utf-8").splitlines()))
    by_person = [row for row in rows if row["protocol"] == "person" and row["method"] == "network"]
    assert sorted(row["person"] for row in by_person) == [f"V{number:03d}" for number in range(1, 37)]
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "synthetic" in report
    for name in ("figures.json", "config.toml", "by_row.csv", "run.json"):
        assert (out / name).stat().st_size > 100
    manifest = load_bundle(out / "bundle").manifest
    assert manifest.training.trained_on == "synthetic twins"
    assert "not valid for people" in manifest.intended_use
    assert manifest.variants["int8"].agreement.n_windows >= 2000
    assert manifest.training.figures["test_balanced_accuracy_by_person"] > 0.6
    card = (out / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("logistic regression", "baseline:hand-features", "expected calibration error", "CC BY 4.0"):
        assert words in card
    walk = next(twins.rglob("V001.txt"))
    run = frailedge("replay", walk, "--bundle", out / "bundle", "--json", "--speed", "max", "--no-publish")
    assert run.returncode == 0, run.stderr
    last = json.loads(run.stdout.splitlines()[-1])
    assert last["trained_on"] == "synthetic twins"
    assert last["label"] in (*manifest.labels, None)
    again = frailedge("train", twins, "--config", config, "--out", out, timeout_s=100)
    assert again.returncode == 0, again.stderr
    assert "6 of 6 trials were done before" in again.stderr
    other = written(tmp_path / "other.toml", n_epochs=6)
    assert_refused(frailedge("train", twins, "--config", other, "--out", out), "another run", "--out")


@pytest.mark.train
def test_baselines_alone_are_judged_by_all_three_protocols(twins: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    config = written(tmp_path / "small.toml", protocols=("window", "person", "transfer"))
    out = tmp_path / "run"
    judged = frailedge("baselines", twins, "--config", config, "--out", out)
    assert judged.returncode == 0, judged.stderr
    for words in (
        "window-s1: in-sample by person: 36 of 36 test people",
        "  window (in-sample by person): baseline:majority: ",
        "  person: baseline:hand-features: ",
        "  transfer (trained on Gaitup, tested on CSIC): baseline:majority: ",
    ):
        assert words in judged.stderr
    rows = list(csv.DictReader((out / "by_person.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["method"] for row in rows} == {"baseline:majority", "baseline:hand-features"}
    by_person = [row for row in rows if row["protocol"] == "person" and row["method"] == "baseline:majority"]
    assert sorted(row["person"] for row in by_person) == [f"V{number:03d}" for number in range(1, 37)]
    assert not (out / "bundle").exists()


def test_what_cannot_be_written_or_read_is_refused_in_one_line(tmp_path: Path) -> None:
    assert_refused(frailedge("twins", tmp_path / "t"), "--register", "--people")
    assert_refused(
        frailedge("twins", tmp_path / "t", "--people", "5", "--separator", "comma", "--decimal", "comma"), "comma"
    )
    assert_refused(frailedge("twins", tmp_path / "t", "--people", "5", "--acc-unit", "furlong"), "furlong")
    assert_refused(frailedge("twins", tmp_path / "t", "--register", tmp_path / "absent.csv"), "absent.csv")
    assert_refused(frailedge("train", tmp_path / "absent"), "absent")
    assert_refused(frailedge("train", tmp_path, "--config", "nothing"), "twins")
    (tmp_path / "empty").mkdir()
    assert_refused(frailedge("train", tmp_path / "empty", "--config", "twins"), "empty")
    assert not (tmp_path / "t").exists()
