"""docs/keras.md: what of Keras is here, and how far apart its numbers are."""
