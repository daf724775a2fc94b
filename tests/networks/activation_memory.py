"""Prints the memory of training steps of reversible and of plain stages.

Run by `test_revnet18.py` in a separate process, because TensorFlow does not return the
memory that other tests have freed. One line of JSON, in MiB: reversible with 2 units,
reversible with 6 units, plain with 6 units.
"""

import json
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from color_s4l.networks.revnet18 import ReversibleStage

SHAPE = (64, 32, 32, 64)
MIB = 2**20


class PlainStage(ReversibleStage):
    _run = ReversibleStage._forward


def stages():
    for stage in (ReversibleStage(2), ReversibleStage(6), PlainStage(6)):
        stage.build(SHAPE)
        yield stage


def on_jax():
    """Yields the memory of each compiled step besides its inputs and outputs."""
    import jax

    for stage in stages():
        fixed = [variable.value for variable in stage.non_trainable_variables]

        def loss(trainable, images, stage=stage, fixed=fixed):
            found, _ = stage.stateless_call(trainable, fixed, images, training=True)
            return ops.mean(ops.square(found))

        trainable = [variable.value for variable in stage.trainable_variables]
        step = jax.jit(jax.grad(loss)).lower(trainable, np.ones(SHAPE, "float32"))
        yield step.compile().memory_analysis().temp_size_in_bytes / MIB


def on_tensorflow():
    """Yields the highest resident memory of the process so far; it cannot fall."""
    steps = [traced(stage) for stage in stages()]
    images = keras.random.normal(SHAPE)
    start = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    for step in steps:
        step(images)
        yield resident("VmHWM") - start


def traced(stage):
    import tensorflow as tf

    variables = [variable.value for variable in stage.trainable_variables]

    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(stage(images, training=True)))
        return tape.gradient(loss, variables)

    signature = tf.TensorSpec((None, *SHAPE[1:]))
    step = tf.function(step).get_concrete_function(signature)
    step(tf.ones((1, *SHAPE[1:])))
    return step


def resident(name):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    measure = on_jax if keras.backend.backend() == "jax" else on_tensorflow
    print(json.dumps([round(peak, 1) for peak in measure()]))
