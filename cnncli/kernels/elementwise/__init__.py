"""Activations, arithmetic, softmax, dropout; adding, concatenating and slicing arrays."""
