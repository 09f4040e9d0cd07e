"""Callbacks: hooks of the training loop."""
