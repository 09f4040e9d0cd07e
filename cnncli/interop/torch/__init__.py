"""Models as PyTorch modules."""
