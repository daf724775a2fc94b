"""Recipes: procedures with several stages, each of them a training run."""
