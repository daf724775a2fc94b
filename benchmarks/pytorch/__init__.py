"""The training step in plain PyTorch, to compare the throughput with the library's.

A module with the name of one of the library's networks has a function `build(width)`
that returns the same trunk as a module with the attribute `channels`, its number of
output channels. Its parameters have the names of the library's layers, with dots in
place of underscores: `block1.1.conv.weight`.
"""
