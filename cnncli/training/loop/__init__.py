"""The training loop: sessions, memory and time estimates, interruption and resumption."""
