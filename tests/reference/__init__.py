"""The slow, obvious NumPy twin of every kernel."""
