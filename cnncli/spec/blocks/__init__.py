"""Expansion of blocks and repeats into a flat list of layers."""
