"""Trained models as files of other programs, one module per format."""
