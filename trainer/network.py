"""The paper's DeepConvLSTM, layer by layer as McFly builds it, and the same one on Haar blocks.

Enters: the configuration of a network, and the shape of a window. Leaves: a compiled Keras model that maps
``(n_windows, n_coefficients, n_channels)`` to ``(n_windows, n_labels)`` probabilities. No data, no training here.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.imbalance import CROSS_ENTROPY, Loss
from trainer.tf import keras, tf
from trainer.train_config import NetworkConfig

Probabilities = NDArray[np.float32]

HAAR_LEVEL: Final = 3
SAMPLES_A_BLOCK: Final = 2**HAAR_LEVEL


def build_network(
    config: NetworkConfig,
    *,
    n_coefficients: int,
    n_channels: int,
    n_labels: int,
    seed: int,
    loss: Loss = CROSS_ENTROPY,
) -> Any:
    """A compiled Keras model with weights drawn from ``seed``.

    The convolutions run along time on each channel by itself; the LSTMs see all filters of all channels. A
    class is given for each step, and the last one counts. Adam, categorical cross-entropy unless told otherwise.

    With ``haar_blocks`` a step is 8 samples, and a channel of it each of their 8 coefficients: 8 times fewer steps
    than the paper's, which hold one coefficient each. The coefficients must be of level 3 (`HAAR_LEVEL`);
    `ValueError` where their number is not one that this level gives whole blocks of.

    ``input_noise``, which is not McFly's, is the deviation of white noise on the scaled coefficients while training;
    db1 is orthonormal, so it is the same noise on the scaled samples. Nothing of it is left in a converted model.
    """
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    l2 = keras.regularizers.l2(config.regularisation)
    n_steps, n_features = n_coefficients, n_channels
    stack = [layers.Input((n_coefficients, n_channels))]
    if config.input_noise:
        stack.append(layers.GaussianNoise(config.input_noise, rng_type="stateful"))
    # One mean and deviation a channel, as McFly has it: single coefficients keep their share of the signal's energy.
    stack.append(layers.BatchNormalization())
    if config.haar_blocks:
        if n_coefficients % SAMPLES_A_BLOCK:
            raise ValueError(
                f"haar_blocks needs level {HAAR_LEVEL} and a window of a multiple of {SAMPLES_A_BLOCK} samples: "
                f"{n_coefficients} coefficients are no whole blocks"
            )
        n_steps, n_features = n_coefficients // SAMPLES_A_BLOCK, n_channels * SAMPLES_A_BLOCK
        stack.append(layers.Lambda(haar_blocks, name="haar_blocks"))
    stack.append(layers.Reshape((n_steps, n_features, 1)))
    for n_filters in config.filters:
        stack += [
            layers.Conv2D(n_filters, (3, 1), padding="same", kernel_regularizer=l2, kernel_initializer="lecun_uniform"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    stack.append(layers.Reshape((n_steps, config.filters[-1] * n_features)))
    stack += [layers.LSTM(units, return_sequences=True, activation="tanh") for units in config.lstm_units]
    stack += [
        layers.Dropout(0.5, rng_type="stateful"),
        layers.TimeDistributed(layers.Dense(n_labels, kernel_regularizer=l2)),
        layers.Softmax(),
        layers.Lambda(lambda steps: steps[:, -1, :]),
    ]
    network = keras.Sequential(stack)
    network.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.get(loss),
        weighted_metrics=["accuracy"],
    )
    return network


def haar_blocks(coefficients: Any) -> Any:
    """Level-3 coefficients ``(n, 8 t, c)`` by block of 8 samples, ``(n, t, 8 c)``: cA3, cD3, two of cD2, four of cD1.

    db1 looks at pairs of samples, of pairs, and of those: what it says of 8 samples in a row are these 8 numbers alone.
    """
    n_blocks, n_channels = coefficients.shape[1] // SAMPLES_A_BLOCK, coefficients.shape[2]
    counts = (1, 1, 2, 4)
    parts = tf.split(coefficients, [n_blocks * count for count in counts], axis=1)
    return tf.concat(
        [tf.reshape(part, (-1, n_blocks, count * n_channels)) for part, count in zip(parts, counts, strict=True)],
        axis=2,
    )


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
