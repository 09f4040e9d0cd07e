"""The Keras vocabulary: declarations of layers, activations, initializers, regularizers, constraints and losses."""
