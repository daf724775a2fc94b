"""The training step in plain PyTorch, for comparing its throughput with the library.

`step.py` contains the step. Each other file has the name of a network of the library.
Its function `build(width)` returns the same trunk as an `nn.Module`, whose attribute
`channels` is the number of output channels. The parameters have the names of the
library's layers, with dots in place of underscores: `block1.1.conv.weight`.
"""
