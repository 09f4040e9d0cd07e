"""Metrics, optimizers, callbacks, the loop, checkpoints, the run directory."""
