"""From a Keras network to TFLite variants, with the fused LSTM and without its hidden clip.

Enters: a trained network, and scaled windows for calibration. Leaves: the bytes of one ``.tflite`` file a
variant. TensorFlow's fusion writes a cell clip of 10 into every LSTM, which Keras doesn't have: each model
leaves here with that clip removed, the int8 one before its ranges are measured, since a clipped range can't
be made good later. The ranges are measured with the LSTM's state cleared before each window, which
TensorFlow's calibration does not do.
"""

import re
import tempfile
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import TrainingError
from trainer.quiet import quiet_stderr
from trainer.tf import calibrator, flatbuffer_utils, mlir_quantize, tf

VariantName = Literal["float32", "dynamic", "int8"]
SHIPPED_VARIANTS: Final[tuple[VariantName, ...]] = ("int8", "dynamic")
N_CALIBRATION_WINDOWS: Final = 300
# What TensorFlow makes of a failed write: no room, too large, not permitted, no such folder, a disk that fails.
_FILE_ERRORS: Final = (
    tf.errors.ResourceExhaustedError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.NotFoundError,
    tf.errors.UnknownError,
)
_UNWRITABLE: Final = (
    "the folder for the conversion cannot be written: {}; make room and run the same command again, or name another "
    "place by TMPDIR"
)
_LSTM_OPTIONS: Final = "UnidirectionalSequenceLSTMOptionsT"


def convert(
    network: Any,
    calibration: NDArray[np.float32],
    variants: Sequence[VariantName] = SHIPPED_VARIANTS,
    *,
    keep_cell_clip: bool = False,
) -> dict[VariantName, bytes]:
    """The network as TFLite models that take one window, ``(1, n_coefficients, n_channels)``, at a time.

    ``int8`` takes and gives int8, with ranges measured on the ``calibration`` windows ``(n, n_coefficients,
    n_channels)``, 300 or so of the training people; ``dynamic`` has int8 weights, float input and output.
    ``keep_cell_clip`` leaves TensorFlow's clip in, to show what it does. `ValueError` for int8 without
    windows, `TrainingError` where a temporary folder can't be written.
    """
    if "int8" in variants and len(calibration) == 0:
        raise ValueError("int8 needs calibration windows")
    # Static batch 1: a dynamic one can't be converted. By way of a folder: a concrete function takes a minute.
    signature = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    forward = tf.function(lambda window: network(window, training=False))
    # Of the network, saving needs the variables alone; Keras would trace each layer for minutes.
    module = tf.Module()
    module.kept_variables = network.variables
    try:
        with tempfile.TemporaryDirectory() as folder:
            _save(module, folder, forward.get_concrete_function(signature))
            return {name: _convert(folder, name, calibration, keep_cell_clip) for name in variants}
    except OSError as error:
        raise TrainingError(_UNWRITABLE.format(error)) from error


def _save(module: Any, folder: str, signature: Any) -> None:
    try:
        tf.saved_model.save(module, folder, signatures=signature)
    except _FILE_ERRORS as error:
        # TensorFlow says where in its graph it was, in two kinds of brackets; the rest is the file and what is wrong.
        said = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", error.message)
        raise TrainingError(_UNWRITABLE.format(" ".join(said.split()))) from error


def remove_cell_clips(model: bytes) -> bytes:
    """The same TFLite model with a cell clip of 0, that is none, in each LSTM.

    `ValueError` where the model has no fused LSTM: then the fusion failed, and the model would be a slow
    other one.
    """
    parsed = _parse(model)
    found = _lstm_options(parsed)
    if not found:
        raise ValueError("the model has no UNIDIRECTIONAL_SEQUENCE_LSTM: TensorFlow did not fuse its LSTMs")
    for options in found:
        options.cellClip = 0.0
    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


def _convert(folder: str, variant: VariantName, calibration: NDArray[np.float32], keep_cell_clip: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "int8":
        # Full int8 has to be asked for with data; `_quantise` below is what reads it.
        converter.representative_dataset = lambda: ([window[np.newaxis]] for window in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # The converter hands its float model to this method; its own one measures ranges with two faults.
        converter._quantize = lambda model, *_: _quantise(
            model if keep_cell_clip else remove_cell_clips(model), calibration
        )
    with quiet_stderr():
        model: bytes = converter.convert()
    return model if keep_cell_clip else remove_cell_clips(model)


def _quantise(model: bytes, calibration: NDArray[np.float32]) -> bytes:
    """Full int8 with the ranges that the float model shows on the calibration windows, each from a cleared state.

    TensorFlow's own loop prepares its interpreter once: the LSTMs' cells then run on from window to window,
    and their ranges are those of a walk of hundreds of windows.
    """
    ranges = calibrator.Calibrator(calibrator.add_intermediate_tensors(model))
    for window in calibration:
        ranges._calibrator.Prepare()
        ranges._calibrator.FeedTensor([window[np.newaxis]])
    quantised: bytes = mlir_quantize(ranges._calibrator.Calibrate(), input_data_type=tf.int8, output_data_type=tf.int8)
    return quantised


def _parse(model: bytes) -> Any:
    return flatbuffer_utils.read_model_from_bytearray(bytearray(model))


def _lstm_options(parsed: Any) -> list[Any]:
    operators = (operator for subgraph in parsed.subgraphs for operator in subgraph.operators)
    return [
        operator.builtinOptions for operator in operators if type(operator.builtinOptions).__name__ == _LSTM_OPTIONS
    ]
