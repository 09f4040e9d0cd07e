"""Declarations: fields, their types, their documentation, and validation errors."""
