"""Threads, memory checks and benchmarks."""
