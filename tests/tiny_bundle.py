"""A bundle with a very small network (one LSTM of 32 units, untrained) for tests that need no sensible answers.

The two models in ``tests/data`` were made by ``python -m tests.tiny_bundle``, which
needs TensorFlow; using them doesn't.
Window, rate, labels and channels are those of the default bundle.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import (
    SCHEMA_VERSION,
    Agreement,
    Bundle,
    Decision,
    Manifest,
    OutlierLimits,
    Quantisation,
    Scaler,
    Training,
    Variant,
    Wavelet,
    write_bundle,
)
from firmware_bridge.channels import CHANNEL_UNITS, CHANNELS

LABELS = ("robust", "pre-frail", "frail")
N_COEFFICIENTS = 203
_DATA = Path(__file__).parent / "data"
INT8_INPUT = Quantisation(dtype="int8", scale=0.043934959918260574, zero_point=-1)
INT8_OUTPUT = Quantisation(dtype="int8", scale=0.00390625, zero_point=-128)
_FLOAT = Quantisation(dtype="float32", scale=0.0, zero_point=0)
_PEOPLE = {"robust": 0, "pre-frail": 0, "frail": 0}
_AGREEMENT = Agreement(
    n_windows=1,
    raw=1.0,
    raw_interval_95=(0.2, 1.0),
    with_margin=1.0,
    n_windows_with_margin=1,
    max_abs_probability_difference=0.0,
    mean_abs_probability_difference=0.0,
    balanced_accuracy_by_person=0.3,
    balanced_accuracy_by_person_float=0.3,
)


def tiny_models() -> dict[str, bytes]:
    """The bytes of each variant."""
    return {name: (_DATA / f"tiny.{name}.tflite").read_bytes() for name in ("int8", "dynamic")}


def windows(n_windows: int, seed: int) -> NDArray[np.float32]:
    """Scaled coefficients ``(n_windows, 203, 6)`` that differ enough to get different answers."""
    generator = np.random.default_rng(seed)
    level = 0.6 * generator.normal(size=(n_windows, 1, len(CHANNELS)))
    return (level + generator.normal(size=(n_windows, N_COEFFICIENTS, len(CHANNELS)))).astype(np.float32)


def tiny_manifest(**changes: Any) -> Manifest:
    """The manifest of `tiny_models`, with fields changed at will."""
    quantisation = {"int8": (INT8_INPUT, INT8_OUTPUT), "dynamic": (_FLOAT, _FLOAT)}
    variants = {
        name: Variant(
            file=f"model.{name}.tflite",
            sha256=hashlib.sha256(model).hexdigest(),
            n_bytes=len(model),
            input=quantisation[name][0],
            output=quantisation[name][1],
            agreement=_AGREEMENT,
        )
        for name, model in tiny_models().items()
    }
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": "tiny",
        "created": "2026-11-22T12:00:00+00:00",
        "labels": LABELS,
        "sample_rate_hz": 104.0,
        "window_samples": 200,
        "hop_samples": 50,
        "channels": CHANNELS,
        "units": CHANNEL_UNITS,
        "frame": "foot",
        "gravity": "included",
        "max_bridged_gap_ms": 40.0,
        "max_bridged_share": 0.1,
        "outlier_limits": OutlierLimits(
            lower=(-80.0, -80.0, -80.0, -20.0, -20.0, -20.0), upper=(80.0, 80.0, 80.0, 20.0, 20.0, 20.0)
        ),
        "scaler": Scaler(mean=(0.5, 0.0, 9.0, 0.0, 0.0, 0.0), deviation=(6.0, 4.0, 5.0, 1.0, 2.5, 1.0)),
        "wavelet": Wavelet(name="db1", level=7, n_coefficients=N_COEFFICIENTS),
        "temperature": 1.0,
        "decision": Decision(half_life_windows=8.0, min_windows=4, switch_margin=0.1, least_confidence=0.0),
        "variants": variants,
        "default_variant": "int8",
        "training": Training(
            trained_on="synthetic: nothing, the weights are random",
            dataset="none",
            split="none",
            seed=0,
            code_version="test",
            n_people=_PEOPLE,
            figures={},
        ),
        "intended_use": "tests",
    }
    return Manifest(**(fields | changes))


def write_tiny_bundle(folder: Path, **changes: Any) -> Bundle:
    """Write the tiny bundle to ``folder``, with fields of its manifest changed at will."""
    return write_bundle(folder, tiny_manifest(**changes), tiny_models(), "# tiny\n")


def _make() -> None:
    from trainer.convert import convert
    from trainer.network import build_network, max_abs_cells
    from trainer.train_config import NetworkConfig
    from trainer.variants import answers

    config = NetworkConfig(filters=(6,), lstm_units=(32,))
    network = build_network(
        config, n_coefficients=N_COEFFICIENTS, n_channels=len(CHANNELS), n_labels=len(LABELS), seed=3
    )
    for layer in network.layers:
        if layer.name.startswith("lstm"):
            kernel, recurrent, bias = layer.get_weights()
            # Gates that let in little and forget little: a state that is not cleared shows in the next window.
            bias[: layer.units], bias[layer.units : 2 * layer.units] = -4.0, 6.0
            layer.set_weights([kernel, recurrent, bias])
        if layer.name.startswith("time_distributed"):
            layer.set_weights([6 * weights for weights in layer.get_weights()])
    calibration = windows(300, seed=1)
    print(max_abs_cells(network, calibration))
    for name, model in convert(network, calibration).items():
        (_DATA / f"tiny.{name}.tflite").write_bytes(model)
        answered = answers(model, calibration)
        print(name, len(model), answered.input, answered.output, np.bincount(answered.probabilities.argmax(1)))


if __name__ == "__main__":
    _make()
