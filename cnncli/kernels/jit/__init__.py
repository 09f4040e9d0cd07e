"""Compilation and execution: target processor, thread driver, programs of steps, and compilation cache."""
