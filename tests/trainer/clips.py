"""What a converted model really says of its LSTMs. Needs TensorFlow."""

from trainer.tf import flatbuffer_utils


def cell_clips(model: bytes) -> tuple[float, ...]:
    """The cell clip of each fused LSTM of a TFLite model, in order; 0 is none."""
    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    options = [operator.builtinOptions for graph in parsed.subgraphs for operator in graph.operators]
    return tuple(float(of_one.cellClip) for of_one in options if "SequenceLSTM" in type(of_one).__name__)
