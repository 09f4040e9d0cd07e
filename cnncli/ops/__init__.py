"""IR of differentiable operations (shapes, FLOPs, derivatives, saved values), and the builder used to lower layers."""
