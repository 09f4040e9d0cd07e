"""Convolutions: direct, depthwise, Winograd, fused with pooling."""
