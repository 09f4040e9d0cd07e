"""Blocks, repetitions and entries of a list of layers, written out as a flat list."""
