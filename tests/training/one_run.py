"""Trains in a process of its own: python one_run.py JSON.

Not a test; `test_resume.py` and `test_identities.py` start it. The JSON is a list of
jobs. A job has either `commands`, words of a command line each, or `run`, the fields of
a `Run`, and optionally `plain` (no shift, no noise, no random direction), `bare`
(weights come from a checkpoint; neither evaluation nor pictures), `drawn` (`bare`, but
with random weights) and `kill` ("batch":
kill -9 in the middle of the second epoch; "write": while its checkpoint is written).

On JAX, TensorFlow cannot be imported, as if it were not installed.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
from unittest import mock

import numpy as np


class _WithoutTensorFlow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


ON_JAX = os.environ.get("KERAS_BACKEND") == "jax"
if ON_JAX:
    sys.meta_path.insert(0, _WithoutTensorFlow)

import keras  # noqa: E402

from color_s4l.registry import TERMS  # noqa: E402
from color_s4l.settings import Run  # noqa: E402
from color_s4l.training import build, callbacks, results, session  # noqa: E402
from color_s4l.training.evaluation import Evaluation  # noqa: E402
from color_s4l.views.augmentation import Augmentation  # noqa: E402


def _zeros(self, shape, dtype=None, **_):
    """Replaces draws that XLA compiles for seconds, once per shape."""
    return keras.ops.zeros(shape, dtype)


def _pattern(self, seed, shapes):
    """Replaces random directions, which differ from backend to backend."""
    shape = shapes["unlabeled"]
    pattern = keras.ops.sin(keras.ops.reshape(np.arange(np.prod(shape)), shape))
    return dict.fromkeys(self.images, pattern)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


class KilledInEpoch2(callbacks.TensorBoard):
    """Replaces a callback of the run."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            _die()


def _killed_while_writing(run_dir):
    whole = np.savez
    kept = os.path.join(run_dir, "checkpoints/epoch_00001.npz")

    def half(file, **arrays):
        if os.path.exists(kept):
            file.write(b"PK\x03\x04 the beginning of an archive")
            file.flush()
            _die()
        whole(file, **arrays)

    return half


def _patches(job):
    replaced = mock.patch.object
    if job.get("plain"):
        still = Augmentation(0, False, 0.0)
        yield replaced(TERMS["vat"], "draw", _pattern)
        yield replaced(build, "Augmentation", return_value=still)
    if job.get("bare"):
        yield replaced(Evaluation, "measures", return_value={})
        yield replaced(results, "measure", return_value=({}, None))
        yield replaced(results, "write")
    if job.get("bare") and not job.get("drawn"):
        yield replaced(keras.initializers.GlorotUniform, "__call__", _zeros)
        yield replaced(keras.initializers.HeNormal, "__call__", _zeros)
    if job.get("kill") == "batch":
        yield replaced(callbacks, "TensorBoard", KilledInEpoch2)
    if job.get("kill") == "write":
        half = _killed_while_writing(job["run"]["run_dir"])
        yield replaced(np, "savez", half)


def main():
    for job in json.loads(sys.argv[1]):
        for module, *words in job.get("commands", ()):
            assert importlib.import_module(module).main(words) == 0
        if "run" in job:
            with contextlib.ExitStack() as stack:
                for patch in _patches(job):
                    stack.enter_context(patch)
                session.train(Run(**job["run"]))
    assert not (ON_JAX and "tensorflow" in sys.modules)


main()
