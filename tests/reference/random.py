"""Philox4x32-10 on Python's unbounded integers, word by word as the paper draws it."""

import numpy as np


def philox(counter, key):
    """The four output words of four counter words under two key words."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for number in range(10):
        if number:
            k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
        high_0, low_0 = divmod(0xD2511F53 * c0, 2**32)
        high_1, low_1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
    return c0, c1, c2, c3


def bits(seed, stream, step, count):
    words = []
    for block in range(-(-count // 4)):
        words += philox((block, stream, step % 2**32, step // 2**32), (seed % 2**32, seed // 2**32))
    return np.array(words[:count], dtype=np.uint32)


def dropout(x, seed, step, rate, stream):
    kept = bits(seed, stream, step, x.size).astype(np.float64) >= rate * 2**32
    return np.where(kept.reshape(x.shape), x / (1 - rate), 0.0)
