"""The adapter gives each window the answer that is its own, on either runtime, or says what doesn't fit."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.bundle import Bundle, Quantisation, Wavelet, load_bundle
from edge.errors import BundleError
from edge.model import RUNTIMES, Classifier, TfliteModel, installed_runtimes
from tests.tiny_bundle import N_COEFFICIENTS, tiny_models, windows, write_tiny_bundle

VARIANTS = ("int8", "dynamic")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("variant", VARIANTS)
def test_probabilities_are_one_a_label_and_add_up_to_one(bundle: Bundle, variant: str) -> None:
    classifier = Classifier(load_bundle(bundle.folder, variant))
    probabilities = classifier.predict(windows(1, seed=5)[0])
    assert probabilities.shape == (3,)
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert (classifier.variant_name, classifier.runtime_name) == (variant, installed_runtimes()[0])
    assert classifier.labels == bundle.manifest.labels


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_window_gets_the_same_answer_whatever_came_before_it(variant: str) -> None:
    model = TfliteModel(tiny_models()[variant])
    some = windows(60, seed=7)
    order = np.random.default_rng(1).permutation(len(some))
    np.testing.assert_array_equal(model.predict_all(some[order]), model.predict_all(some)[order])


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_clearing_the_state_the_order_would_matter(variant: str) -> None:
    """The test above can fail: the runtime keeps the LSTM's state, and this model shows it."""
    model = TfliteModel(tiny_models()[variant])
    model._interpreter.reset_all_variables = lambda: None
    some = windows(60, seed=7)
    forwards, backwards = model.predict_all(some), model.predict_all(some[::-1])[::-1]
    assert np.abs(forwards - backwards).max() > 0.01


def test_what_int8_cannot_hold_saturates_and_does_not_wrap() -> None:
    model = TfliteModel(tiny_models()["int8"])
    highest = (127 - model.input.zero_point) * model.input.scale
    lowest = (-128 - model.input.zero_point) * model.input.scale
    wild = (1e4 * windows(1, seed=2)[0]).astype(np.float32)
    np.testing.assert_array_equal(model.predict(wild), model.predict(np.clip(wild, lowest, highest).astype(np.float32)))


def test_the_temperature_flattens_and_keeps_the_order(tmp_path: Path) -> None:
    window = windows(1, seed=3)[0]
    plain = Classifier(write_tiny_bundle(tmp_path / "plain")).predict(window)
    warm = Classifier(write_tiny_bundle(tmp_path / "warm", temperature=2.0)).predict(window)
    np.testing.assert_allclose(warm, np.sqrt(plain) / np.sqrt(plain).sum(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(N_COEFFICIENTS - 1, 6), (N_COEFFICIENTS, 5), (1, N_COEFFICIENTS, 6)])
def test_another_shape_is_an_error_of_the_caller(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        Classifier(bundle).predict(np.zeros(shape, np.float32))


def test_a_window_with_nan_is_never_classified(bundle: Bundle) -> None:
    window = windows(1, seed=0)[0]
    window[17, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        Classifier(bundle).predict(window)


def test_a_bundle_of_another_window_length_is_refused(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(
        tmp_path / "bundle", window_samples=100, wavelet=Wavelet(name="db1", level=6, n_coefficients=103)
    )
    with pytest.raises(
        BundleError, match=r"windows of shape \(203, 6\), but the manifest's 100 samples give \(103, 6\)"
    ):
        Classifier(bundle)


def test_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    labels = ("robust", "frail")
    training = write_tiny_bundle(tmp_path / "three").manifest.training
    two = msgspec.structs.replace(training, n_people=dict.fromkeys(labels, 0))
    with pytest.raises(BundleError, match="3 outputs, the manifest 2 labels"):
        Classifier(write_tiny_bundle(tmp_path / "two", labels=labels, training=two))


def test_another_quantisation_than_the_models_own_is_refused(bundle: Bundle) -> None:
    variant = msgspec.structs.replace(bundle.variant, input=Quantisation(dtype="int8", scale=0.1, zero_point=3))
    manifest = msgspec.structs.replace(bundle.manifest, variants={"int8": variant})
    with pytest.raises(BundleError, match=r"its input is int8 \(scale 0\.04.*the manifest says int8 \(scale 0\.1"):
        Classifier(Bundle(bundle.folder, manifest, "int8", bundle.model))


def test_bytes_that_are_no_model_are_refused_in_one_line() -> None:
    with pytest.raises(BundleError, match="refuses the model") as caught:
        TfliteModel(b"TFL3 or not")
    assert "\n" not in str(caught.value)


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RUNTIMES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BundleError, match="no TFLite runtime is installed: pip install ai-edge-litert"):
        TfliteModel(tiny_models()["int8"])
    with pytest.raises(BundleError, match="tflite_runtime is not installed: pip install tflite-runtime"):
        TfliteModel(tiny_models()["int8"], "tflite_runtime")


def test_tflite_runtime_with_numpy_2_is_refused_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    if "tflite_runtime" not in installed_runtimes():
        pytest.skip("tflite-runtime is not installed")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(BundleError, match=r"needs numpy 1, found 2\.1\.0"):
        TfliteModel(tiny_models()["int8"], "tflite_runtime")


_PREDICT = """
import sys
import numpy as np
from edge.model import TfliteModel
from tests.tiny_bundle import tiny_models, windows
model = TfliteModel(tiny_models()[sys.argv[1]], sys.argv[2])
assert model.runtime_name == sys.argv[2]
np.save(sys.argv[3], model.predict_all(windows(200, seed=11)))
"""


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_two_runtimes_agree_within_two_percent(tmp_path: Path, variant: str) -> None:
    """Each in a process of its own: they can't both be loaded into one."""
    if set(installed_runtimes()) != set(RUNTIMES):
        pytest.skip(f"only {', '.join(installed_runtimes())} is installed here")
    answers = []
    for name in RUNTIMES:
        file = tmp_path / f"{name}.npy"
        done = subprocess.run(
            [sys.executable, "-c", _PREDICT, variant, name, str(file)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "the runtime talks on standard error"
        answers.append(np.load(file))
    difference = np.abs(answers[0] - answers[1])
    assert difference.max() <= 0.02
    assert np.ptp(answers[0], axis=0).min() > 0.3, "answers that differ little could not show a difference"
