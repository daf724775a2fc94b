"""Parts of benchmarks.throughput: cases, the processes that measure them, table rows."""
