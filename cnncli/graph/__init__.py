"""Lowering of declarations: nodes with shapes → fused operations → program with allocated buffers."""
