"""Creates new specs: starter networks, settings chosen from the data, and the text."""
