"""Random changes to the images of a batch."""
