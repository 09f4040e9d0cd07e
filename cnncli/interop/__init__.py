"""Other frameworks: translation of models, and separate processes for benchmarks."""
