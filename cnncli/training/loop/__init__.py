"""The training loop, its state, its events and interruptions; one training from its parts to its end."""
