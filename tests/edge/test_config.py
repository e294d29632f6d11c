"""Configuration: the file in the repository says what the code says, and mistakes are named."""

from pathlib import Path

import msgspec
import pytest

from edge.config import Config, ScreenConfig, load_config
from edge.errors import ConfigError
from edge.paths import configs_dir
from edge.toml import read_toml
from tests.tiny_bundle import tiny_manifest


def assert_holds_every_key(text: str, section: str, values: msgspec.Struct) -> None:
    assert f"[{section}]" in text
    for key in values.__struct_fields__:
        if isinstance(getattr(values, key), msgspec.Struct):
            assert_holds_every_key(text, f"{section}.{key}", getattr(values, key))
        else:
            assert f"\n{key} = " in text


def test_default_toml_holds_every_key_with_the_default_of_the_code() -> None:
    path = configs_dir() / "default.toml"
    assert load_config(path) == Config()
    text = path.read_text(encoding="utf-8")
    for section in Config.__struct_fields__:
        assert_holds_every_key(text, section, getattr(Config(), section))


def test_a_file_needs_only_what_differs_and_options_come_last(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[publish]\nencoding = "json"\nsignal_decimation = 2\n', encoding="utf-8")
    config = load_config(path, {"publish.signal_decimation": 8, "publish.endpoint": None})
    assert (config.publish.encoding, config.publish.signal_decimation) == ("json", 8)
    assert config.model == Config().model


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[publish]\nendpont = 'x'\n", "unknown key 'publish.endpont'; the nearest known one is 'publish.endpoint'"),
        ("[pubish]\n", "unknown key 'pubish'; the nearest known one is 'publish'"),
        ("[publish]\nsignal_decimation = 'x'\n", r"Expected `int`"),
        ("[publish]\nencoding = 'xml'\n", r"publish.encoding`: choose msgpack, json"),
        ("[screen]\nmounting = 'auto'\n", r"'auto' - at `\$.screen.mounting`: choose correct, trust"),
        ("[screen]\nrefused_flags = ['flat', 'dull']\n", r"choose clipping, rate off, gaps, flat, "),
        ("[publish]\nsignal_decimation = 0\n", "out of range"),
        ("[virtual]\nsensor = 'a/b'\n", "no slash"),
        ("[publish\n", "no TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as raised:
        load_config(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        read_toml(tmp_path / "absent.toml", Config)


@pytest.mark.parametrize(
    ("trained_on", "mounting", "keeps_slope"),
    [
        ("synthetic twins", "trust", False),  # computed in the foot's own frame
        ("recordings of people", "trust", True),
        ("recordings of people", "correct", False),
    ],
)
def test_a_sensor_keeps_its_slope_only_for_a_model_trained_on_sloping_ones(
    trained_on: str, mounting: str, keeps_slope: bool
) -> None:
    manifest = tiny_manifest()
    training = msgspec.structs.replace(manifest.training, trained_on=trained_on, windows="judged", mounting=mounting)
    screen = ScreenConfig().spec_for(msgspec.structs.replace(manifest, training=training, gravity="included"))
    assert (screen.keeps_slope, screen.mounting, screen.gravity) == (keeps_slope, "correct", "included")
