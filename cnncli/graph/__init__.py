"""Declarations → nodes with shapes → fused program with its buffers."""
