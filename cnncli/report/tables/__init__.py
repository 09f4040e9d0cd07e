"""Tables for people, plain data for programs."""
