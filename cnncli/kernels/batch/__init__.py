"""Batches as a whole: gathering rows, sums in a fixed order, counter-based random numbers."""
