"""Batch normalization, its gradient, and its folding into a matrix product."""
