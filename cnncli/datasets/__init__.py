"""Sources, splits, batches."""
