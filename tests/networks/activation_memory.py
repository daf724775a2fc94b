"""Prints the memory that training steps of reversible and of plain stages take.

Run by `test_reversible.py` in a process of its own, as TensorFlow keeps what other
tests have freed. One line of JSON, MiB: reversible with 2 units, with 6, plain with 6.
"""

import json
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from color_s4l.networks.reversible import ReversibleStage

SHAPE = (16, 32, 32, 64)
KINDS = ((2, True), (6, True), (6, False))
MIB = 2**20


def stages():
    for units, recompute in KINDS:
        stage = ReversibleStage(units, recompute=recompute)
        stage.build(SHAPE)
        yield stage


def on_jax():
    """What each compiled step needs beside its inputs and outputs."""
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
    """The process' highest resident memory so far: it can only grow on the way."""
    steps = [traced(stage) for stage in stages()]
    images = keras.random.normal(SHAPE)
    start = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
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
