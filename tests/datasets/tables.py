"""Tables of images, made for tests, and what is understood of them."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import find
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from tests.datasets.test_layouts import CLASSES, drawing


def pictures(folder, count, *, seed=0, name="{:03}", ending=".png"):
    """`count` pictures of each class in a folder, the classes in turn; their names without endings, and classes."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for i in range(2 * count):
        stem = name.format(i)
        Image.fromarray(drawing(i % 2, generator)).save(folder / f"{stem}{ending}")
        made.append((stem, CLASSES[i % 2]))
    return made


def write(path, *rows, between=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(between.join(map(str, row)) + "\n" for row in rows))


def message(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), **options), root)
    return str(caught.value).replace(f"{root.parent}/", "")


def listed(root, **options):
    """The listing of a folder or a table."""
    return find(DataSection(dataset=str(root), **options), root.parent).listing()


def dog_breeds(root):
    rows = pictures(root / "train", 40, name="{:032x}", ending=".jpg")
    pictures(root / "test", 4, name="f{:031x}", ending=".jpg")
    write(root / "labels.csv", ("id", "breed"), *rows)
    write(root / "sample_submission.csv", ("id", *CLASSES), ("f" + "0" * 31, 0.5, 0.5))
    return "labels.csv: file in column id, class in breed; images in train/"
