"""The network is the paper's, layer for layer; that on Haar blocks sees the same samples; cells can be followed."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from edge.model import TfliteModel
from edge.stream.preprocess import coefficients
from tests.trainer.clips import cell_clips
from tests.trainer.in_memory import array_source
from tests.trainer.small import small_network
from trainer.batches import LabelledWindows
from trainer.convert import convert
from trainer.imbalance import loss_of
from trainer.network import HAAR_LEVEL, build_network, haar_blocks, max_abs_cells, predict
from trainer.tf import keras
from trainer.train_config import FitConfig, ImbalanceConfig, NetworkConfig
from trainer.training import fit

pytestmark = pytest.mark.train


def test_the_best_network_of_the_paper_has_its_layers_and_186545_parameters() -> None:
    network = build_network(NetworkConfig(), n_coefficients=203, n_channels=6, n_labels=3, seed=0)
    assert network.count_params() == 186_545
    assert [type(layer).__name__ for layer in network.layers] == [
        "BatchNormalization",
        "Reshape",
        "Conv2D",
        "BatchNormalization",
        "ReLU",
        "Reshape",
        "LSTM",
        "LSTM",
        "LSTM",
        "LSTM",
        "Dropout",
        "TimeDistributed",
        "Softmax",
        "Lambda",
    ]
    assert [layer.units for layer in network.layers[6:10]] == [29, 95, 94, 46]
    assert network.layers[2].kernel.shape.as_list() == [3, 1, 1, 54]
    assert network.input_shape == (None, 203, 6)
    assert network.output_shape == (None, 3)


def test_each_convolution_brings_its_normalisation() -> None:
    network = build_network(
        NetworkConfig(filters=(3, 5), lstm_units=(4,)), n_coefficients=16, n_channels=6, n_labels=2, seed=0
    )
    names = [type(layer).__name__ for layer in network.layers]
    assert names[2:8] == ["Conv2D", "BatchNormalization", "ReLU", "Conv2D", "BatchNormalization", "ReLU"]
    assert network.layers[8].output_shape == (None, 16, 5 * 6)


def test_the_last_step_counts_and_the_answers_are_probabilities() -> None:
    network = small_network(seed=1)
    some = np.random.default_rng(0).normal(size=(5, 16, 6)).astype(np.float32)
    probabilities = predict(network, some)
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    changed = some.copy()
    changed[:, -1] += 3
    assert np.abs(predict(network, changed) - probabilities).max() > 1e-3


def test_a_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (small_network(seed=seed).get_weights() for seed in (4, 4, 5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_largest_cell_is_what_keras_reaches() -> None:
    """Keras gives the last cell state only: run for 1, 2, … steps, that is the cell of each step."""
    network = small_network(seed=2, lstm_units=(8, 6))
    some = np.random.default_rng(1).normal(size=(20, 16, 6)).astype(np.float32)
    largest = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.LSTM):
            steps = keras.Model(network.inputs, layer.input).predict(some, verbose=0)
            with_state = keras.layers.LSTM(layer.units, return_state=True)
            with_state.build(steps.shape)
            with_state.set_weights(layer.get_weights())
            cells = [np.abs(with_state(steps[:, :n_steps])[2].numpy()).max() for n_steps in range(1, 17)]
            largest.append(max(cells))
    assert max_abs_cells(network, some) == pytest.approx(tuple(largest), rel=1e-5)


def test_a_haar_block_holds_what_the_transform_says_of_its_eight_samples_and_of_no_others() -> None:
    window = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    blocks = haar_blocks(coefficients(window, HAAR_LEVEL)[np.newaxis]).numpy()[0]
    assert blocks.shape == (4, 48)
    # db1 is orthonormal, so a block has its samples' energy, channel by channel.
    np.testing.assert_allclose(
        (blocks.reshape(4, 8, 6) ** 2).sum(axis=1), (window.reshape(4, 8, 6) ** 2).sum(axis=1), rtol=1e-5
    )
    changed = window.copy()
    changed[16:24] += 1
    others = haar_blocks(coefficients(changed, HAAR_LEVEL)[np.newaxis]).numpy()[0]
    np.testing.assert_array_equal(np.any(others != blocks, axis=1), [False, False, True, False])


@pytest.fixture(scope="module")
def trained_on_blocks() -> tuple[Any, LabelledWindows]:
    """A network that tells three rhythms apart, 64 samples a window: its steps must be in order for that."""
    rng = np.random.default_rng(3)
    label_index = np.arange(360) % 3
    phase = 2 * np.pi * (np.arange(64) / 64 * (2.0 + label_index[:, np.newaxis]) + rng.random((360, 1)))
    samples = np.sin(phase)[:, :, np.newaxis] * np.linspace(0.5, 1.5, 6) + 0.2 * rng.normal(size=(360, 64, 6))
    windows = np.stack([coefficients(window, HAAR_LEVEL) for window in samples.astype(np.float32)])
    people = np.array([f"p{index // 12:02d}" for index in range(360)])
    train = LabelledWindows(windows[:240], label_index[:240], people[:240])
    validation = LabelledWindows(windows[240:], label_index[240:], people[240:])
    config = NetworkConfig(filters=(4,), lstm_units=(12,), learning_rate=0.01, haar_blocks=True)
    network = build_network(
        config, n_coefficients=64, n_channels=6, n_labels=3, seed=0, loss=loss_of(ImbalanceConfig(loss="focal"))
    )
    fit(network, array_source(train, 3), validation, FitConfig(n_epochs=12, patience_epochs=12), seed=0)
    return network, validation


def test_a_network_on_haar_blocks_learns_in_an_eighth_of_the_steps(
    trained_on_blocks: tuple[Any, LabelledWindows],
) -> None:
    network, validation = trained_on_blocks
    (lstm,) = [layer for layer in network.layers if isinstance(layer, keras.layers.LSTM)]
    assert lstm.input_shape == (None, 8, 4 * 48)
    found = predict(network, validation.coefficients).argmax(axis=1)
    assert (found == validation.label_index).mean() > 0.9
    assert 0 < max_abs_cells(network, validation.coefficients)[0] < 20


def test_a_network_on_haar_blocks_converts_like_the_other_and_int8_agrees(
    trained_on_blocks: tuple[Any, LabelledWindows],
) -> None:
    """Without a fused LSTM `convert` refuses; an operator outside of TFLite's own would make no interpreter."""
    network, validation = trained_on_blocks
    truth = predict(network, validation.coefficients)
    models = convert(network, validation.coefficients, ("float32", "int8"))
    assert cell_clips(models["int8"]) == (0.0,)
    np.testing.assert_allclose(TfliteModel(models["float32"]).predict_all(validation.coefficients), truth, atol=1e-5)
    small = TfliteModel(models["int8"]).predict_all(validation.coefficients)
    assert (small.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.95


def test_coefficients_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="203 coefficients are no whole blocks"):
        build_network(NetworkConfig(haar_blocks=True), n_coefficients=203, n_channels=6, n_labels=3, seed=0)


def test_focal_loss_is_cross_entropy_that_counts_sure_windows_less() -> None:
    truth, found = np.eye(2, dtype=np.float32), np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    losses = keras.losses.get(loss_of(ImbalanceConfig(loss="focal", focal_gamma=2.0)))
    weights = np.array([1, 3], np.float32)
    by_hand = np.mean(weights * [(1 - 0.9) ** 2 * -np.log(0.9), (1 - 0.4) ** 2 * -np.log(0.4)])
    assert float(losses(truth, found, weights)) == pytest.approx(by_hand, rel=1e-5)
    plain = keras.losses.get(loss_of(ImbalanceConfig(loss="focal", focal_gamma=0.0)))
    assert float(plain(truth, found)) == pytest.approx(-np.mean(np.log([0.9, 0.4])), rel=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"filters": ()}, {"lstm_units": (0,)}, {"learning_rate": 0.0}, {"regularisation": -1.0}]
)
def test_parameters_that_build_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkConfig(**wrong)  # type: ignore[arg-type]
