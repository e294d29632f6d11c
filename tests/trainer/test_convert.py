"""A converted network gives what Keras gives; the traps that would change its answers in silence are each shown."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.errors import TrainingError
from edge.model import TfliteModel
from tests.full_disk import files_of_at_most
from tests.trainer.clips import cell_clips
from tests.trainer.small import N_COEFFICIENTS, easy_windows, small_network
from trainer.convert import convert, remove_cell_clips
from trainer.network import build_network, max_abs_cells, predict
from trainer.tf import keras
from trainer.train_config import NetworkConfig
from trainer.variants import answers

pytestmark = pytest.mark.train

N_STEPS = 60


@pytest.fixture(scope="module")
def counter() -> Any:
    """A network whose LSTM adds its input up for as long as a window lasts: its cells pass 10 by far, and come back."""
    network = build_network(
        NetworkConfig(filters=(2,), lstm_units=(6,)), n_coefficients=N_STEPS, n_channels=6, n_labels=3, seed=0
    )
    generator = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.LSTM):
            # Gates in Keras' order: let in, keep and show nearly everything; the candidate follows the channels.
            units = layer.units
            bias = np.repeat([2.0, 6.0, 0.0, 2.0], units)
            kernel, recurrent, _ = (0.1 * generator.normal(size=w.shape) for w in layer.get_weights())
            kernel[:, 2 * units : 3 * units] *= 10
            layer.set_weights([kernel, recurrent, bias])
        if isinstance(layer, keras.layers.TimeDistributed):
            kernel, bias = layer.get_weights()
            layer.set_weights([generator.normal(size=kernel.shape), bias])
    return network


@pytest.fixture(scope="module")
def there_and_back() -> NDArray[np.float32]:
    """Windows that lean to one side for most of their length and then to the other."""
    generator = np.random.default_rng(1)
    lean = generator.normal(size=(300, 1, 6)) * np.where(np.arange(N_STEPS) < 40, 1.0, -1.0)[:, np.newaxis]
    windows: NDArray[np.float32] = (1.5 * lean + 0.2 * generator.normal(size=lean.shape)).astype(np.float32)
    return windows


def agreement(model: bytes, windows: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    got = TfliteModel(model).predict_all(windows)
    return int(np.count_nonzero(got.argmax(axis=1) == truth.argmax(axis=1))) / len(truth)


def test_the_hidden_cell_clip_is_taken_out_and_would_change_answers(
    counter: Any, there_and_back: NDArray[np.float32]
) -> None:
    truth = predict(counter, there_and_back)
    assert max_abs_cells(counter, there_and_back)[0] > 20
    models = convert(counter, there_and_back, ("float32",))
    clipped = convert(counter, there_and_back, ("float32",), keep_cell_clip=True)
    assert cell_clips(models["float32"]) == (0.0,)
    assert cell_clips(clipped["float32"]) == (10.0,)
    np.testing.assert_allclose(TfliteModel(models["float32"]).predict_all(there_and_back), truth, atol=1e-5)
    assert agreement(clipped["float32"], there_and_back, truth) < 0.9


def test_int8_is_calibrated_without_the_clip_and_from_a_cleared_state(
    counter: Any, there_and_back: NDArray[np.float32]
) -> None:
    """Taken out after calibration, or with cells that run on from window to window, the ranges would be others."""
    truth = predict(counter, there_and_back)
    model = convert(counter, there_and_back, ("int8",))["int8"]
    clipped = convert(counter, there_and_back, ("int8",), keep_cell_clip=True)["int8"]
    assert cell_clips(model) == (0.0,)
    good = agreement(model, there_and_back, truth)
    assert good > 0.95
    assert agreement(remove_cell_clips(clipped), there_and_back, truth) < good - 0.05
    # The ranges come from windows, each by itself: seeing them all twice must not change them.
    again = convert(counter, np.concatenate([there_and_back, there_and_back]), ("int8",))["int8"]
    np.testing.assert_array_equal(
        TfliteModel(again).predict_all(there_and_back), TfliteModel(model).predict_all(there_and_back)
    )


def test_variants_of_a_small_network_agree_with_it_and_have_the_types_they_say() -> None:
    network = small_network(seed=3, lstm_units=(8, 6))
    test = easy_windows(6, 30, seed=1, prefix="t").coefficients
    truth = predict(network, test)
    for name, model in convert(network, test[:100], ("float32", "dynamic", "int8")).items():
        interpreter = TfliteModel(model)
        assert interpreter.input_shape == (1, N_COEFFICIENTS, 6)
        assert interpreter.input.dtype == interpreter.output.dtype == ("int8" if name == "int8" else "float32")
        difference = np.abs(interpreter.predict_all(test) - truth).max()
        assert difference < (0.05 if name == "int8" else 1e-5)


def test_workers_give_what_this_process_gives_in_order() -> None:
    network = small_network(seed=3)
    test = easy_windows(3, 7, seed=1, prefix="t").coefficients
    model = convert(network, test, ("dynamic",))["dynamic"]
    by_workers = answers(model, test, runtime="ai_edge_litert", n_processes=2)
    np.testing.assert_array_equal(by_workers.probabilities, TfliteModel(model, "ai_edge_litert").predict_all(test))


def test_int8_without_calibration_windows_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="calibration"):
        convert(small_network(seed=0), np.empty((0, N_COEFFICIENTS, 6), np.float32), ("int8",))


def test_a_full_disk_or_no_temporary_folder_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, windows = small_network(seed=0), np.zeros((1, N_COEFFICIENTS, 6), np.float32)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        files_of_at_most(100),  # the weights have more
        pytest.raises(TrainingError, match=r"^the folder for the conversion cannot be written: \S+; File too large;"),
    ):
        convert(network, windows, ("float32",))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(TrainingError, match="No such file or directory"):
        convert(network, windows, ("float32",))


def test_a_model_without_fused_lstm_is_not_let_through() -> None:
    from trainer.tf import tf

    function = tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec((1, 3), tf.float32))
    model = tf.lite.TFLiteConverter.from_concrete_functions([function], None).convert()
    with pytest.raises(ValueError, match="did not fuse"):
        remove_cell_clips(model)
