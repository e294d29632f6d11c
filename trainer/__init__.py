"""What builds the model: datasets, splits, network, training, conversion, evaluation, export. TensorFlow stays here."""
