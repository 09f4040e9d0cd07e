"""Whatever changes images at random changes only those that are chosen, and those as it always does."""

import numpy as np
import pytest

from cnncli.kernels.augment import affine, blur, brightness, clahe, colour, elastic, erase, levels, perspective
from cnncli.kernels.jit.runtime import Scratch, run, tensor
from tests.kernels.support import execute
from tests.reference.affine import fractions

SEED, STEP, STREAM, CHOOSER = 3, 2**35, 256, 999
PATCH = erase.Patch((1.0, 1.0), (0.1, 0.5), 0.5, 1.0, (0.0, 1.0))
CHANGES = {
    "brighten": lambda x, clock, _, among: brightness.brighten(x, clock, STREAM, (0.1, 0.2), (0, 1), among),
    "contrast": lambda x, clock, _, among: brightness.contrast(x, clock, STREAM, (0.4, 0.6), (0, 1), among),
    "invert": lambda x, clock, _, among: brightness.invert(x, clock, STREAM, (1, 1), 1.0, among),
    "erase": lambda x, clock, _, among: erase.erase(x, clock, STREAM, 7, PATCH, among),
    "turn_hue": lambda x, clock, _, among: colour.turn_hue(x, clock, STREAM, (0.2, 0.8), (0, 1), among),
    "saturate": lambda x, clock, _, among: colour.saturate(x, clock, STREAM, (0.1, 0.4), (0, 1), among),
    "degenerate": lambda x, clock, _, among: colour.degenerate(x, clock, STREAM, (1, 1), (0.4, 1), (0, 1), among),
    "posterize": lambda x, clock, _, among: levels.posterize(x, clock, STREAM, (1, 3), (0, 1), among),
    "solarize": lambda x, clock, _, among: levels.solarize(x, clock, STREAM, (0, 9), (0, 99), (0, 1), among),
    "stretch": lambda x, clock, _, among: levels.stretch(x, clock, (0, 1), among),
    "equalize": lambda x, clock, scratch, among: levels.equalize(x, clock, scratch, 256, (0, 1), among),
    "sharpen": lambda x, clock, scratch, among: blur.sharpen(
        x, clock, scratch, STREAM, factor=(0, 0.2), limits=(0, 1), among=among
    ),
    "blur": lambda x, clock, scratch, among: blur.blur(
        x, clock, scratch, STREAM, odds=(1, 1), size=3, sigma=(0.5, 1), limits=(0, 1), among=among
    ),
    "equalize_tiles": lambda x, clock, scratch, among: clahe.equalize_tiles(
        x, clock, scratch, (2, 3), 4.0, ends=(0, 1), among=among
    ),
    "warp": lambda x, clock, scratch, among: perspective.warp(
        x, clock, scratch, STREAM, odds=(1, 1), scale=0.8, nearest=False, fill=(0.0, 0.0), among=among
    ),
    "distort": lambda x, clock, scratch, among: elastic.distort(
        *(x, clock, scratch, (STREAM, 7)),
        odds=(1, 1),
        scale=(0.8, 1),
        fill=1,
        nearest=False,
        values=(0, 0),
        limits=(0, 1),
        among=among,
    ),
    "affine": lambda x, clock, scratch, among: affine.transform(
        x, clock, scratch, STREAM, move=affine.SHIFT, span=((0.2, 0.4), (0.2, 0.4)), among=among
    ),
}


def changed(name, among, rows=slice(None)):
    """Some rows of 30 images before and after the change, with the clock of their place among all."""
    x = np.random.default_rng(0).uniform(0.1, 0.9, (30, 6, 5, 3)).astype(np.float32)[rows].copy()
    clock = np.array([SEED, STEP, rows.start or 0])
    measured = Scratch()
    CHANGES[name](tensor(x), tensor(clock), measured, among)
    memory = np.zeros((2, measured.used_by_thread), np.uint8)
    before, scratch = x.copy(), Scratch(0, memory.ctypes.data, memory.strides[0])
    run(CHANGES[name](tensor(x), tensor(clock), scratch, among))
    return before, x


@pytest.mark.parametrize("name", CHANGES)
def test_only_the_chosen_images_are_changed_and_those_as_without_a_choice(name):
    before, everywhere = changed(name, None)
    _, found = changed(name, (CHOOSER, 0.25, 0.75))
    fraction = fractions(SEED, CHOOSER, STEP, len(before))[:, 0]
    chosen = (fraction > 0.25) & (fraction <= 0.75)
    assert 5 < chosen.sum() < 25
    assert np.array_equal(found, np.where(chosen.reshape(-1, 1, 1, 1), everywhere, before))
    assert (everywhere != before).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", CHANGES)
def test_a_part_of_a_batch_is_changed_as_within_the_batch(name):
    _, whole = changed(name, (CHOOSER, 0.25, 0.75))
    _, part = changed(name, (CHOOSER, 0.25, 0.75), slice(12, 23))
    assert part.tobytes() == whole[12:23].tobytes()


@pytest.mark.parametrize("name", ["distort", "equalize_tiles", "warp"])
def test_the_number_of_threads_changes_no_bit(name):
    clock, outcomes = np.array([SEED, STEP, 0]), []
    for threads in (1, 2):
        x = np.random.default_rng(0).uniform(0.1, 0.9, (60, 24, 20, 3)).astype(np.float32)
        execute(lambda scratch, x=x: CHANGES[name](tensor(x), tensor(clock), scratch, None), threads)
        outcomes.append(x.tobytes())
    assert outcomes[0] == outcomes[1]
