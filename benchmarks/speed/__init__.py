"""Parts of benchmarks.throughput: cases, measuring processes and table rows."""
