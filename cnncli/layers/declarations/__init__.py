"""Declarations: fields, their types and documentation, and what is wrong with a value."""
