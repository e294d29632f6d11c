"""The TFLite runtime, kept behind one file: coefficients of a window go in, class probabilities come out.

Enters: a checked `edge.bundle.Bundle` and ``(n_coefficients, 6)`` scaled db1 coefficients. Leaves:
``(n_labels,)`` probabilities. Nothing else imports a TFLite runtime, and no bytes get here whose hash was not
checked. One window never knows of another: the fused LSTM keeps its state from one `invoke()` to the next, so
it is cleared each time.
"""

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Quantisation
from edge.errors import BundleError
from firmware_bridge.channels import N_CHANNELS

RuntimeName = Literal["ai_edge_litert", "tflite_runtime"]
# tflite-runtime is the dependency on Python 3.11; LiteRT, its successor, is taken wherever it is installed.
RUNTIMES: Final[tuple[RuntimeName, ...]] = ("ai_edge_litert", "tflite_runtime")
_PACKAGES: Final = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}

Probabilities = NDArray[np.float32]


def installed_runtimes() -> tuple[RuntimeName, ...]:
    """The runtimes that can be imported here, the preferred one first."""
    return tuple(name for name in RUNTIMES if importlib.util.find_spec(name) is not None)


class TfliteModel:
    """One interpreter on one thread, its input and output as real numbers; knows no manifest.

    ``runtime_name`` is the package that runs the model, ``input_shape`` is ``(1, n_coefficients, 6)``,
    ``n_outputs`` says how many probabilities come out; ``input`` and ``output`` how the tensors' numbers
    stand for real ones.
    """

    def __init__(self, model: bytes, runtime: RuntimeName | None = None) -> None:
        """Make the interpreter for the bytes of a ``.tflite`` file whose hash was checked.

        ``runtime`` None takes the first of `RUNTIMES` that is installed. `BundleError` where there is none,
        or it can't use the model.
        """
        self.runtime_name, interpreter_module = _import_interpreter(runtime)
        try:
            self._interpreter = interpreter_module.Interpreter(
                model_content=model,
                num_threads=1,
                # The default delegate can't take an LSTM: it speeds up nothing here, and talks on standard error.
                experimental_op_resolver_type=interpreter_module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{self.runtime_name} refuses the model: {' '.join(str(error).split())}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(f"the model has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
        self.input_shape = _shape(inputs[0]["shape"])
        output_shape = _shape(outputs[0]["shape"])
        if len(self.input_shape) != 3 or self.input_shape[0] != 1 or len(output_shape) != 2 or output_shape[0] != 1:
            raise BundleError(
                f"the model maps {self.input_shape} to {output_shape}: not one window to its probabilities"
            )
        self.n_outputs = output_shape[1]
        self.input, self.output = _quantisation(inputs[0]), _quantisation(outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self._scaled = np.empty(self.input_shape, np.float32)
        self._numbers = np.empty(self.input_shape, np.int8 if self.input.dtype == "int8" else np.float32)

    def predict(self, coefficients: NDArray[np.float32]) -> Probabilities:
        """Probabilities ``(n_outputs,)`` of one window ``(n_coefficients, 6)``; they add up to 1.

        `ValueError` for another shape, or values that are not finite.
        """
        if coefficients.shape != self.input_shape[1:]:
            raise ValueError(f"coefficients must have shape {self.input_shape[1:]}, got {coefficients.shape}")
        if not np.isfinite(coefficients).all():
            raise ValueError("coefficients must be finite")
        if self.input.dtype == "int8":
            np.divide(coefficients, self.input.scale, out=self._scaled[0])
            np.rint(self._scaled, out=self._scaled)
            np.add(self._scaled, self.input.zero_point, out=self._scaled)
            np.clip(self._scaled, -128, 127, out=self._scaled)
            np.copyto(self._numbers, self._scaled, casting="unsafe")
        else:
            np.copyto(self._numbers[0], coefficients)
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self._input_index, self._numbers)
        self._interpreter.invoke()
        probabilities: Probabilities = self._interpreter.get_tensor(self._output_index)[0].astype(np.float32)
        if self.output.dtype == "int8":
            probabilities -= self.output.zero_point
            probabilities *= self.output.scale
        total = probabilities.sum()
        if not (np.isfinite(total) and total > 0):
            raise BundleError(f"the model gave {probabilities.tolist()}: no probabilities")
        probabilities /= total
        return probabilities

    def predict_all(self, windows: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """`predict` for each of ``(n_windows, n_coefficients, 6)``: ``(n_windows, n_outputs)``."""
        rows = [self.predict(window) for window in windows]
        return np.array(rows, np.float32).reshape(len(rows), self.n_outputs)

    def invoke(self) -> None:
        """The runtime's bare call on whatever the input holds: what a benchmark compares the rest with."""
        self._interpreter.invoke()


class Classifier:
    """A bundle's model, checked against the bundle's manifest, with the manifest's temperature applied."""

    def __init__(self, bundle: Bundle, runtime: RuntimeName | None = None) -> None:
        """Make the interpreter; raises `BundleError` where model and manifest contradict each other."""
        manifest, variant = bundle.manifest, bundle.variant
        path = bundle.folder / variant.file
        try:
            self._model = TfliteModel(bundle.model, runtime)
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        expected = (1, manifest.wavelet.n_coefficients, N_CHANNELS)
        if self._model.input_shape != expected:
            raise BundleError(
                f"{path} takes windows of shape {self._model.input_shape[1:]}, but the manifest's "
                f"{manifest.window_samples} samples give {expected[1:]}: the model is of another window length"
            )
        if self._model.n_outputs != len(manifest.labels):
            raise BundleError(f"{path} has {self._model.n_outputs} outputs, the manifest {len(manifest.labels)} labels")
        for name, own, stated in (
            ("input", self._model.input, variant.input),
            ("output", self._model.output, variant.output),
        ):
            if not _same(own, stated):
                raise BundleError(f"{path}: its {name} is {_words(own)}, the manifest says {_words(stated)}")
        self.labels = manifest.labels
        self.variant_name = bundle.variant_name
        self.runtime_name = self._model.runtime_name
        self._inverse_temperature = 1.0 / manifest.temperature

    def predict(self, coefficients: NDArray[np.float32]) -> Probabilities:
        """Calibrated probabilities ``(n_labels,)`` of one window ``(n_coefficients, 6)``; they add up to 1.

        `ValueError` for another shape, or values that are not finite.
        """
        probabilities = self._model.predict(coefficients)
        if self._inverse_temperature != 1.0:
            np.power(probabilities, self._inverse_temperature, out=probabilities)
            probabilities /= probabilities.sum()
        return probabilities

    def invoke(self) -> None:
        """The runtime's bare call on whatever the input holds: what a benchmark compares the rest with."""
        self._model.invoke()


def _import_interpreter(runtime: RuntimeName | None) -> tuple[RuntimeName, Any]:
    installed = installed_runtimes()
    if runtime is None and not installed:
        raise BundleError("no TFLite runtime is installed: pip install ai-edge-litert")
    name = installed[0] if runtime is None else runtime
    if name not in installed:
        raise BundleError(f"the runtime {name} is not installed: pip install {_PACKAGES[name]}")
    # Built for numpy 1: with numpy 2 it imports, and fails with a riddle when the interpreter is made.
    if name == "tflite_runtime" and not np.__version__.startswith("1."):
        raise BundleError(f"tflite-runtime needs numpy 1, found {np.__version__}: pip install ai-edge-litert")
    return name, importlib.import_module(f"{name}.interpreter")


def _shape(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _quantisation(details: dict[str, Any]) -> Quantisation:
    scale, zero_point = details["quantization"]
    if details["dtype"] is np.int8:
        return Quantisation(dtype="int8", scale=float(scale), zero_point=int(zero_point))
    if details["dtype"] is np.float32:
        return Quantisation(dtype="float32", scale=0.0, zero_point=0)
    raise BundleError(f"the tensor {details['name']!r} is {details['dtype'].__name__}; int8 and float32 are supported")


def _same(own: Quantisation, stated: Quantisation) -> bool:
    # The scale is a float32 in the model and went through JSON in the manifest.
    return (
        own.dtype == stated.dtype
        and own.zero_point == stated.zero_point
        and bool(np.float32(own.scale) == np.float32(stated.scale))
    )


def _words(tensor: Quantisation) -> str:
    return f"{tensor.dtype} (scale {tensor.scale:g}, zero point {tensor.zero_point})"
