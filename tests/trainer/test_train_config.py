"""What no bundle could be made of, or no fold be drawn from, is refused when the configuration is read."""

from pathlib import Path

import msgspec
import pytest

from edge.errors import ConfigError
from edge.paths import configs_dir
from trainer.train_config import FitConfig, ImbalanceConfig, TrainConfig, load_train_config


@pytest.mark.parametrize("name", sorted(file.stem for file in (configs_dir() / "train").glob("*.toml")))
def test_every_configuration_that_ships_is_sound(name: str) -> None:
    assert load_train_config(name).name


SMOTE = "[imbalance]\nsmote = true\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[signal]\nhop_samples = 0", "signal.hop_samples is 0, not within 1-200"),
        ("[signal]\nhop_samples = 201", "signal.hop_samples is 201, not within 1-200"),
        ("[signal]\nwindow_samples = 10000", "signal.window_samples is 10000, not within 2-8192"),
        ("[signal]\nsample_rate_hz = 5.0", "signal.sample_rate_hz is 5.0, not within 50-1000"),
        ('[signal]\nwindow_samples = 64\nhop_samples = 32\nwindows = "judged"', "signal.window_samples is 64, 0.615 s"),
        ("[signal]\nsample_rate_hz = nan", "signal.sample_rate_hz is nan"),
        ("[signal]\nmax_bridged_gap_ms = -1.0", "signal.max_bridged_gap_ms is -1.0, not within 0-1000"),
        ("[signal]\nmax_bridged_share = 1.0", "signal.max_bridged_share is 1.0, not from 0 to below 1"),
        ("[signal]\nwavelet_level = 0", "signal.wavelet_level is 0, it must be 1 or more, or left out"),
        ('[signal]\nwindows = "walking"', "windows"),
        ('[signal]\nmounting = "guess"', "mounting"),
        ("[decision]\nhalf_life_windows = 0.0", "decision.half_life_windows is 0.0, it must be above 0"),
        ("[decision]\nmin_windows = 0", "decision.min_windows is 0, it must be 1 or more"),
        ("[decision]\nswitch_margin = -0.1", "decision.switch_margin is -0.1, it must be 0 or more"),
        ("[decision]\nmost_wrong_share = 1.5", "decision.most_wrong_share is 1.5, not within 0-1"),
        ("[protocol]\nseeds = [1, -1]", "protocol.seeds must be within 0-4294967295"),
        ("[protocol]\nseeds = [4294967296]", "protocol.seeds must be within 0-4294967295"),
        ('[protocol]\nrun = ["person", "person"]', "protocol.run must name each protocol once"),
        ("[protocol]\nwindow_shares = [nan, 0.5, 0.5]", "protocol.window_shares must be three shares"),
        ("[bundle]\nseed = -1", "bundle.seed must be within 0-4294967295"),
        ('name = "my run"', "name must be 1 to 64 letters"),
        (SMOTE + "[fit]\nfresh_windows = true", "imbalance.smote and fit.fresh_windows exclude each other"),
        (SMOTE + 'sampling = "balanced"', "imbalance.smote and balanced sampling exclude each other"),
        (
            '[fit]\nfresh_windows = true\n[[variants]]\nname = "SMOTE"\nimbalance = { smote = true }',
            'variants: "SMOTE": imbalance.smote and fit.fresh_windows exclude each other',
        ),
        (
            SMOTE + '[[variants]]\nname = "fresh"\nfit = { fresh_windows = true }',
            'variants: "fresh": imbalance.smote and fit.fresh_windows exclude each other',
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_that_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text if text.startswith("name") else f'name = "mine"\n{text}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_train_config(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variant_may_take_back_what_would_not_go_with_it() -> None:
    fresh = {"name": "mine", "fit": {"fresh_windows": True}}
    variant = {"name": "SMOTE", "fit": {"n_epochs": 3}, "imbalance": {"smote": True}}
    config = msgspec.convert(fresh | {"variants": [variant]}, TrainConfig)
    assert (config.variants[0].fit, config.variants[0].imbalance) == (
        FitConfig(n_epochs=3),
        ImbalanceConfig(smote=True),
    )
