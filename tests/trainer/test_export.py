"""A network that passes its bars becomes a bundle the edge can run, with an honest card; another becomes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.bundle import Bundle, Manifest, Wavelet, load_bundle
from edge.errors import TrainingError
from edge.model import Classifier
from edge.pipeline import spec_of
from tests.tiny_bundle import tiny_manifest
from tests.trainer.in_memory import array_source
from tests.trainer.made import made_dataset
from tests.trainer.small import N_COEFFICIENTS, easy_windows, small_network
from trainer.batches import LabelledWindows
from trainer.bundling import draft_manifest
from trainer.calibration import Abstention
from trainer.card import Comparison, Provenance, write_card
from trainer.evaluate import Interval, decide_by_person, evaluate
from trainer.export import calibration_windows, export_bundle
from trainer.history import History
from trainer.running import Trained
from trainer.splits import PersonSplit
from trainer.train_config import FitConfig, SignalConfig, TrainConfig
from trainer.training import fit

pytestmark = pytest.mark.train

ROLLING = easy_windows(3, 5, seed=9, prefix="d").coefficients
TEST = easy_windows(21, 100, seed=3, prefix="c")


@pytest.fixture(scope="module")
def trained() -> tuple[Any, LabelledWindows, History]:
    train = easy_windows(12, 30, seed=1, prefix="a")
    network = small_network(seed=0)
    history = fit(
        network, array_source(train, 3), easy_windows(6, 20, seed=2, prefix="b"), FitConfig(n_epochs=6), seed=0
    )
    return network, calibration_from(train), history


def calibration_from(train: LabelledWindows) -> Any:
    return calibration_windows(train, seed=0)


PROVENANCE = Provenance(
    "GSTRIDE: García-de-Villa et al., CC BY 4.0",
    "CC BY 4.0",
    [Comparison("minirocket", Interval(0.7, 0.6, 0.8), "158 people, 5 seeds")],
)


def draft() -> Manifest:
    manifest = tiny_manifest(
        name="small",
        window_samples=16,
        hop_samples=4,
        wavelet=Wavelet(name="db1", level=4, n_coefficients=N_COEFFICIENTS),
        variants={},
    )
    return msgspec.structs.replace(manifest, training=msgspec.structs.replace(manifest.training, figures={}))


def abstain(probabilities: Any) -> Abstention:
    """A threshold that only the variant's own answers to the rolling windows give."""
    assert probabilities.shape == (len(ROLLING), 3)
    return Abstention(float(probabilities.max(axis=1).min()), 0.8, 0.1, is_met=True)


@pytest.fixture(scope="module")
def exported(trained: tuple[Any, Any, History], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    network, calibration, history = trained
    return export_bundle(
        tmp_path_factory.mktemp("bundles") / "small",
        draft(),
        network,
        calibration=calibration,
        rolling=ROLLING,
        abstain=abstain,
        test=TEST,
        history=history,
        provenance=PROVENANCE,
        comparisons=[Comparison("logistic regression", Interval(0.5, 0.4, 0.6), "on the true parameters")],
    )


def test_the_edge_runs_what_was_exported_with_the_figures_that_the_manifest_gives(exported: Bundle) -> None:
    for name, variant in exported.manifest.variants.items():
        classifier = Classifier(load_bundle(exported.folder, name))
        probabilities = np.array([classifier.predict(window) for window in TEST.coefficients])
        people, answers = decide_by_person(probabilities, TEST.person_ids)
        recalls = [np.mean(answers[np.arange(len(people)) % 3 == label] == label) for label in range(3)]
        assert variant.agreement.balanced_accuracy_by_person == pytest.approx(np.mean(recalls))
        assert variant.agreement.n_windows == len(TEST.label_index) >= 2000
    figures = exported.manifest.training.figures
    shipped = Classifier(load_bundle(exported.folder))
    least = min(float(shipped.predict(window).max()) for window in ROLLING)
    assert exported.manifest.decision.least_confidence == pytest.approx(least, abs=1e-6)
    int8 = exported.manifest.variants["int8"].agreement
    assert figures["test_balanced_accuracy_by_person"] == int8.balanced_accuracy_by_person > 0.8
    assert figures["test_people"] == 21
    assert figures["max_abs_cell_lstm_1"] > 0


def test_the_card_says_that_it_is_a_demonstration_and_gives_every_figure(exported: Bundle) -> None:
    card = (exported.folder / "MODEL_CARD.md").read_text()
    title = card.splitlines()[0]
    assert title == "# small: a demonstration, not valid for people"
    for words in (
        "Trained on: synthetic",
        "- Windows: all, also of standing and turning, which the edge may refuse to classify",
        "no medical device",
        "García-de-Villa",
        "CC BY 4.0",
        "| logistic regression | 0.500 | 0.400 to 0.600 | on the true parameters |",
        "| minirocket | 0.700 | 0.600 to 0.800 | 158 people, 5 seeds |",
        "80% of their rolling decisions are answered, 10% of these wrongly",
        "expected calibration error",
        "| int8 (default) |",
        "| dynamic |",
        "![confusion](confusion.png)",
        f"{exported.manifest.training.figures['test_balanced_accuracy_by_person']:.3f}",
    ):
        assert words in card
    assert card.index("balanced accuracy by person") < card.index("balanced accuracy by window")
    assert (exported.folder / "LICENCE.txt").read_text(encoding="utf-8").startswith("CC BY 4.0")
    for picture in ("confusion.png", "training.png"):
        assert (exported.folder / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("windows", "gravity", "mounting", "said"),
    [
        ("all", "included", "trust", "all, also of standing and turning"),
        ("judged", "included", "correct", "walking, of a sound signal; mounting corrected"),
        ("judged", "removed", "trust", "walking, of a sound signal; mounting trusted as configured"),
    ],
)
def test_manifest_and_card_say_whether_windows_were_judged_and_the_mounting_corrected(
    windows: Any, gravity: Any, mounting: str, said: str, exported: Bundle
) -> None:
    """Without gravity no mounting is found, whatever the configuration asks for."""
    config = TrainConfig(name="judged", signal=SignalConfig(windows=windows, mounting="correct"))
    dataset = replace(made_dataset(3), gravity=gravity)
    trained = Trained(None, spec_of(exported.manifest), History((), 0), 1.0)
    told = draft_manifest(config, trained, PersonSplit((), (), ()), dataset).training
    assert (told.windows, told.mounting) == (windows, mounting)
    training = msgspec.structs.replace(told, figures=exported.manifest.training.figures)
    manifest = msgspec.structs.replace(exported.manifest, training=training)
    figures = evaluate(np.eye(3, dtype=np.float32), np.arange(3), np.array(["a", "b", "c"]))
    assert said in write_card(manifest, figures, [], [1.0], [], PROVENANCE)


def test_a_model_trained_on_people_is_not_called_a_demonstration(exported: Bundle, tmp_path: Path) -> None:
    training = msgspec.structs.replace(exported.manifest.training, trained_on="GSTRIDE v1, 158 people")
    manifest = msgspec.structs.replace(exported.manifest, training=training)
    figures = evaluate(np.eye(3, dtype=np.float32), np.arange(3), np.array(["a", "b", "c"]))
    card = write_card(manifest, figures, [], [1.0], [], PROVENANCE)
    assert card.splitlines()[0] == "# small: research model, no medical device"
    assert "demonstration" not in card


def test_too_few_windows_leave_nothing_behind_and_a_variant_that_misses_its_bar_is_left_out_and_told(
    trained: tuple[Any, Any, History], tmp_path: Path
) -> None:
    network, calibration, history = trained

    def export(calibration: Any, test: LabelledWindows) -> Bundle:
        return export_bundle(
            tmp_path / "bundle",
            draft(),
            network,
            calibration=calibration,
            rolling=ROLLING,
            abstain=abstain,
            test=test,
            history=history,
            provenance=PROVENANCE,
        )

    few = LabelledWindows(TEST.coefficients[:300], TEST.label_index[:300], TEST.person_ids[:300])
    with pytest.raises(TrainingError, match="the people held out give 300 windows"):
        export(calibration, few)
    assert list(tmp_path.iterdir()) == []
    # Calibrated on windows a hundred times too small, int8 can't hold the signal.
    bundle = export(calibration / 100, TEST)
    assert list(bundle.manifest.variants) == [bundle.manifest.default_variant] == ["dynamic"]
    assert "**Left out:** variant int8 agrees" in (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert not (bundle.folder / "model.int8.tflite").exists()


def test_calibration_takes_people_evenly() -> None:
    even = easy_windows(12, 40, seed=1, prefix="a")
    uneven = LabelledWindows(
        np.concatenate([even.coefficients, np.repeat(even.coefficients[:1], 2000, axis=0)]),
        np.concatenate([even.label_index, np.zeros(2000, np.int64)]),
        np.concatenate([even.person_ids, np.repeat("z999", 2000)]),
    )
    chosen = calibration_windows(uneven, seed=0)
    assert chosen.shape == (300, N_COEFFICIENTS, 6)
    from_the_long_walk = int((chosen == even.coefficients[0]).all(axis=(1, 2)).sum())
    assert 22 <= from_the_long_walk <= 25
