"""Metrics, what they sum over batches, and what a run is expected to reach."""
