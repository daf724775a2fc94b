"""Benchmarks: error rates, throughput, two moons, colorizers and the demonstration."""
