"""The training step on TensorFlow and JAX, and the files of a run."""
