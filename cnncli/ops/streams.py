"""Random streams: numbers that keep the uses of one seed apart (see kernels/batch/random.py)."""

SHUFFLE = 0
FOLDS = 1
AUGMENTATION = 1 << 8
"""Plus the number of the augmentation in the list."""
NOISE = 1 << 9
"""Plus the number of the augmentation that fills it in."""
PARTS = 1 << 12
"""Plus `PARTS_EACH` times the number of the augmentation that is made of others, plus the number of the part."""
PARTS_EACH = 1 << 6
DROPOUT = 1 << 16
"""Plus the number of the dropout in the model."""
WEIGHTS = 1 << 24
"""Plus the number of the weight in the model."""
