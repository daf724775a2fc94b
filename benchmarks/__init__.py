"""Measurements: tables of error rates and the demonstration. Results: results/."""
