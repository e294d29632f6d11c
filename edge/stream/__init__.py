"""The pure signal path, shared by the edge and the trainer: resample, clean, scale, window, transform, decide."""
