"""Broken specs, model files and surroundings: an exit code, one line with a place, never a bug."""
