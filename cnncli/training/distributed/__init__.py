"""Processes that train one model together: each has a part of every batch."""
