"""Whole-batch kernels: gathering rows, batch reductions in a fixed order, counter-based random numbers."""
