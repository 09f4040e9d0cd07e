"""Batch normalization, its gradient, and folding it into a product."""
