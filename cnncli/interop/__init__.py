"""Other frameworks: what a model is in their words, and their processes to be measured against."""
