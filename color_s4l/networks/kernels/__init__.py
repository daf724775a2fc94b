"""What the trunks need of the running Keras backend, and Keras lacks.

`tensorflow.py` and `jax.py` define the same names: `normalized`, `leaky` and, for the
reversible stages, `pullback`, `after`.
"""

import importlib

import keras

_backend = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
after, pullback = _backend.after, _backend.pullback
leaky, normalized = _backend.leaky, _backend.normalized

__all__ = ["after", "leaky", "normalized", "pullback"]
