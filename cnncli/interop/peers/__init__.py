"""Other frameworks in separate processes, for benchmarks."""
