"""Reads and writes the files of runs and classifiers, atomically and safely."""
