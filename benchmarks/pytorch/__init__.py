"""The training step written plainly in PyTorch, to compare the throughput with ours.

A module with the name of one of our networks has a function `build(width)` that
returns the same trunk as a module with the attribute `channels`, its number of output
channels. Its parameters have the names of our layers, with dots in place of
underscores: `block1.1.conv.weight`.
"""
