"""What the reversible stages need of the running Keras backend, and Keras lacks.

`tensorflow.py` and `jax.py` define the same names: `pullback`, `after`.
"""

import importlib

import keras

backend = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
pullback, after = backend.pullback, backend.after

__all__ = ["after", "pullback"]
