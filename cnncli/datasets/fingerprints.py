"""Fingerprints: what images of the same bytes, and only they, have in common."""

import hashlib

SIZE = 16
"""Bytes of a fingerprint: among 10¹⁰ images the odds that two different ones share theirs are 10⁻¹⁹."""


def fingerprint(image: bytes | memoryview) -> bytes:
    """The fingerprint of an image's bytes."""
    return hashlib.blake2b(image, digest_size=SIZE).digest()
