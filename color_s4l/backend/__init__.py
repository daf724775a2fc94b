"""Framework code of the running Keras backend, TensorFlow or JAX.

`tensorflow.py` and `jax.py` define the same names. Everything else in the library is
written with `keras.ops`.
"""

import importlib

import keras

_module = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

# Training step and distribution.
TrainStep = _module.TrainStep
device_names = _module.device_names
distributed = _module.distributed
gathered = _module.gathered
make_deterministic = _module.make_deterministic
share_cores = _module.share_cores
share_of = _module.share_of
# Fused kernels and gradients inside the step.
after = _module.after
leaky = _module.leaky
normalized = _module.normalized
pullback = _module.pullback
# Feeding.
fed = _module.fed
