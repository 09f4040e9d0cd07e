"""The small IR of differentiable operations: shape, FLOPs, derivative, what is saved; the builder layers lower with."""
