"""Loggers: what a training reports, written for other programs."""
