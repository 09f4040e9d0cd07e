"""Convolutions: direct, depthwise, by Winograd's algorithm, fused with pooling."""
