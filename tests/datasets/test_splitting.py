from collections import Counter

import pytest

from cnncli.datasets.sources.found import Sample
from cnncli.datasets.splits.splitting import divide
from cnncli.errors import DeclarationError

NAMES = ("cats", "dogs", "owls")


def samples(*counts):
    return [Sample(f"{NAMES[label]}/{i}.png", (label,)) for label, count in enumerate(counts) for i in range(count)]


def counts(part):
    return [Counter(label for sample in part for label in sample.labels)[label] for label in range(len(NAMES))]


def test_each_class_gives_the_share_that_keras_would_take_of_it():
    made = divide(samples(10, 20, 7), {"test": 0.2, "validation": 0.25}, 1, NAMES)
    # n − ⌊n · 0.8⌋ of 10, 20, 7 for the test; n − ⌊n · 0.75⌋ for validation; what is left is trained on.
    assert {name: counts(part) for name, part in made.items()} == {
        "train": [5, 11, 3],
        "test": [2, 4, 2],
        "validation": [3, 5, 2],
    }
    assert sorted(sample for part in made.values() for sample in part) == sorted(samples(10, 20, 7))


def test_only_the_seed_decides_and_not_the_order():
    all_of_them = samples(10, 20, 7)
    first = divide(all_of_them, {"validation": 0.3}, 1, NAMES)
    assert divide(all_of_them[::-1], {"validation": 0.3}, 1, NAMES) == first
    assert divide(all_of_them, {"validation": 0.3}, 2, NAMES) != first


def test_the_test_images_stay_the_same_whatever_is_kept_for_validation():
    tests = [divide(samples(10, 20, 7), {"test": 0.2, "validation": v}, 1, NAMES)["test"] for v in (0.1, 0.5)]
    assert tests[0] == tests[1]


def test_an_image_of_several_classes_counts_for_its_rarest():
    """All of 8 images show cats, 4 of them dogs, too: 4 count as dogs, 4 as cats, and a quarter is 1 of each."""
    several = [Sample(f"{i}.png", (0, 1) if i < 4 else (0,)) for i in range(8)]
    for seed in range(20):
        made = divide(several, {"validation": 0.25}, seed, NAMES[:2])
        assert counts(made["validation"])[:2] == [2, 1]
        assert counts(made["train"])[:2] == [6, 3]


def test_images_of_no_class_are_divided_as_one():
    made = divide([Sample(f"{i}.png") for i in range(10)], {"validation": 0.2}, 0, ())
    assert {name: len(part) for name, part in made.items()} == {"train": 8, "validation": 2}


@pytest.mark.parametrize(
    ("sizes", "shares", "expected"),
    [
        ((4, 1, 4), {"validation": 0.25}, {"train": [3, 1, 3], "validation": [1, 0, 1]}),
        ((4, 1, 1), {"test": 0.25}, {"train": [3, 1, 1], "test": [1, 0, 0]}),
        (
            (4, 2, 1),
            {"test": 0.25, "validation": 0.25},
            {"train": [2, 1, 1], "test": [1, 1, 0], "validation": [1, 0, 0]},
        ),
    ],
)
def test_a_class_with_too_few_images_for_all_splits_is_trained_on(sizes, shares, expected):
    made = divide(samples(*sizes), shares, 0, NAMES)
    assert {name: counts(part) for name, part in made.items()} == expected


@pytest.mark.parametrize(
    ("sizes", "shares", "message", "key"),
    [
        (
            (20, 4, 20),
            {"validation": 0.9},
            "training images must show every class; train has none of 'dogs' (4 in total)",
            "validation_split",
        ),
        (
            (20, 4, 3),
            {"test": 0.8},
            "training images must show every class; train has none of 'dogs' (4 in total), 'owls' (3 in total)",
            "test_split",
        ),
        (
            (1, 1, 1),
            {"test": 0.5},
            "test_split must leave at least one image in every split; test has none",
            "test_split",
        ),
    ],
)
def test_a_class_missing_from_the_training_images_is_named(sizes, shares, message, key):
    with pytest.raises(DeclarationError) as caught:
        divide(samples(*sizes), shares, 0, NAMES)
    assert (str(caught.value), caught.value.key) == (message, key)
