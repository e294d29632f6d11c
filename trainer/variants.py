"""What a TFLite variant answers, computed by the runtime of the edge in processes of their own.

Enters: the bytes of a model and scaled windows. Leaves: their probabilities, as `edge.model` gives them,
before any temperature. TensorFlow is never imported here: tflite-runtime can't make an interpreter in a
process that holds it, so each worker is a fresh interpreter that knows `edge` alone.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Quantisation
from edge.model import Probabilities, RuntimeName, TfliteModel


@dataclass(frozen=True, slots=True)
class Answers:
    """``probabilities`` has shape ``(n_windows, n_labels)``; the tensors' numbers as the model itself states them."""

    runtime_name: RuntimeName
    probabilities: Probabilities
    input: Quantisation
    output: Quantisation


def answers(
    model: bytes,
    coefficients: NDArray[np.float32],
    *,
    runtime: RuntimeName | None = None,
    n_processes: int = 2,
) -> Answers:
    """Run each window ``(n_windows, n_coefficients, n_channels)`` on the runtime that an edge on this machine takes.

    `BundleError` where there is no runtime, or it can't use the model.
    """
    parts = [part for part in np.array_split(coefficients, n_processes) if len(part)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(parts), mp_context=context) as pool:
        done = list(pool.map(_answers, [model] * len(parts), parts, [runtime] * len(parts)))
    probabilities = np.concatenate([part.probabilities for part in done])
    return Answers(done[0].runtime_name, probabilities, done[0].input, done[0].output)


def _answers(model: bytes, coefficients: NDArray[np.float32], runtime: RuntimeName | None) -> Answers:
    interpreter = TfliteModel(model, runtime)
    return Answers(
        interpreter.runtime_name, interpreter.predict_all(coefficients), interpreter.input, interpreter.output
    )
