"""What a training leaves: the run directory, checkpoints, model files; finding runs again, resuming them."""
