"""Terminal output, tables, and generated pages."""
