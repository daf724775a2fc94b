"""The file of the running Keras backend: `tensorflow.py` or `jax.py`.

Both define the same names: `TrainStep`, `share_of`, `gathered`,
`distributed`, `make_deterministic`, `share_cores`, `device_names`.
"""

import importlib

import keras

backend = importlib.import_module(f"color_s4l.training.{keras.backend.backend()}")
