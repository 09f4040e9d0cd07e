"""Losses with their gradients, and penalties on weights."""
