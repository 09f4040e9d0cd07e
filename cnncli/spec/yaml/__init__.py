"""YAML: reading with places, writing, problems with places, common mistakes."""
