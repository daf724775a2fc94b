"""The training step, on TensorFlow and on JAX, and what a run leaves behind."""
