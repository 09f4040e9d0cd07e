"""Layouts: folders of images, and what lies beside them."""

from pathlib import Path

from tests.layouts.layout import Layout, flat, folders


def class_folders(root: Path) -> None:
    folders(root / "photos")


def split_folders(root: Path) -> None:
    folders(root / "photos/Training")
    folders(root / "photos/Testing", "test")


def wrapped_splits(root: Path) -> None:
    folders(root / "archive/seg_train/seg_train")
    folders(root / "archive/seg_test/seg_test", "test")
    flat(root / "archive/seg_pred", "val")


def unlabelled_test(root: Path) -> None:
    folders(root / "photos/train", name="{}.jpg")
    flat(root / "photos/test", "test", "{}.jpg")


LAYOUTS = (
    Layout(
        "class_folders",
        "A folder for each class",
        "The names of the folders are the classes. Validation and test images are a random share of each class.",
        class_folders,
    ),
    Layout(
        "split_folders",
        "Folders of splits",
        "Folders called train, val and test, or by another usual name, are splits.",
        split_folders,
    ),
    Layout(
        "wrapped_splits",
        "Folders around folders",
        "Folders that hold nothing but one folder are passed; images to predict are left out of the training.",
        wrapped_splits,
        "archive",
    ),
    Layout(
        "unlabelled_test",
        "A test folder without classes",
        "As in Kaggle's competitions: the images of `test` are to be predicted, and are left out of the training.",
        unlabelled_test,
    ),
)
