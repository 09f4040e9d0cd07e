"""Compiling and running: the target processor, the driver of threads, programs of steps, the cache of compiled code."""
