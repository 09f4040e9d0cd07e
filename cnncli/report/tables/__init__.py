"""Tables, and plain data for JSON."""
