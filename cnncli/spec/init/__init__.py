"""New specs: networks to start from, decisions from the data, the text."""
