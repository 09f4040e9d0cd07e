"""Dividing rows: splits by class, folds, duplicates across splits."""
