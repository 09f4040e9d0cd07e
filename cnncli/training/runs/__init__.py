"""Run directories, checkpoints and model files; finding past runs."""
