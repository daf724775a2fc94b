"""The same network and step written plainly in PyTorch, to be compared with ours."""
