"""Validation: each section by itself, then rules across sections, then warnings."""
