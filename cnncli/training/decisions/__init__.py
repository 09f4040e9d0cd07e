"""Decisions: fitting, on held-out samples, how probabilities become answers."""
