"""Random streams: one number for each use of a seed, so that draws are independent (see kernels/batch/random.py)."""

SHUFFLE = 0
FOLDS = 1
AUGMENTATION = 1 << 8
"""Plus the index of the augmentation in the list."""
NOISE = 1 << 9
"""Plus the index of the augmentation that fills in noise."""
PARTS = 1 << 12
"""Plus `PARTS_EACH` times the index of the composite augmentation, plus the index of the part."""
PARTS_EACH = 1 << 6
DROPOUT = 1 << 16
"""Plus the index of the dropout in the model."""
WEIGHTS = 1 << 24
"""Plus the index of the weight in the model."""
