"""Updates of weights, clipping of gradients, constraints."""
