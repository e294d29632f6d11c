"""TensorFlow and Keras 2, with the settings that have to stand before the first import. Nothing else imports either.

Keras 2 (tf-keras) alone converts its LSTMs to TFLite's fused operator. Two operators at a time on one thread
each train the LSTMs fastest on two cores, and add up in the same order in every run. A process that has
imported this can no longer run `tflite_runtime` (their C++ types collide); `trainer.variants` therefore runs
models in processes of its own.
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # more would add up in another order: other last bits on other machines
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from trainer.quiet import quiet_stderr

with quiet_stderr():  # it tells of GPUs that nobody has, before it can be told not to
    import tensorflow as tf
    import tf_keras as keras
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize import calibrator
    from tensorflow.lite.tools import flatbuffer_utils

for _gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(_gpu, True)  # else the first of several workers would take all of it
tf.get_logger().setLevel("ERROR")  # it warns of each new network that a process predicts with

__all__ = ["calibrator", "flatbuffer_utils", "keras", "mlir_quantize", "tf"]
