"""Predictions on the screen and in files."""
