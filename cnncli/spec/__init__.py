"""YAML text → validated declarations with line and column; blocks; overrides."""
