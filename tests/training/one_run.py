"""Runs, in a process of its own: python one_run.py JSON.

The list holds one object per run: `run` (fields of `Run`), and optionally
`plain` (no shift, no noise, no random direction), `bare` (weights come from a
checkpoint; neither evaluation nor pictures)
and `kill` ("batch": kill -9 in the middle of the second epoch; "write": while
its checkpoint is written). Not a test; `test_resume.py` and `test_identities.py`
start it.
"""

import json
import os
import signal
import sys

import keras
import numpy as np

from color_s4l.settings import Run
from color_s4l.terms import Vat
from color_s4l.training import callbacks, measures, preparation, results, session
from color_s4l.views.augmentation import Augmentation


def _zeros(self, shape, dtype=None, **_):
    """In place of draws that XLA compiles for seconds, once per shape."""
    return keras.ops.zeros(shape, dtype)


def _pattern(self, seed, shapes):
    """In place of random directions, which differ from backend to backend."""
    shape = shapes["unlabeled"]
    return keras.ops.sin(keras.ops.reshape(np.arange(np.prod(shape)), shape))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


class KilledInEpoch2(callbacks.TensorBoard):
    """Stands in for a callback of the run."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            _die()


def _kill_while_writing():
    whole = np.savez

    def half(file, **arrays):
        if os.path.exists(kept):
            file.write(b"PK\x03\x04 the beginning of an archive")
            file.flush()
            _die()
        whole(file, **arrays)

    kept = os.path.join(_arguments["run"]["run_dir"], "checkpoints/epoch_00001.npz")
    np.savez = half


DRAW = Vat.draw
for _arguments in json.loads(sys.argv[1]):
    preparation.Augmentation, Vat.draw = Augmentation, DRAW
    if _arguments.get("plain"):
        Vat.draw = _pattern
        preparation.Augmentation = lambda flip=False: Augmentation(0, False, 0.0)
    if _arguments.get("bare"):
        measures.of_epoch = lambda *_: {}
        keras.initializers.GlorotUniform.__call__ = _zeros
        keras.initializers.HeNormal.__call__ = _zeros
        results.measure = lambda *_: ({}, None)
        results.write = lambda *_: None
    if _arguments.get("kill") == "batch":
        callbacks.TensorBoard = KilledInEpoch2
    if _arguments.get("kill") == "write":
        _kill_while_writing()
    session.fit(Run(**_arguments["run"]))
