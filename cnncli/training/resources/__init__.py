"""Threads, memory and time: what a training takes and how fast it is."""
