"""Losses with their gradients, and regularization penalties."""
