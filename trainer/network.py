"""The paper's DeepConvLSTM, layer by layer as McFly builds it.

Enters: the parameters that McFly's search chooses, and the shape of a window. Leaves: a compiled Keras model
that maps ``(n_windows, n_coefficients, n_channels)`` to ``(n_windows, n_labels)`` probabilities. No data, no
training here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.tf import keras

Probabilities = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NetworkParameters:
    """What McFly's search draws; the defaults are the best network of the paper.

    ``input_noise``, which is not McFly's, is the deviation of white noise on the scaled coefficients while training;
    db1 is orthonormal, so it is the same noise on the scaled samples. Nothing of it is left in a converted model.
    """

    filters: tuple[int, ...] = (54,)
    lstm_units: tuple[int, ...] = (29, 95, 94, 46)
    learning_rate: float = 0.0268
    regularisation: float = 0.0004
    input_noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.filters or not self.lstm_units or min(*self.filters, *self.lstm_units) < 1:
            raise ValueError("filters and lstm_units must each have one layer or more, with one unit or more")
        if not self.learning_rate > 0 or not self.regularisation >= 0:
            raise ValueError("learning_rate must be above 0, regularisation 0 or more")
        if not self.input_noise >= 0:
            raise ValueError("input_noise must be 0 or more")


def build_network(
    parameters: NetworkParameters, *, n_coefficients: int, n_channels: int, n_labels: int, seed: int
) -> Any:
    """A compiled Keras model with weights drawn from ``seed``.

    The convolutions run along time on each channel by itself; the LSTMs see all filters of all channels. A
    class is given for each step, and the last one counts. Adam, categorical cross-entropy.
    """
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    l2 = keras.regularizers.l2(parameters.regularisation)
    stack = [
        layers.Input((n_coefficients, n_channels)),
        *([layers.GaussianNoise(parameters.input_noise)] if parameters.input_noise else []),
        layers.BatchNormalization(),
        layers.Reshape((n_coefficients, n_channels, 1)),
    ]
    for n_filters in parameters.filters:
        stack += [
            layers.Conv2D(n_filters, (3, 1), padding="same", kernel_regularizer=l2, kernel_initializer="lecun_uniform"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    stack.append(layers.Reshape((n_coefficients, parameters.filters[-1] * n_channels)))
    stack += [layers.LSTM(units, return_sequences=True, activation="tanh") for units in parameters.lstm_units]
    stack += [
        layers.Dropout(0.5),
        layers.TimeDistributed(layers.Dense(n_labels, kernel_regularizer=l2)),
        layers.Softmax(),
        layers.Lambda(lambda steps: steps[:, -1, :]),
    ]
    network = keras.Sequential(stack)
    network.compile(
        optimizer=keras.optimizers.Adam(parameters.learning_rate),
        loss="categorical_crossentropy",
        weighted_metrics=["accuracy"],
    )
    return network


def predict(network: Any, coefficients: NDArray[np.float32], *, batch_size: int = 256) -> Probabilities:
    """Float probabilities ``(n_windows, n_labels)`` for ``(n_windows, n_coefficients, n_channels)``."""
    probabilities: Probabilities = network.predict(coefficients, batch_size=batch_size, verbose=0)
    return probabilities


def max_abs_cells(network: Any, coefficients: NDArray[np.float32]) -> tuple[float, ...]:
    """The largest |c| that the cells of each LSTM layer reach over these windows, in float64.

    TFLite's fused LSTM clips cells at 10 unless told otherwise (`trainer.convert`), so an export states how
    far this network goes. Keras gives away the last cell state only, hence the recurrence by hand: gates in
    Keras' order.
    """
    lstm_layers = [layer for layer in network.layers if isinstance(layer, keras.layers.LSTM)]
    inputs_of = keras.Model(network.inputs, [layer.input for layer in lstm_layers])
    largest = [0.0] * len(lstm_layers)
    # In parts: what goes into the first layer is 54 times as large as the windows themselves.
    for start in range(0, len(coefficients), 256):
        inputs = inputs_of.predict(coefficients[start : start + 256], verbose=0)
        if len(lstm_layers) == 1:
            inputs = [inputs]  # Keras gives a lone output without its list
        for index, (layer, steps) in enumerate(zip(lstm_layers, inputs, strict=True)):
            largest[index] = max(largest[index], _largest_cell(layer, steps))
    return tuple(largest)


def _largest_cell(layer: Any, steps: NDArray[np.float32]) -> float:
    kernel, recurrent, bias = (weights.astype(np.float64) for weights in layer.get_weights())
    hidden = np.zeros((len(steps), layer.units))
    cell = np.zeros_like(hidden)
    peak = 0.0
    for step in range(steps.shape[1]):
        gates = steps[:, step] @ kernel + hidden @ recurrent + bias
        entry, forget, candidate, output = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(candidate)
        hidden = _sigmoid(output) * np.tanh(cell)
        peak = max(peak, float(np.abs(cell).max()))
    return peak


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # By tanh: exp of a large negative value would overflow.
    half: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * values))
    return half
