"""Near-duplicates are found by their thumbnails; what only looks alike is not."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.files import shipped
from cnncli.datasets.inspect.near_duplicates import (
    FLAT,
    LEAST_CORRELATION,
    MOST_BITS,
    SIDE,
    WINDOW,
    candidates,
    near_duplicates,
    perceptual_hashes,
)
from tests.datasets.lookalikes import CHANGES, photograph, sign

ROUNDING = 0.002
"""By which a correlation of vectors in eight bits may be wrong."""


def thumbnails(images):
    shown = [Image.fromarray(image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(each) for each in shown])


def groups(images):
    return near_duplicates(thumbnails(images), np.array([min(image.shape[:2]) for image in images]))


def random(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_photographs_are_found_and_others_are_not(change):
    originals = [photograph(random(seed)) for seed in range(60)]
    found = groups([*originals, *map(change, originals)])
    assert found == [[number, number + 60] for number in range(60)]


def test_different_images_are_not_reported():
    generator = random(1)
    assert groups([photograph(generator) for _ in range(300)]) == []
    assert groups([sign(generator) for _ in range(300)]) == []
    assert groups(list(generator.integers(0, 256, (300, 40, 40, 3)).astype(np.uint8))) == []


def test_digits_do_not_flood():
    with np.load(shipped("data") / "mnist5k.npz") as arrays:
        digits = np.concatenate([arrays["x_train"], arrays["x_test"]]).reshape(-1, 28, 28)
    assert len(digits) == 5000
    assert sum(map(len, groups(list(digits)))) <= 10


def test_what_shows_nothing_is_in_no_group():
    flat = [np.full((40, 40, 3), level, np.uint8) for level in (0, 0, 7, 255)]
    faint = [random(seed).integers(100, 103, (64, 64, 3)).astype(np.uint8) for seed in range(3)]
    assert thumbnails(faint).std() < FLAT
    assert groups([*flat, *faint]) == []


def test_images_that_differ_in_colour_are_different():
    shape = photograph(random(2))[..., :1].astype(np.float64)
    red, green = (shape * np.array(tint) for tint in ((1.0, 0.3, 0.3), (0.3, 1.0, 0.3)))
    assert groups([red.astype(np.uint8), green.astype(np.uint8)]) == []


def test_a_chain_of_near_duplicates_is_one_group():
    first, other = photograph(random(3)), photograph(random(4))
    steps = [((16 - step) / 16 * first + step / 16 * other).astype(np.uint8) for step in range(17)]
    assert groups([first, other]) == []
    assert groups(steps) == [list(range(17))]


def test_candidates_are_all_pairs_of_hashes_with_few_different_bits():
    """Against a comparison of all pairs, by the definition."""
    generator = random(5)
    originals = [photograph(generator, 64) for _ in range(80)]
    changed = [CHANGES[name](image) for image in originals for name in ("shifted", "brighter", "half the size")]
    seen = thumbnails([*originals, *changed])
    hashes = perceptual_hashes(seen @ np.array([0.299, 0.587, 0.114], np.float32)).tolist()
    vectors = seen.reshape(len(seen), -1).astype(np.float64)
    correlations = np.corrcoef(vectors)

    def near(least):
        return {
            (one, other)
            for one, other in combinations(range(len(seen)), 2)
            if (hashes[one] ^ hashes[other]).bit_count() <= MOST_BITS and correlations[one, other] >= least
        }

    found = near_duplicates(seen, np.full(len(seen), 64))
    group_of = {row: number for number, group in enumerate(found) for row in group}
    surely, perhaps = near(LEAST_CORRELATION + ROUNDING), near(LEAST_CORRELATION - ROUNDING)
    assert len(surely) > 100
    assert all(group_of[one] == group_of[other] for one, other in surely)
    assert set(group_of) <= {row for pair in perhaps for row in pair}


def test_few_pairs_are_compared_even_where_many_hashes_are_equal():
    generator, count = random(6), 20_000
    different = generator.integers(0, 1 << 64, count, np.uint64)
    assert sum(pairs.shape[1] for pairs in candidates(different, np.arange(count))) < 10
    different[: count // 2] = different[0]
    assert sum(pairs.shape[1] for pairs in candidates(different, np.arange(count))) <= 45 * WINDOW * count // 2
