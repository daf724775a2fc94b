"""Recipes: procedures with several stages; each stage is a training run."""
