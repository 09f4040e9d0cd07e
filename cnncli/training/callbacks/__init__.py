"""Callbacks: declarations of a spec, and what they do in a training."""
