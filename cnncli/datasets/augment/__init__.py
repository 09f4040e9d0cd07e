"""Augmentations: declarations with Keras' names."""
