"""The network is the paper's, layer for layer, and its cells can be followed."""

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from tests.trainer.small import small_network
from trainer.network import NetworkParameters, build_network, max_abs_cells, predict
from trainer.tf import keras

pytestmark = pytest.mark.train


def test_the_best_network_of_the_paper_has_its_layers_and_186545_parameters() -> None:
    network = build_network(NetworkParameters(), n_coefficients=203, n_channels=6, n_labels=3, seed=0)
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
        NetworkParameters(filters=(3, 5), lstm_units=(4,)), n_coefficients=16, n_channels=6, n_labels=2, seed=0
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


@pytest.mark.parametrize(
    "wrong", [{"filters": ()}, {"lstm_units": (0,)}, {"learning_rate": 0.0}, {"regularisation": -1.0}]
)
def test_parameters_that_build_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        NetworkParameters(**wrong)  # type: ignore[arg-type]
