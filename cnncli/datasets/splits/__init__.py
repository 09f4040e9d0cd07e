"""Splitting: splits by class, folds, duplicates across splits."""
