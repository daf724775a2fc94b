"""Files of runs and classifiers: atomic writing and safe reading."""
