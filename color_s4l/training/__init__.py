"""Training runs: inputs, learner, evaluation, checkpoints and results."""
