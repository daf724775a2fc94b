"""Framework code for the active Keras backend, TensorFlow or JAX.

`tensorflow.py` and `jax.py` define the same names. All other code of the library uses
`keras.ops`.
"""

import importlib
import typing

import keras

# A tensor of the active backend, or a NumPy array. Used in type hints only: the tensors
# of the two backends have no common class.
Tensor = typing.Any

_module = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

# Training step and distribution.
COMPILES_TOGETHER = _module.COMPILES_TOGETHER
TrainStep = _module.TrainStep
Together = _module.Together
device_names = _module.device_names
distributed = _module.distributed
environment = _module.environment
gathered = _module.gathered
make_deterministic = _module.make_deterministic
share_cores = _module.share_cores
share_of = _module.share_of
# Fused kernels and gradients inside the step.
after = _module.after
compiled = _module.compiled
convolved = _module.convolved
gelu = _module.gelu
leaky = _module.leaky
normalized = _module.normalized
pullback = _module.pullback
# Feeding batches to `fit`.
fed = _module.fed
