import numpy as np

from cnncli.datasets.dataset import Split, duplicate_groups, duplicates_across_splits


def splits():
    """Rows 1 and 3 of the training images are the same, row 2 is also tested, as the first; row 0 nobody has twice."""
    train = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3, 1)
    train[3] = train[1]
    test = np.stack([train[2], train[0] + 100])
    return {"train": Split(train, None, "own.npz", "x_train"), "test": Split(test, None, "own.npz", "x_test")}


def test_images_of_the_same_bytes_are_found_within_and_across_splits():
    assert duplicate_groups(splits()) == [[("train", 1), ("train", 3)], [("train", 2), ("test", 0)]]
    assert duplicates_across_splits(splits()) == [["train x_train[2]", "test x_test[0]"]]


def test_only_the_rows_of_a_split_count_and_are_named_as_in_the_source():
    x = np.zeros((3, 2, 2, 1), np.float32)
    x[1] = 1
    parts = {name: Split(x, None, "own.npz", "x_train", rows=np.array(rows)) for name, rows in (("a", [0]), ("b", [1]))}
    assert duplicates_across_splits(parts) == []
    whole = {"a": Split(x[:1], None, "", "x_train"), "b": Split(x[1:], None, "", "x_train", start=1)}
    assert duplicates_across_splits(whole) == [["a x_train[0]", "b x_train[2]"]]


def test_one_split_is_not_looked_through():
    assert duplicates_across_splits({"train": Split(np.zeros((2, 1, 1, 1), np.uint8), None, "", "x_train")}) == []
