"""Validation: each section, then rules across sections, then warnings."""
