"""YAML text: reading it with places, writing it, problems at places, frequent mistakes."""
