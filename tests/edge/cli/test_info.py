"""`frailedge config`, `schema`, `--version`: what is in force, as something a program can read back."""

import json
import tomllib
from pathlib import Path

import msgspec

from edge import __version__
from edge.config import Config
from edge.messages import TOPICS
from tests.edge.cli.run import assert_refused, frailedge


def test_config_prints_what_is_in_force_as_toml_that_can_be_given_back(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[virtual]\nseed = 9\n", encoding="utf-8")
    printed = frailedge("config", "--config", mine)
    assert printed.returncode == 0, printed.stderr
    config = msgspec.convert(tomllib.loads(printed.stdout), Config)
    assert config.virtual.seed == 9
    assert config.publish == Config().publish
    again = tmp_path / "again.toml"
    again.write_text(printed.stdout, encoding="utf-8")
    assert frailedge("config", "--config", again).stdout == printed.stdout


def test_schema_prints_all_topics_or_one() -> None:
    everything = json.loads(frailedge("schema").stdout)
    assert set(everything["topics"]) == set(TOPICS.values())
    one = json.loads(frailedge("schema", "decision").stdout)
    assert one["$ref"] == "#/$defs/Decision"
    assert "label" in one["$defs"]["Decision"]["properties"]
    assert_refused(frailedge("schema", "nothing"), "nothing", "prediction")


def test_the_version_is_printed_and_a_wrong_key_refused(tmp_path: Path) -> None:
    assert frailedge("--version").stdout == f"frailedge {__version__}\n"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[virtal]\nseed = 9\n", encoding="utf-8")
    assert_refused(frailedge("config", "--config", wrong), "virtal", "virtual")
