"""Image files: opening, decoding, the cache of decoded images, masks."""
