"""YAML text → validated declarations, each knowing its line and column; blocks; overrides."""
