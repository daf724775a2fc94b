"""What benchmarks.throughput is made of: cases, the processes that run them, tables."""
