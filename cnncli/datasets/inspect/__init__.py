"""Looking through a source before training on it."""
