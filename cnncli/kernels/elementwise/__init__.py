"""Activations, arithmetic, softmax, dropout; adding, joining and cutting arrays."""
