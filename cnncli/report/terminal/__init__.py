"""Standard output and standard error: escaping, colors, the progress bar."""
